import JobCore
import Testing

@testable import JobServer

/// Where the submissions stand in a body that holds many.
@Suite struct BulkReaderTests {
  private func elements(_ text: String) throws(Problem) -> [String] {
    let body = [UInt8](text.utf8)
    return try BulkReader.elements(of: body).map { String(decoding: body[$0], as: UTF8.self) }
  }

  private func lines(_ text: String) throws(Problem) -> [String] {
    let body = [UInt8](text.utf8)
    return try BulkReader.lines(of: body).map { String(decoding: body[$0], as: UTF8.self) }
  }

  @Test(arguments: [
    ("[]", true), (" \t\r\n[1]", true), ("[", true), ("", false), ("  ", false), ("{}", false),
    (#"{"task":"[" }"#, false), ("\u{feff}[]", false),
  ])
  func `an array is known by its first byte`(text: String, isArray: Bool) {
    #expect(BulkReader.isArray([UInt8](text.utf8)) == isArray)
  }

  @Test func `each element is found, whatever it is`() throws {
    #expect(try elements("[]") == [] && elements(" [ ] ") == [])
    #expect(
      try elements(#" [ {"task":"a","args":[1,[2]]} , 7,null ,"x", [ ] , {} ] "#)
        == [#"{"task":"a","args":[1,[2]]}"#, "7", "null", "\"x\"", "[ ]", "{}"])
  }

  @Test func `depth is the matter of each element`() throws {
    let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    #expect(try elements("[1,\(deep),2]") == ["1", deep, "2"])
  }

  @Test(arguments: [
    "[", "[{}", "[{},", "[{},]", "[,{}]", "[{}] x", "[{}][{}]", #"[{"task":"a",}]"#, "[01]",
    "[{'task':1}]", "[{}}", #"["\ud800"]"#, "[nul]", "[{} {}]",
  ])
  func `what is not JSON is refused as a whole`(text: String) {
    let problem = #expect(throws: Problem.self) { try elements(text) }
    #expect(problem?.status == 400 && problem?.mistakes.map(\.pointer) == [""])
  }

  @Test func `there are at most ten thousand`() throws {
    func array(_ count: Int) -> String {
      "[" + Array(repeating: "{}", count: count).joined(separator: ",") + "]"
    }
    #expect(try elements(array(10_000)).count == 10_000)
    for body in [array(10_001), String(array(20_000).dropLast()), array(10_001) + "x"] {
      let problem = #expect(throws: Problem.self) { try elements(body) }
      #expect(problem?.status == 413 && problem?.detail.contains("10000") == true)
    }
    let line = "{}\n \n"
    #expect(try lines(String(repeating: line, count: 10_000)).count == 10_000)
    let problem = #expect(throws: Problem.self) {
      try lines(String(repeating: line, count: 10_001))
    }
    #expect(problem?.status == 413)
  }

  @Test func `lines are parted by line feeds, blank ones do not count`() throws {
    #expect(try lines("") == [] && lines("\n\n \t\r\n") == [])
    #expect(try lines("{}") == ["{}"] && lines("{}\n") == ["{}"])
    #expect(try lines("\n{}\r\n\n  7 \nno JSON") == ["{}\r", "  7 ", "no JSON"])
  }

  @Test func `a submission in a body is read as if it stood alone`() throws {
    let body = [UInt8](
      #"[{"task":"a","args":[1]},{"task":"b","args":7},{"task":"c","tags":[]}]"#.utf8)
    let places = try BulkReader.elements(of: body)
    let read = places.map { place in
      body.withUnsafeBufferPointer { bytes in
        Result { () throws(Problem) in
          try SubmissionReader.read(
            UnsafeBufferPointer(rebasing: bytes[place]), idempotencyKey: nil, calling: "it")
        }
      }
    }
    #expect(try read[0].get().args == "[1]" && read[2].get().task == "c")
    guard case .failure(let problem) = read[1] else { return #expect(Bool(false)) }
    #expect(problem.mistakes.map(\.pointer) == ["/args"])
  }

  @Test func `a broken line says where, from its own beginning`() {
    let line = [UInt8](#"{"task":}"#.utf8)
    let problem = #expect(throws: Problem.self) {
      try line.withUnsafeBufferPointer { (bytes) throws(Problem) in
        try SubmissionReader.read(bytes, idempotencyKey: nil, calling: "the submission")
      }
    }
    #expect(problem?.detail.hasPrefix("the submission is not the JSON") == true)
    #expect(problem?.detail.contains("byte 8") == true)
  }
}
