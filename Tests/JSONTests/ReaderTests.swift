import JSON
import Testing

@Suite struct ReaderTests {
  private struct Submission: Equatable {
    var task = ""
    var args = ""
    var priority = 0
    var timeout: Double?
    var tags: [String] = []
    var isDurable = false
    var parent: String?
  }

  private func submission(_ text: String) throws(JSONError) -> Submission {
    try JSONReader.read(text) { (reader) throws(JSONError) in
      var result = Submission()
      try reader.beginObject()
      while let name = try reader.nextMember() {
        switch name {
        case "task": result.task = try reader.readString()
        case "args": result.args = try reader.readText()
        case "priority": result.priority = try reader.readInt()
        case "timeout": result.timeout = try reader.readDouble()
        case "tags": result.tags = try reader.readStrings()
        case "durable": result.isDurable = try reader.readBool()
        case "parent":
          if try reader.kind() == .null {
            try reader.readNull()
          } else {
            result.parent = try reader.readString()
          }
        default: try reader.skipValue()
        }
      }
      return result
    }
  }

  @Test func `members are read in their order, whatever they hold`() throws {
    let given = #"""
      { "task" : "squ\u0061re", "args": [ 3, {"x": [ ] } ], "un\u006bnown" : [[{}]], "parent":null,
        "priority": -7, "timeout":2.5e-1 , "tags": [ "a" , "\n" ], "durable": true }
      """#
    let expected = Submission(
      task: "square", args: #"[3,{"x":[]}]"#, priority: -7, timeout: 0.25, tags: ["a", "\n"],
      isDurable: true)
    #expect(try submission(given) == expected)
    #expect(try submission("{}") == Submission())
    #expect(try submission(#"{"parent":"p"}"#).parent == "p")
  }

  @Test func `a document cut anywhere is refused, and says that it ends too early`() throws {
    let given = #"{"task":"é\ud83d\ude39😹","args":[1.5e+3,-0,[true,{"a":null}],""],"n":12 }"#
    let bytes = Array(given.utf8)
    _ = try minifiedJSON(bytes)
    for count in 0..<bytes.count {
      let cut = Array(bytes[..<count])
      let expected = JSONError(reason: .unexpectedEnd, offset: count)
      #expect(throws: expected) { try minifiedJSON(cut) }
      #expect(throws: expected) {
        try JSONReader.read(cut) { (reader) throws(JSONError) in try walked(&reader) }
      }
    }
  }

  @Test func `values that are not read are skipped, and checked`() throws {
    let text = #"[{"a":[1,2],"b":3},{"a":4},5]"#
    let names = try JSONReader.read(text) { (reader) throws(JSONError) in
      var names: [String] = []
      try reader.beginArray()
      _ = try reader.nextElement()
      try reader.beginObject()
      while let name = try reader.nextMember() { names.append(name) }
      while try reader.nextElement() { names.append("-") }
      return names
    }
    #expect(names == ["a", "b", "-", "-"])
    #expect(try JSONReader.read("[1]") { _ in 7 } == 7)
    #expect(throws: JSONError(reason: .invalidNumber, offset: 7)) {
      try JSONReader.read(#"{"a":[01],"b":2}"#) { (reader) throws(JSONError) in
        try reader.beginObject()
        while try reader.nextMember() != nil {}
      }
    }
  }

  @Test func `a body may return early, and the rest is checked all the same`() throws {
    func firstName(_ text: String) throws(JSONError) -> String? {
      try JSONReader.read(text) { (reader) throws(JSONError) in
        try reader.beginArray()
        _ = try reader.nextElement()
        try reader.beginObject()
        return try reader.nextMember()
      }
    }
    #expect(try firstName(#"[{"a":[1,{}],"b":2},[3]]"#) == "a")
    #expect(try firstName(#"[{},1]"#) == nil)
    #expect(throws: JSONError(reason: .unexpectedByte, offset: 17)) {
      try firstName(#"[{"a":1,"b":2},[3}]"#)
    }
    #expect(throws: JSONError(reason: .trailingText, offset: 9)) { try firstName(#"[{"a":1}]]"#) }
  }

  @Test func `asking for the wrong kind says what stands there`() {
    let values: [(text: String, kind: JSONKind)] = [
      ("{}", .object), ("[]", .array), ("\"a\"", .string), ("-1", .number), ("true", .bool),
      ("false", .bool), ("null", .null),
    ]
    for (text, found) in values {
      for expected in [JSONKind.object, .array, .string, .number, .bool, .null] {
        let error = error(reading: " " + text, as: expected)
        let wrong = JSONError.Reason.wrongType(
          expected: expected.rawValue, found: found.rawValue)
        #expect(error == (expected == found ? nil : JSONError(reason: wrong, offset: 1)))
      }
    }
    for expected in [JSONKind.object, .array, .string, .number, .bool, .null] {
      #expect(error(reading: "?", as: expected) == JSONError(reason: .unexpectedByte, offset: 0))
      #expect(error(reading: " ", as: expected) == JSONError(reason: .unexpectedEnd, offset: 1))
    }
  }

  private func error(reading text: String, as kind: JSONKind) -> JSONError? {
    do {
      try JSONReader.read(text) { (reader) throws(JSONError) in
        switch kind {
        case .object:
          try reader.beginObject()
          while try reader.nextMember() != nil {}
        case .array:
          try reader.beginArray()
          while try reader.nextElement() {}
        case .string: _ = try reader.readString()
        case .number: _ = try reader.readNumberText()
        case .bool: _ = try reader.readBool()
        case .null: try reader.readNull()
        }
      }
      return nil
    } catch {
      return error
    }
  }

  @Test func `kind consumes nothing but white space`() throws {
    let bytes = Array(" \n[ 1]".utf8)
    try bytes.withUnsafeBufferPointer { buffer in
      var reader = JSONReader(buffer)
      #expect(try reader.kind() == .array)
      #expect(try reader.kind() == .array)
      #expect(reader.offset == 2)
      try reader.beginArray()
      let isThere = try reader.nextElement()
      #expect(isThere)
      #expect(try reader.kind() == .number)
      #expect(reader.offset == 4)
      let value = try reader.readInt()
      #expect(value == 1)
      let isMore = try reader.nextElement()
      #expect(!isMore)
      #expect(reader.offset == 6)
      try reader.end()
    }
  }

  @Test func `skipping answers where the value stands`() throws {
    let text = Array(#"{"a" : [1, "x"] , "b":2}"#.utf8)
    let spans = try JSONReader.read(text) { (reader) throws(JSONError) in
      var spans: [String] = []
      try reader.beginObject()
      while try reader.nextMember() != nil {
        spans.append(String(decoding: text[try reader.skipValue()], as: UTF8.self))
      }
      return spans
    }
    #expect(spans == [#"[1, "x"]"#, "2"])
  }

  @Test func `a copy is a saved place`() throws {
    let bytes = Array(#"{"a":[1,2],"b":3}"#.utf8)
    try bytes.withUnsafeBufferPointer { buffer in
      var reader = JSONReader(buffer)
      try reader.beginObject()
      _ = try reader.nextMember()
      var ahead = reader
      #expect(try ahead.readInts() == [1, 2])
      #expect(try ahead.nextMember() == "b")
      #expect(try reader.readText() == "[1,2]")
      #expect(try reader.nextMember() == "b")
    }
  }

  @Test func `slices are read from their own beginning`() throws {
    let bytes = Array("xx[1,?]".utf8)
    #expect(try JSONReader.read(bytes[2..<4] + [0x5D]) { $0.depthMax } == 64)
    #expect(throws: JSONError(reason: .unexpectedByte, offset: 3)) {
      try JSONReader.read(bytes[2...]) { (reader) throws(JSONError) in try reader.readText() }
    }
    #expect(throws: JSONError(reason: .unexpectedEnd, offset: 0)) {
      try JSONReader.read(UnsafeBufferPointer<UInt8>(start: nil, count: 0)) {
        (reader) throws(JSONError) in try reader.readText()
      }
    }
  }

  @Test func `the reader of a request can refuse a second name`() throws {
    let error = #expect(throws: JSONError.self) {
      try JSONReader.read(#"{"a":1, "b":2, "\u0061":3}"#) { (reader) throws(JSONError) in
        var names: Set<String> = []
        try reader.beginObject()
        while let name = try reader.nextMember() {
          guard names.insert(name).inserted else { throw reader.duplicateName(name) }
        }
      }
    }
    #expect(error == JSONError(reason: .duplicateName("a"), offset: 15))
  }

  @Test func `escapes decode to what they stand for`() throws {
    let given = #""\"\\\/\b\f\n\r\t\u0000\u00e9\u20AC\ud83d\ude39\uDBFF\uDFFF é€😹""#
    let text = try JSONReader.read(given) { (reader) throws(JSONError) in try reader.readString() }
    let expected =
      "\"\\/\u{08}\u{0C}\n\r\t\0é€😹\u{10FFFF} é€😹"
    #expect(Array(text.unicodeScalars) == Array(expected.unicodeScalars))
  }

  @Test func `arrays of scalars are read whole`() throws {
    func read<T>(
      _ text: String, _ body: (inout JSONReader) throws(JSONError) -> T
    ) throws(JSONError) -> T { try JSONReader.read(text, body) }

    #expect(try read("[ 1 , -2,\n3 ]") { (r) throws(JSONError) in try r.readInts() } == [1, -2, 3])
    #expect(try read(" [ ] ") { (r) throws(JSONError) in try r.readInts() } == [])
    #expect(
      try read("[1,2.5,-1e2]") { (r) throws(JSONError) in try r.readDoubles() } == [1, 2.5, -100])
    #expect(
      try read(#"["a","\n", ""]"#) { (r) throws(JSONError) in try r.readStrings() }
        == ["a", "\n", ""])
    #expect(
      try read("[true , false]") { (r) throws(JSONError) in try r.readBools() } == [true, false])
    let lists = try read("[[1],[],[2,3]]") { (r) throws(JSONError) in
      var lists: [[Int]] = []
      try r.beginArray()
      while try r.nextElement() { lists.append(try r.readInts()) }
      return lists
    }
    #expect(lists == [[1], [], [2, 3]])
  }

  @Test(arguments: [
    ("[1,]", JSONError.Reason.unexpectedByte, 3), ("[1 2]", .unexpectedByte, 3),
    ("[1", .unexpectedEnd, 2), ("[", .unexpectedEnd, 1), ("[1,", .unexpectedEnd, 3),
    ("[1,01]", .invalidNumber, 4), ("[-]", .invalidNumber, 2), ("[1}", .unexpectedByte, 2),
    ("[1,\"a\"]", .wrongType(expected: "number", found: "string"), 3),
    ("{}", .wrongType(expected: "array", found: "object"), 0), ("[1]]", .trailingText, 3),
  ])
  func `arrays of scalars are checked as strictly as any`(
    _ text: String, _ reason: JSONError.Reason, _ offset: Int
  ) {
    let expected = JSONError(reason: reason, offset: offset)
    #expect(throws: expected) {
      try JSONReader.read(text) { (reader) throws(JSONError) in try reader.readInts() }
    }
    #expect(throws: expected) {
      try JSONReader.read(text) { (reader) throws(JSONError) in try reader.readDoubles() }
    }
  }
}
