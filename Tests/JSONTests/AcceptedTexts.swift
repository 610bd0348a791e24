import JSON
import Testing

/// A text that must be taken, and what it is when minified.
struct AcceptedText: Sendable, CustomTestStringConvertible {
  let rule: String
  let text: String
  let minified: String

  init(_ rule: String, _ text: String, _ minified: String? = nil) {
    self.rule = rule
    self.text = text
    self.minified = minified ?? text
  }

  var testDescription: String { rule }

  static let structure: [AcceptedText] = [
    .init("empty array", "[]"),
    .init("empty array with space", "[ \t\r\n]", "[]"),
    .init("empty object", "{}"),
    .init("empty object with space", "{ }", "{}"),
    .init("empty containers within one another", "[[],{},[[]],{\"a\":{}}]"),
    .init(
      "elements of every kind", "[null, 1, \"1\", true, false, {}, []]",
      "[null,1,\"1\",true,false,{},[]]"),
    .init("one element with space around", "[ 4 ]", "[4]"),
    .init("space before and after the text", "\r\n\t [1]\r\n\t ", "[1]"),
    .init(
      "space around every token", " { \"a\" : [ 1 , 2 ] , \"b\" : null } ",
      "{\"a\":[1,2],\"b\":null}"),
    .init("line breaks between members", "{\n\"a\":\n1,\n\"b\":\r\n2\n}", "{\"a\":1,\"b\":2}"),
    .init("empty name", "{\"\":0}"),
    .init("escape in a name", "{\"a\\u0000b\":1}"),
    .init("duplicate name with other value", "{\"a\":1,\"a\":2}"),
    .init("duplicate name with equal value", "{\"a\":1,\"a\":1}"),
    .init("many members", "{\"min\":-1.0e+28,\"max\":1.0e+28}"),
    .init("nested objects", "{\"x\":[{\"id\":\"aaaa\"}]}"),
    .init("trailing space only after", "2 ", "2"),
  ]

  static let scalars: [AcceptedText] = [
    .init("lone true", "true"),
    .init("lone false", "false"),
    .init("lone null", "null"),
    .init("lone integer", "42"),
    .init("lone negative number", "-0.1"),
    .init("lone string", "\"asd\""),
    .init("lone empty string", "\"\""),
    .init("zero", "[0]"),
    .init("minus zero", "[-0]"),
    .init("minus zero with fraction", "[-0.0]"),
    .init("negative", "[-123]"),
    .init("fraction", "[123.456789]"),
    .init("fraction with leading zeros", "[0.000001]"),
    .init("exponent", "[1e22]"),
    .init("exponent, capital", "[1E22]"),
    .init("exponent with plus", "[1e+2]"),
    .init("exponent with minus", "[1E-2]"),
    .init("exponent of zero", "[0e1]"),
    .init("exponent of zero with plus", "[0e+1]"),
    .init("exponent with leading zeros", "[1e007]"),
    .init("fraction and exponent", "[123.456e78]"),
    .init("close to zero", "[-0.\(String(repeating: "0", count: 80))1]"),
    .init("space after a number", "[4 ]", "[4]"),
  ]

