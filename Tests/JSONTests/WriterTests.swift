import JSON
import TestSupport
import Testing

@Suite struct WriterTests {
  private func written(_ write: (inout JSONWriter) -> Void) -> String {
    var writer = JSONWriter()
    write(&writer)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  @Test func `commas go between values and nowhere else`() throws {
    let text = written { writer in
      writer.beginObject()
      writer.name("a")
      writer.beginArray()
      writer.integer(1)
      writer.string("x")
      writer.bool(true)
      writer.null()
      writer.beginArray()
      writer.endArray()
      writer.beginObject()
      writer.endObject()
      writer.number(0.5)
      writer.text("[1]")
      writer.endArray()
      writer.member("b", text: "{}")
      writer.name("c" as String)
      writer.beginObject()
      writer.member("d", bool: false)
      writer.endObject()
      writer.member("e", integer: 2)
      writer.endObject()
    }
    #expect(text == #"{"a":[1,"x",true,null,[],{},0.5,[1]],"b":{},"c":{"d":false},"e":2}"#)
    #expect(try minifiedJSON(text) == text)
  }

  @Test func `strings that end like brackets do not fool the commas`() {
    let tails = ["{", "[", ":", ",", " ", "\n", "\\", "\""]
    let text = written { writer in
      writer.beginArray()
      for tail in tails { writer.string(tail) }
      writer.endArray()
      writer.raw("\n")
      writer.beginObject()
      for tail in tails {
        writer.name("x" + tail)
        writer.string(tail)
      }
      writer.endObject()
    }
    #expect(
      text == #"["{","[",":",","," ","\n","\\","\""]"# + "\n"
        + #"{"x{":"{","x[":"[","x:":":","x,":",","x ":" ","x\n":"\n","x\\":"\\","x\"":"\""}"#)
  }

  @Test func `at the top a line feed, a space or a prefix parts values`() {
    let text = written { writer in
      writer.integer(1)
      writer.raw("\n")
      writer.string("a")
      writer.raw("\ndata: ")
      writer.beginObject()
      writer.raw("\"a\":1,")
      writer.member("b", integer: 2)
      writer.endObject()
    }
    #expect(text == "1\n\"a\"\ndata: {\"a\":1,\"b\":2}")
    #expect(
      written {
        $0.integer(1)
        $0.integer(2)
      } == "1,2")
  }

  @Test func `every scalar that must be escaped is, and no other`() throws {
    for value in 0...0xFF {
      let scalar = Unicode.Scalar(UInt8(value))
      let expected =
        switch value {
        case 0x08: #"\b"#
        case 0x09: #"\t"#
        case 0x0A: #"\n"#
        case 0x0C: #"\f"#
        case 0x0D: #"\r"#
        case 0x22: #"\""#
        case 0x5C: #"\\"#
        case 0..<0x10: #"\u000"# + String(value, radix: 16)
        case 0x10..<0x20: #"\u00"# + String(value, radix: 16)
        default: String(Character(scalar))
        }
      // At every place of an eight-byte step, with and without something behind.
      for before in 0..<10 {
        let padding =
          String(repeating: "é", count: before % 3) + String(repeating: "x", count: before)
        for after in ["", "y", "yyyyyyyyyz"] {
          let given = padding + String(Character(scalar)) + after
          let text = written { $0.string(given) }
          #expect(Array(text.utf8) == Array(("\"" + padding + expected + after + "\"").utf8))
        }
      }
    }
  }

  @Test func `text beyond ASCII goes in as it is`() {
    let given = "é€😹\u{2028}\u{7F}\u{FEFF}\u{10FFFF}"
    #expect(written { $0.string(given) } == "\"" + given + "\"")
    #expect(written { $0.string("") } == "\"\"")
  }

  @Test func `seeded strings come back as they went`() throws {
    let seed = testSeed()
    var random = SplitMix(seed: seed)
    for _ in 0..<3_000 {
      let given = random.string(lengthMax: 40)
      let text = written { $0.string(given) }
      let back = try JSONReader.read(text) { (reader) throws(JSONError) in
        try reader.readString()
      }
      #expect(back.utf8.elementsEqual(given.utf8), "seed \(seed)")
      #expect(minifiedNaively(Array(text.utf8)) != nil, "seed \(seed)")
    }
  }

