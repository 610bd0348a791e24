import Testing

@testable import JSON

/// Arrays as texts of elements.
@Suite struct ElementsTests {
  private func elements(_ json: String) throws -> (text: String, starts: [UInt32]) {
    var text: [UInt8] = []
    var starts: ContiguousArray<UInt32> = []
    try JSONReader.read(json) { (reader) throws(JSONError) in
      try reader.readElements(to: &text, starts: &starts)
    }
    return (String(decoding: text, as: UTF8.self), Array(starts))
  }

  static let arrays = [
    "[]", "[1]", "[1,2,3]", "[1, 2, 3]", " [ 1 ,2 , 3,4,5 ] ",
    "[[1, 2],[3,4],{\"a\": 1}, \"x, y\"]",
    "[\"\\\"],\",[],{},null,true,-1.5e+30]", "[[ ],[]]", "[[],[ ],1,2,[3 ],4,5]",
    "[0,1,0,10,-2,123456789012345678,1234567890123456789,12345678901234567890,3]",
    "[1,2.5,30,4e2,5,6]", "[\"a\",1,2,3 ,4,5,\n6,7]", "[1,[2,3],4,5]",
  ]

  @Test(arguments: arrays)
  func `elements are minified, and stand where they are said to`(json: String) throws {
    let (text, starts) = try elements(json)
    let minified = try minifiedJSON(json)
    #expect("[\(text)]" == minified)
    var expected: [Range<Int>] = []
    try JSONReader.read(minified) { (reader) throws(JSONError) in
      try reader.beginArray()
      while try reader.nextElement() { expected.append(try reader.skipValue()) }
    }
    #expect(starts.map { Int($0) + 1 } == expected.map(\.lowerBound))
    var found: [Range<Int>] = []
    Array(minified.utf8).withUnsafeBufferPointer { bytes in
      var elements = JSONElements(bytes)
      while let element = elements.next() { found.append(element) }
    }
    #expect(found == expected)
  }

  @Test func `one million integers are cut as they are`() throws {
    let json = "[" + (0..<1_000_000).map(String.init).joined(separator: ", ") + "]"
    let (text, starts) = try elements(json)
    #expect(starts.count == 1_000_000)
    #expect(text.utf8.count == json.utf8.count - 2 - 999_999)
    #expect(starts.last == UInt32(text.utf8.count - 6))
  }

  @Test func `what is no array is refused`() {
    let refused = [
      "1", "[1,]", "[1 2]", "[1", "[,1]", "{}", "[1,2,]", "[1,2", "[1,2,", "[1,01]", "[1,00,2]",
      "[1,2}", "[1,2a]", "[1,2-]",
    ]
    for json in refused {
      #expect(throws: JSONError.self) { try elements(json) }
    }
  }
}