  static let strings: [AcceptedText] = [
    .init("every short escape", #"["\"\\\/\b\f\n\r\t"]"#),
    .init("unicode escape", #"["\u0123\u4567\u89ab\uCDEF"]"#),
    .init("escape of NUL", #"["\u0000"]"#),
    .init("escape of a control character", #"["\u0012"]"#),
    .init("escaped backslash before u", #"["\\u0061"]"#),
    .init("escaped backslash before a quote", #"["\\","\\\""]"#),
    .init("two escapes of one pair", #"["\ud83d\ude39"]"#),
    .init("pair in mixed case", #"["\uD83d\uDe39"]"#),
    .init("two pairs", #"["\ud83d\ude39\ud83d\udc8d"]"#),
    .init("first and last pair", #"["\ud800\udc00\udbff\udfff"]"#),
    .init("escaped noncharacters", #"["\uFFFE\uffff\ufdd0\ud83f\udfff"]"#),
    .init("escapes next to the surrogates", #"["\ud7ff\ue000"]"#),
    .init("DEL as it is", "[\"\u{7F}\"]"),
    .init("two-byte characters", "[\"\u{80}é\u{7FF}\"]"),
    .init("three-byte characters", "[\"\u{800}€\u{D7FF}\u{E000}\u{FFFF}\"]"),
    .init("four-byte characters", "[\"\u{10000}😹\u{10FFFF}\"]"),
    .init("line and paragraph separator", "[\"\u{2028}\u{2029}\"]"),
    .init("no-break space in a string", "[\"\u{A0}\"]"),
    .init("byte order mark in a string", "[\"\u{FEFF}\"]"),
    .init("space in a string stays", #"[ "a b\t c" , " " ]"#, #"["a b\t c"," "]"#),
    .init("punctuation in a string", #"["{[,:]}//*1e*/"]"#),
    .init("a quote at each of 16 places", quotesAtEveryPlace),
    .init("unassigned and combining", "[\"\u{200B}\u{301}\u{E01EF}\"]"),
  ]

  /// What the RFC leaves to the implementation, taken: texts pass through exact, so that a number's
  /// size or precision is the business of whoever asks for its value.
  static let leftToUs: [AcceptedText] = [
    .init("number too great for a double", "[1e400]"),
    .init("number too small for a double", "[123.456e-789]"),
    .init("negative number too great", "[-1e+9999]"),
    .init("exponent of many digits", "[0.4e00669999999999999999999999999999999999999999999999999]"),
    .init("integer of many digits", "[" + String(repeating: "123456789", count: 50) + "]"),
    .init("integer just above 64 bits", "[18446744073709551616,-9223372036854775809]"),
    .init("fraction of many digits", "[0." + String(repeating: "3", count: 500) + "]"),
    .init("30 factorial", "265252859812191058636308480000000"),
  ]
}

/// An array of strings that put an escaped quote behind 0, 1, 2 … plain bytes.
private let quotesAtEveryPlace =
  "["
  + (0..<16).map { "\"" + String(repeating: "x", count: $0) + #"\"y""# }.joined(separator: ",")
  + "]"

@Suite struct AcceptedTests {
  @Test(arguments: AcceptedText.structure + AcceptedText.scalars)
  func `structure and scalars of the grammar are taken`(_ given: AcceptedText) throws {
    try expectTaken(given)
  }

  @Test(arguments: AcceptedText.strings)
  func `strings of the grammar are taken as they are written`(_ given: AcceptedText) throws {
    try expectTaken(given)
  }

  @Test(arguments: AcceptedText.leftToUs)
  func `numbers of any size pass exact`(_ given: AcceptedText) throws {
    try expectTaken(given)
  }

  private func expectTaken(_ given: AcceptedText) throws {
    #expect(try minifiedJSON(given.text) == given.minified)
    #expect(try minifiedJSON(Array(given.text.utf8)) == given.minified)
    #expect(try minifiedJSON(given.minified) == given.minified, "minified is stable")
    #expect(Array(given.minified.utf8).withUnsafeBufferPointer { isMinifiedJSON($0) })
    let isMinified = Array(given.text.utf8).withUnsafeBufferPointer { isMinifiedJSON($0) }
    #expect(isMinified == (given.text == given.minified))
    #expect(minifiedNaively(Array(given.text.utf8)) == Array(given.minified.utf8))
    let text = given.text
    let span = try JSONReader.read(text) { (reader) throws(JSONError) in try reader.skipValue() }
    #expect(try minifiedJSON(Array(Array(text.utf8)[span])) == given.minified)
    var appended: [UInt8] = [0x21]
    try JSONReader.read(text) { (reader) throws(JSONError) in
      try reader.appendText(to: &appended)
    }
    #expect(appended == [0x21] + Array(given.minified.utf8))
  }
}
