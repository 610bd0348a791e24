import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// Items one a line, however the pieces lie.
@Suite struct MapInputTests {
  private func unopened(chunkSize: Int? = nil, lineBytesMax: Int = 100) -> MapInput {
    MapInput(
      chunkSize: chunkSize, bufferSize: 4, lineBytesMax: lineBytesMax, wait: 0,
      presentation: Presentation())
  }

  private func input(
    chunkSize: Int? = nil, lineBytesMax: Int = 100, argumentBytesMax: Int? = nil
  ) -> MapInput {
    let input = unopened(chunkSize: chunkSize, lineBytesMax: lineBytesMax)
    input.open(1, argumentBytesMax: argumentBytesMax, at: instant)
    return input
  }

  private let instant = Instant(nanoseconds: 1_000_000)

  private func take(_ text: String, _ input: MapInput) {
    Array(text.utf8).withUnsafeBytes { input.take($0, at: instant) }
  }

  @Test func `lines are items wherever the pieces are cut`() {
    let text = "1\n[1, 2]\r\n\n  \n\"a\\nb\"\n{\"c\":\t3}\n-1.5e3"
    for size in 1...text.utf8.count {
      let input = input()
      var rest = text[...]
      while !rest.isEmpty {
        take(String(rest.prefix(size)), input)
        rest = rest.dropFirst(size)
      }
      input.end()
      #expect(input.error == nil)
      #expect(
        input.takeReady() == [ChunkInput(count: 5, args: #"[1,[1,2],"a\nb",{"c":3},-1.5e3]"#)])
      #expect(input.takeReady().isEmpty)
    }
  }

  @Test func `chunks have as many items as were asked for`() {
    let input = input(chunkSize: 2)
    take("1\n2\n3\n", input)
    #expect(input.ready == [ChunkInput(count: 2, args: "[1,2]")])
    #expect(input.flushAt == nil)
    input.end()
    #expect(input.takeReady().map(\.count) == [2, 1])
  }

  @Test func `what has come waits 50 ms for more`() {
    let input = input(lineBytesMax: 1 << 20)
    take("1\n2", input)
    #expect(input.flushAt == instant.advanced(byMilliseconds: 50))
    #expect(input.ready.isEmpty)
    input.close()
    #expect(input.takeReady() == [ChunkInput(count: 1, args: "[1]")])
    #expect(input.flushAt == nil)
    take((0..<1_001).map { "\($0)\n" }.joined(), input)
    #expect(input.ready.map(\.count) == [1_000])
  }

  @Test(arguments: ["x", "1 2", "[1", "{\"a\"}", "\u{1}2"])
  func `a line that is not JSON ends the input, and those before it count`(line: String) {
    let input = input()
    take("1\n\n2\n\(line)\n3\n", input)
    #expect(input.error?.code == .invalidItem)
    #expect(input.error?.message.contains("line 4") == true)
    #expect(input.takeReady() == [ChunkInput(count: 2, args: "[1,2]")])
    take("4\n", input)
    #expect(input.ready.isEmpty)
  }

  @Test func `a line that is too long, whole or not`() {
    for end in ["", "\n"] {
      let input = input(lineBytesMax: 10)
      take("1\n\"" + String(repeating: "x", count: 20) + end, input)
      #expect(input.error?.code == .invalidItem)
      #expect(input.error?.message.contains("line 2") == true)
    }
  }

  @Test(arguments: [nil, 3, 100])
  func `a chunk keeps the bound on a job's arguments`(chunkSize: Int?) {
    let input = input(chunkSize: chunkSize, argumentBytesMax: 9)
    take("1\n22\n\n 333 \n4444\n5\n55555\n\"66666\"\n", input)
    input.end()
    #expect(input.error == nil)
    let chunks = input.takeReady()
    #expect(
      chunks.map(\.args)
        == ["[1,22]", "[333]", "[4444,5]", "[55555]", #"["66666"]"#])
    #expect(chunks.map(\.count) == [2, 1, 2, 1, 1])
  }

  @Test(arguments: ["\n", ""])
  func `an item above that bound ends the input, and those before it count`(end: String) {
    let input = input(argumentBytesMax: 6)
    take("1\n\n2\n 4444 \n55555\(end)", input)
    input.end()
    #expect(input.error?.code == .invalidItem)
    #expect(
      input.error?.message
        == "line 5 makes arguments of 7 bytes; a job of its pool may have 6")
    #expect(input.takeReady().map(\.args) == ["[1,2]", "[4444]"])
    take("6\n", input)
    #expect(input.takeReady().isEmpty)
  }

  @Test func `chunks of a counted size keep the bound on a body`() {
    let input = input(chunkSize: 100, lineBytesMax: 12)
    take("\"aaaaaaaa\"\n\"bbb\"\n\"cc\"\n1\n", input)
    input.end()
    #expect(input.takeReady().map(\.args) == [#"["aaaaaaaa"]"#, #"["bbb","cc"]"#, "[1]"])
  }

  @Test func `what comes before the map is known is cut once it is`() {
    for isWhole in [true, false] {
      let input = unopened(lineBytesMax: 1 << 20)
      take("1\n2", input)
      if !isWhole { input.end(InputError(.brokenOff, "gone")) }
      #expect(input.ready.isEmpty && input.error == nil)
      input.open(1, argumentBytesMax: 3, at: instant)
      if isWhole { input.end() }
      #expect(input.error?.code == (isWhole ? nil : .brokenOff))
      #expect(input.takeReady().map(\.args) == (isWhole ? ["[1]", "[2]"] : ["[1]"]))
    }
    let input = unopened()
    take(String(repeating: "1\n", count: 200_000), input)
    #expect(input.stream.isHeld)
  }

  @Test func `of a body that breaks off whole lines count`() {
    let input = input()
    take("1\n2\n3", input)
    input.end(InputError(.brokenOff, "gone"))
    #expect(input.error?.code == .brokenOff)
    #expect(input.takeReady() == [ChunkInput(count: 2, args: "[1,2]")])
  }

  @Test func `much that waits holds the client back`() {
    let input = input(lineBytesMax: 1 << 20)
    let line = "\"" + String(repeating: "x", count: 100_000) + "\"\n"
    take(line + line, input)
    #expect(!input.stream.isHeld)
    take(line + line, input)
    #expect(input.stream.isHeld)
  }
}

/// The body of `POST /v1/maps`.
@Suite struct MapSubmissionTests {
  private func read(_ text: String, isStreamed: Bool = false) throws(Problem) -> MapSubmission {
    try SubmissionReader.readMap(
      Array(text.utf8), idempotencyKey: nil, isStreamed: isStreamed)
  }

  @Test func `items are minified and cut anywhere`() throws {
    let map = try read(
      #"{"items":[1, {"a": [2]} ,"x,y"],"task":"t","star":true,"chunksize":2,"id":"m"}"#)
    #expect(map.task == "t" && map.isStar && map.chunkSize == 2 && map.id?.text == "m")
    let items = try #require(map.items)
    #expect(items.count == 3)
    #expect(items.array(of: 0..<3) == #"[1,{"a":[2]},"x,y"]"#)
    #expect(items.array(of: 1..<2) == #"[{"a":[2]}]"#)
    #expect(items.array(of: 2..<3) == #"["x,y"]"#)
    #expect(map.options == nil)
    #expect(try read(#"{"task":"t","timeout":2}"#, isStreamed: true).options?.timeout == 2_000)
  }

  @Test(arguments: [
    (#"{"task":"t"}"#, "/items"), (#"{"items":[]}"#, "/task"),
    (#"{"task":"t","items":3}"#, "/items"), (#"{"task":"t","items":[],"args":[]}"#, "/args"),
    (#"{"task":"t","items":[],"chunksize":0}"#, "/chunksize"),
    (#"{"task":"t","items":[],"chunksize":1.5}"#, "/chunksize"),
    (#"{"task":"t","items":[],"star":1}"#, "/star"),
    (#"{"task":"t","items":[],"items":[]}"#, "/items"),
  ])
  func `mistakes are pointed at`(text: String, pointer: String) {
    do throws(Problem) {
      _ = try read(text)
      Issue.record("taken: \(text)")
    } catch {
      #expect(error.status == 400)
      #expect(error.mistakes.map(\.pointer) == [pointer])
    }
  }
}

/// What a worker says of a chunk that failed.
@Suite struct ChunkErrorTests {
  @Test func `the values before an error may be as deep as values may be`() {
    for depth in [1, 62, 64] {
      let value = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
      let text = #"{"type":"E","message":"m","item":1,"values":[\#(value)]}"#
      let error = RaisedErrorReader.read(text)
      #expect(error.type == "E" && error.item == 1 && error.values == "[\(value)]")
    }
    let deep = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
    #expect(RaisedErrorReader.read(#"{"values":\#(deep)}"#).type == "ProtocolError")
  }
}
