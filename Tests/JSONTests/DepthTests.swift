import JSON
import Testing

@Suite struct DepthTests {
  private func nested(_ depth: Int, _ inner: String = "") -> String {
    String(repeating: "[", count: depth) + inner + String(repeating: "]", count: depth)
  }

  @Test func `64 levels are taken and the 65th is refused at its bracket`() throws {
    #expect(try minifiedJSON(nested(64)) == nested(64))
    #expect(try minifiedJSON(nested(64, "1")) == nested(64, "1"))
    let error = #expect(throws: JSONError.self) { try minifiedJSON(nested(65)) }
    #expect(error == JSONError(reason: .tooDeep, offset: 64))
  }

  @Test func `objects count as arrays do`() throws {
    let text = String(repeating: #"{"a":["#, count: 32)
    let end = String(repeating: "]}", count: 32)
    #expect(try minifiedJSON(text + end) == text + end)
    let error = #expect(throws: JSONError.self) { try minifiedJSON(text + "{}" + end) }
    #expect(error == JSONError(reason: .tooDeep, offset: text.utf8.count))
  }

  @Test func `siblings do not add up`() throws {
    let text = "[" + Array(repeating: nested(63), count: 100).joined(separator: ",") + "]"
    #expect(try minifiedJSON(text) == text)
  }

  @Test func `the limit is the caller's`() throws {
    #expect(try minifiedJSON("1", depthMax: 0) == "1")
    #expect(throws: JSONError(reason: .tooDeep, offset: 0)) { try minifiedJSON("[]", depthMax: 0) }
    #expect(throws: JSONError(reason: .tooDeep, offset: 1)) {
      try minifiedJSON("[[]]", depthMax: 1)
    }
  }

  @Test(arguments: [63, 64, 65, 127, 128, 129, 192, 1000])
  func `arrays and objects are told apart at any depth`(_ depth: Int) throws {
    // Brackets alternate in no regular way, so that a bit kept wrong would show.
    let isObject = (0..<depth).map { ($0 * $0 + $0 / 3) % 5 < 2 }
    let opening = isObject.map { $0 ? #"{"a":"# : "[" }.joined()
    let closing = isObject.reversed().map { $0 ? "}" : "]" }.joined()
    let text = opening + "0" + closing
    #expect(try minifiedJSON(text, depthMax: depth) == text)
    let again = try JSONReader.read(text, depthMax: depth) { (reader) throws(JSONError) in
      try walked(&reader)
    }
    #expect(again == Array(text.utf8))
    for place in [0, depth / 2, depth - 1] {
      var wrong = Array(closing)
      wrong[place] = wrong[place] == "}" ? "]" : "}"
      let error = #expect(throws: JSONError.self) {
        try minifiedJSON(opening + "0" + String(wrong), depthMax: depth)
      }
      let offset = opening.utf8.count + 1 + place
      #expect(error == JSONError(reason: .unexpectedByte, offset: offset))
    }
  }

  @Test func `a million brackets are refused or taken, and nothing overflows`() throws {
    let open = [UInt8](repeating: 0x5B, count: 1_000_000)
    #expect(throws: JSONError(reason: .tooDeep, offset: 64)) { try minifiedJSON(open) }
    #expect(throws: JSONError(reason: .unexpectedEnd, offset: 1_000_000)) {
      try minifiedJSON(open, depthMax: .max)
    }
    let whole = open + [UInt8](repeating: 0x5D, count: 1_000_000)
    #expect(try minifiedJSON(whole, depthMax: 1_000_000).utf8.count == 2_000_000)
    let objects = Array(String(repeating: #"{"":"#, count: 1_000_000).utf8)
    #expect(throws: JSONError(reason: .tooDeep, offset: 256)) { try minifiedJSON(objects) }
  }

  @Test func `what is entered by hand counts too`() throws {
    let error = #expect(throws: JSONError.self) {
      try JSONReader.read(nested(3), depthMax: 2) { (reader) throws(JSONError) in
        try reader.beginArray()
        _ = try reader.nextElement()
        return try reader.readText()
      }
    }
    #expect(error == JSONError(reason: .tooDeep, offset: 2))
    #expect(throws: JSONError(reason: .tooDeep, offset: 1)) {
      try JSONReader.read("[[1]]", depthMax: 1) { (reader) throws(JSONError) in
        try reader.beginArray()
        _ = try reader.nextElement()
        return try reader.readInts()
      }
    }
  }
}