  @Test func `integers of every type and length are exact`() {
    #expect(written { $0.integer(Int.min) } == "-9223372036854775808")
    #expect(written { $0.integer(UInt64.max) } == "18446744073709551615")
    #expect(written { $0.integer(Int8.min) } == "-128")
    #expect(written { $0.integer(UInt8(200)) } == "200")
    #expect(written { $0.integer(UInt128.max) } == "\(UInt128.max)")
    #expect(written { $0.integer(Int128.min) } == "\(Int128.min)")
    var power = 1
    var values = [0]
    for _ in 0..<18 {
      power *= 10
      values += [power - 1, power, power + 1, 1 - power, -power, power / 7, power / 3 * 2]
    }
    for value in values { #expect(written { $0.integer(value) } == "\(value)") }
    #expect(
      written { $0.ints(values) }
        == "[" + values.map(String.init).joined(separator: ",") + "]")
  }

  @Test func `numbers are short, read back the same and stay floating`() throws {
    let expected: [(Double, String)] = [
      (0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (-3, "-3.0"), (0.1, "0.1"), (1e16, "1e+16"),
      (9_007_199_254_740_991, "9007199254740991.0"),
      (-9_007_199_254_740_991, "-9007199254740991.0"),
      (.leastNonzeroMagnitude, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
      (0.30000000000000004, "0.30000000000000004"), (123456.789, "123456.789"),
    ]
    for (value, text) in expected { #expect(written { $0.number(value) } == text) }
    let seed = testSeed()
    var random = SplitMix(seed: seed)
    var values: [Double] = []
    while values.count < 5_000 {
      let value = Double(bitPattern: random.next())
      if value.isFinite { values.append(value) }
      values.append(Double(Int.random(in: -1_000_000...1_000_000, using: &random)) / 64)
    }
    let text = written { $0.doubles(values) }
    #expect(try minifiedJSON(text) == text)
    let back = try JSONReader.read(text) { (reader) throws(JSONError) in try reader.readDoubles() }
    #expect(back.map(\.bitPattern) == values.map(\.bitPattern), "seed \(seed)")
  }

  @Test func `arrays of scalars come back as they went, whatever their length`() throws {
    for count in [0, 1, 2, 255, 256, 257, 512, 1000] {
      let ints = (0..<count).map { ($0 - 500) &* 1_234_567_890_123 }
      let strings = ints.map { "\($0)\n" }
      let bools = ints.map { $0 % 3 == 0 }
      let text = written { writer in
        writer.beginArray()
        writer.ints(ints)
        writer.strings(strings)
        writer.bools(bools)
        writer.ints(ints)
        writer.endArray()
      }
      let back = try JSONReader.read(text) { (reader) throws(JSONError) in
        var back: (ints: [[Int]], strings: [String], bools: [Bool]) = ([], [], [])
        try reader.beginArray()
        _ = try reader.nextElement()
        back.ints.append(try reader.readInts())
        _ = try reader.nextElement()
        back.strings = try reader.readStrings()
        _ = try reader.nextElement()
        back.bools = try reader.readBools()
        _ = try reader.nextElement()
        back.ints.append(try reader.readInts())
        while try reader.nextElement() {}
        return back
      }
      #expect(back.ints == [ints, ints])
      #expect(back.strings == strings)
      #expect(back.bools == bools)
    }
  }

  @Test func `members that are not there are left out`() {
    let text = written { writer in
      writer.beginObject()
      writer.memberIfPresent("a", string: nil)
      writer.memberIfPresent("b", string: "x")
      writer.memberIfPresent("c", integer: nil as Int?)
      writer.memberIfPresent("d", integer: 3 as UInt8?)
      writer.memberIfPresent("e", number: nil)
      writer.memberIfPresent("f", number: 2.5)
      writer.memberIfPresent("g", bool: nil)
      writer.memberIfPresent("h", bool: true)
      writer.memberIfPresent("i", text: nil)
      writer.memberIfPresent("j", text: "[]")
      writer.member("k", number: 1)
      writer.member("l", string: "\"")
      writer.member("m", text: Array("{}".utf8))
      writer.endObject()
    }
    #expect(
      text == #"{"b":"x","d":3,"f":2.5,"h":true,"j":[],"k":1.0,"l":"\"","m":{}}"#)
  }

  @Test func `values are spliced from a reader, minified`() throws {
    var writer = JSONWriter(capacity: 16)
    writer.beginArray()
    try JSONReader.read(#"[ 1, {"a" : "b c"}, [ ] ]"#) { (reader) throws(JSONError) in
      try reader.beginArray()
      while try reader.nextElement() { try writer.text(from: &reader) }
    }
    writer.endArray()
    #expect(String(decoding: writer.bytes, as: UTF8.self) == #"[1,{"a":"b c"},[]]"#)
    writer.removeAll()
    [0x31, 0x32].withUnsafeBufferPointer { writer.text($0) }
    #expect(writer.bytes == [0x31, 0x32])
  }
}
