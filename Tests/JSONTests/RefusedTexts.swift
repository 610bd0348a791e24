import JSON
import Testing

/// A text that must be refused, with the reason and the place.
struct RefusedText: Sendable, CustomTestStringConvertible {
  let bytes: [UInt8]
  let error: JSONError

  init(_ text: String, _ reason: JSONError.Reason, _ offset: Int) {
    self.init(Array(text.utf8), reason, offset)
  }

  init(_ bytes: [UInt8], _ reason: JSONError.Reason, _ offset: Int) {
    self.bytes = bytes
    error = JSONError(reason: reason, offset: offset)
  }

  /// A string in an array whose content is `content`; the offset counts from that content.
  init(string content: [UInt8], _ reason: JSONError.Reason, _ offset: Int) {
    self.init([0x5B, 0x22] + content + [0x22, 0x5D], reason, offset + 2)
  }

  /// The same, with text for bytes.
  init(string content: String, _ reason: JSONError.Reason, _ offset: Int) {
    self.init(string: Array(content.utf8), reason, offset)
  }

  var testDescription: String { String(decoding: bytes.prefix(40), as: UTF8.self).debugDescription }

  static let structure: [RefusedText] = [
    // Nothing, or nothing but space.
    .init("", .unexpectedEnd, 0), .init(" ", .unexpectedEnd, 1), .init("\n\t", .unexpectedEnd, 2),
    // Arrays.
    .init("[", .unexpectedEnd, 1), .init("]", .unexpectedByte, 0), .init("[,", .unexpectedByte, 1),
    .init("[,]", .unexpectedByte, 1), .init("[,1]", .unexpectedByte, 1),
    .init("[1,]", .unexpectedByte, 3), .init("[1,,2]", .unexpectedByte, 3),
    .init("[1,\n]", .unexpectedByte, 4), .init("[\"\",]", .unexpectedByte, 4),
    .init("[1 2]", .unexpectedByte, 3), .init("[1;2]", .unexpectedByte, 2),
    .init("[1:2]", .unexpectedByte, 2), .init("[\"a\":1]", .unexpectedByte, 4),
    .init("[\"x\"", .unexpectedEnd, 4), .init("[1", .unexpectedEnd, 2),
    .init("[1,", .unexpectedEnd, 3), .init("[\"\"", .unexpectedEnd, 3),
    .init("[3[4]]", .unexpectedByte, 2), .init("[1}", .unexpectedByte, 2),
    .init("[}", .unexpectedByte, 1), .init("[{]", .unexpectedByte, 2),
    .init("[[]", .unexpectedEnd, 3), .init("[a", .unexpectedByte, 1),
    .init("[*]", .unexpectedByte, 1), .init("[<null>]", .unexpectedByte, 1),
    // Objects.
    .init("{", .unexpectedEnd, 1), .init("}", .unexpectedByte, 0), .init("{]", .unexpectedByte, 1),
    .init("{,", .unexpectedByte, 1), .init("{\"a\"", .unexpectedEnd, 4),
    .init("{\"a", .unexpectedEnd, 3), .init("{\"a\":", .unexpectedEnd, 5),
    .init("{\"a\"}", .unexpectedByte, 4), .init("{\"a\" 1}", .unexpectedByte, 5),
    .init("{\"a\"::1}", .unexpectedByte, 5), .init("{\"a\",1}", .unexpectedByte, 4),
    .init("{:1}", .unexpectedByte, 1), .init("{1:1}", .unexpectedByte, 1),
    .init("{a:1}", .unexpectedByte, 1), .init("{'a':1}", .unexpectedByte, 1),
    .init("{null:1}", .unexpectedByte, 1), .init("{[1]:1}", .unexpectedByte, 1),
    .init("{\"a\":1,}", .unexpectedByte, 7), .init("{\"a\":1,,\"b\":2}", .unexpectedByte, 7),
    .init("{\"a\":1 \"b\":2}", .unexpectedByte, 7), .init("{\"a\":1]", .unexpectedByte, 6),
    .init("{\"a\":1", .unexpectedEnd, 6), .init("{\"a\":1,", .unexpectedEnd, 7),
    .init("{\"a\":}", .unexpectedByte, 5), .init("{\"a\":1,2}", .unexpectedByte, 7),
    .init("{\"a\":a}", .unexpectedByte, 5),
    .init("[{\"a\":[1,{\"b\":2}", .unexpectedEnd, 16),
    // After the end.
    .init("[]]", .trailingText, 2), .init("[][]", .trailingText, 2), .init("{}}", .trailingText, 2),
    .init("1 2", .trailingText, 2), .init("[1]x", .trailingText, 3), .init("1,", .trailingText, 1),
    .init("\"a\"\"b\"", .trailingText, 3), .init("{}#", .trailingText, 2),
    .init("truefalse", .trailingText, 4), .init("nulll", .trailingText, 4),
    .init("[]\0", .trailingText, 2), .init("2@", .trailingText, 1),
    // No comments, no other white space.
    .init("[1/*x*/]", .unexpectedByte, 2), .init("//x\n1", .unexpectedByte, 0),
    .init("[1]//x", .trailingText, 3), .init("[\u{0C}]", .unexpectedByte, 1),
    .init("[\u{0B}1]", .unexpectedByte, 1), .init("\u{A0}[]", .unexpectedByte, 0),
    .init("[\u{2060}]", .unexpectedByte, 1), .init("[\0]", .unexpectedByte, 1),
    .init("[1\0]", .unexpectedByte, 2), .init("\u{85}1", .unexpectedByte, 0),
    .init("[\u{1F}]", .unexpectedByte, 1), .init("[1\u{7F}]", .unexpectedByte, 2),
    // Byte order marks, other encodings, stray bytes.
    .init("\u{FEFF}{}", .byteOrderMark, 0), .init([0xEF, 0xBB, 0xBF], .byteOrderMark, 0),
    .init([0xEF, 0xBB, 0x7B, 0x7D], .unexpectedByte, 0), .init([0xEF], .unexpectedByte, 0),
    .init(" \u{FEFF}1", .unexpectedByte, 1), .init([0xFF, 0xFE, 0x5B, 0x00], .unexpectedByte, 0),
    .init([0x00, 0x5B, 0x00, 0x5D], .unexpectedByte, 0),
    .init([0x5B, 0xFF, 0x5D], .unexpectedByte, 1),
    .init("[é]", .unexpectedByte, 1), .init([0x5B, 0x31, 0xE5, 0x5D], .unexpectedByte, 2),
  ]

  static let words: [RefusedText] = [
    .init("t", .unexpectedEnd, 1), .init("tru", .unexpectedEnd, 3),
    .init("fals", .unexpectedEnd, 4),
    .init("nul", .unexpectedEnd, 3), .init("[nul]", .unexpectedByte, 4),
    .init("[tru]", .unexpectedByte, 4), .init("[fals]", .unexpectedByte, 5),
    .init("[True]", .unexpectedByte, 1), .init("TRUE", .unexpectedByte, 0),
    .init("[nuLl]", .unexpectedByte, 3), .init("[nan]", .unexpectedByte, 2),
    .init("NaN", .unexpectedByte, 0), .init("Infinity", .unexpectedByte, 0),
    .init("[truth]", .unexpectedByte, 4), .init("[nulltrue]", .unexpectedByte, 5),
    .init("undefined", .unexpectedByte, 0), .init("abc", .unexpectedByte, 0),
    .init("'a'", .unexpectedByte, 0), .init("[\u{FF11}]", .unexpectedByte, 1),
  ]

  static let numbers: [RefusedText] = [
    .init("-", .unexpectedEnd, 1), .init("[-]", .invalidNumber, 2),
    .init("[--1]", .invalidNumber, 2),
    .init("[+1]", .unexpectedByte, 1), .init("[-+1]", .invalidNumber, 2),
    .init("[- 1]", .invalidNumber, 2), .init("[-a]", .invalidNumber, 2),
    .init("[-Infinity]", .invalidNumber, 2), .init("[-NaN]", .invalidNumber, 2),
    .init("01", .invalidNumber, 1), .init("[00]", .invalidNumber, 2),
    .init("[-01]", .invalidNumber, 3), .init("[-012]", .invalidNumber, 3),
    .init("[012]", .invalidNumber, 2), .init("[00.5]", .invalidNumber, 2),
    .init("[.1]", .unexpectedByte, 1), .init("[-.1]", .invalidNumber, 2),
    .init("[1.]", .invalidNumber, 3), .init("1.", .unexpectedEnd, 2),
    .init("[-2.]", .invalidNumber, 4), .init("[1.e5]", .invalidNumber, 3),
    .init("[0.e1]", .invalidNumber, 3), .init("[1.-2]", .invalidNumber, 3),
    .init("[1..2]", .invalidNumber, 3), .init("[1.2.3]", .unexpectedByte, 4),
    .init("[1e]", .invalidNumber, 3), .init("1e", .unexpectedEnd, 2),
    .init("[1E]", .invalidNumber, 3), .init("[1e+]", .invalidNumber, 4),
    .init("1e-", .unexpectedEnd, 3), .init("[1E-]", .invalidNumber, 4),
    .init("[0e]", .invalidNumber, 3), .init("[0.3e]", .invalidNumber, 5),
    .init("[0.3e+]", .invalidNumber, 6), .init("[1ea]", .invalidNumber, 3),
    .init("[1eE2]", .invalidNumber, 3), .init("[1e+-2]", .invalidNumber, 4),
    .init("[1e1.5]", .unexpectedByte, 4), .init("[0x1]", .unexpectedByte, 2),
    .init("[0x42]", .unexpectedByte, 2), .init("[1a]", .unexpectedByte, 2),
    .init("[1+2]", .unexpectedByte, 2), .init("[1-2]", .unexpectedByte, 2),
    .init("[1_000]", .unexpectedByte, 2), .init("[1 000]", .unexpectedByte, 3),
    .init("[1,000]", .invalidNumber, 4), .init("[1\u{FF11}]", .unexpectedByte, 2),
    .init("-1x", .trailingText, 2), .init("0 1", .trailingText, 2),
  ]

  static let strings: [RefusedText] = [
    // Where it ends.
    .init("\"", .unexpectedEnd, 1), .init("\"abcdefghijklm", .unexpectedEnd, 14),
    .init("[\"a]", .unexpectedEnd, 4), .init("\"a\\\"", .unexpectedEnd, 4),
    .init("\"\\", .unexpectedEnd, 2), .init("\"\\u", .unexpectedEnd, 3),
    .init("\"\\u00", .unexpectedEnd, 5), .init("\"\\ud83d", .unexpectedEnd, 7),
    .init("\"\\ud83d\\", .unexpectedEnd, 8), .init("\"\\ud83d\\ude", .unexpectedEnd, 11),
    .init([0x22, 0xE2, 0x82], .unexpectedEnd, 3), .init([0x22, 0xF0], .unexpectedEnd, 2),
    // Escapes.
    .init(string: #"\x41"#, .invalidEscape, 0), .init(string: #"ab\a"#, .invalidEscape, 2),
    .init(string: #"\'"#, .invalidEscape, 0), .init(string: #"\0"#, .invalidEscape, 0),
    .init(string: #"\U0041"#, .invalidEscape, 0), .init(string: #"\N"#, .invalidEscape, 0),
    .init(string: "\\\n", .invalidEscape, 0), .init(string: "\\\0", .invalidEscape, 0),
    .init(string: "\\é", .invalidEscape, 0), .init(string: #"\\\v"#, .invalidEscape, 2),
    .init(string: #"\u"#, .invalidEscape, 0), .init(string: #"\u004"#, .invalidEscape, 0),
    .init(string: #"\u00G0"#, .invalidEscape, 0), .init(string: #"\u+041"#, .invalidEscape, 0),
    .init(string: #"\u 041"#, .invalidEscape, 0), .init(string: #"\u00/0"#, .invalidEscape, 0),
    .init(string: #"\u00:0"#, .invalidEscape, 0), .init(string: #"\u00@0"#, .invalidEscape, 0),
    .init(string: #"\u00`0"#, .invalidEscape, 0), .init(string: #"\u00g0"#, .invalidEscape, 0),
    .init(string: [0x5C, 0xE5], .invalidEscape, 0), .init(string: #"\u12é"#, .invalidEscape, 0),
    // Control characters, at every place of an eight-byte step.
    .init(string: "\n", .controlCharacter, 0), .init(string: "a\tb", .controlCharacter, 1),
    .init(string: "\0", .controlCharacter, 0), .init(string: "1234567\u{1F}", .controlCharacter, 7),
    .init(string: "12345678\u{01}", .controlCharacter, 8),
    .init(string: "123456789\r", .controlCharacter, 9),
    .init(string: "é\u{0B}", .controlCharacter, 2), .init("{\"a\n\":1}", .controlCharacter, 3),
  ]

  /// The RFC says nothing of lone surrogates but that they are unpredictable (section 8.2), so
  /// parsers differ. They have no UTF-8 form, so a `String` cannot hold them: refused, as I-JSON
  /// (RFC 7493) does.
  static let surrogates: [RefusedText] = [
    .init(string: #"\ud800"#, .loneSurrogate, 0), .init(string: #"\uDBFF"#, .loneSurrogate, 0),
    .init(string: #"\udc00"#, .loneSurrogate, 0), .init(string: #"\uDFFF"#, .loneSurrogate, 0),
    .init(string: #"\ud800abc"#, .loneSurrogate, 0),
    .init(string: #"ab\ud800\n"#, .loneSurrogate, 2),
    .init(string: #"\ud800\u0041"#, .loneSurrogate, 0),
    .init(string: #"\ud800\ud800\udc00"#, .loneSurrogate, 0),
    .init(string: #"\udc00\ud800"#, .loneSurrogate, 0),
    .init(string: #"\ud800\udc00\udc00"#, .loneSurrogate, 12),
    .init(string: #"\ud800\uue00"#, .invalidEscape, 6),
    .init(string: #"\ud800\\udc00"#, .loneSurrogate, 0),
    .init("{\"\\ud800\":1}", .loneSurrogate, 2),
  ]

  /// RFC 8259, section 8.1: the text must be UTF-8. What RFC 3629 calls invalid is never passed
  /// on, nor replaced, for what comes out must be what went in.
  static let encodings: [RefusedText] = [
    .init(string: [0x80], .invalidUTF8, 0), .init(string: [0xBF], .invalidUTF8, 0),
    .init(string: [0x61, 0xFF], .invalidUTF8, 1), .init(string: [0xFE], .invalidUTF8, 0),
    .init(string: [0xE5], .invalidUTF8, 0), .init(string: [0xE9, 0x61], .invalidUTF8, 0),
    // Overlong.
    .init(string: [0xC0, 0xAF], .invalidUTF8, 0), .init(string: [0xC1, 0xBF], .invalidUTF8, 0),
    .init(string: [0xE0, 0x80, 0xAF], .invalidUTF8, 0),
    .init(string: [0xE0, 0x9F, 0xBF], .invalidUTF8, 0),
    .init(string: [0xF0, 0x80, 0x80, 0xAF], .invalidUTF8, 0),
    .init(string: [0xF0, 0x8F, 0xBF, 0xBF], .invalidUTF8, 0),
    .init(string: [0xFC, 0x83, 0xBF, 0xBF, 0xBF, 0xBF], .invalidUTF8, 0),
    // Surrogates, also as a pair (CESU-8).
    .init(string: [0xED, 0xA0, 0x80], .invalidUTF8, 0),
    .init(string: [0xED, 0xBF, 0xBF], .invalidUTF8, 0),
    .init(string: [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0xB9], .invalidUTF8, 0),
    // Above U+10FFFF.
    .init(string: [0xF4, 0x90, 0x80, 0x80], .invalidUTF8, 0),
    .init(string: [0xF5, 0x80, 0x80, 0x80], .invalidUTF8, 0),
    .init(string: [0xF8, 0x88, 0x80, 0x80, 0x80], .invalidUTF8, 0),
    // Cut short by another byte.
    .init(string: [0xC3, 0x28], .invalidUTF8, 0),
    .init(string: [0xE2, 0x82, 0x28], .invalidUTF8, 0),
    .init(string: [0xE2, 0x28, 0xA1], .invalidUTF8, 0),
    .init(string: [0xF0, 0x9F, 0x98, 0x28], .invalidUTF8, 0),
    .init(string: [0xF0, 0x9F, 0x28, 0xB9], .invalidUTF8, 0),
    .init(string: [0xC3, 0xA9, 0xC3], .invalidUTF8, 2),
    .init(string: [0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0xA9], .invalidUTF8, 7),
  ]
}

@Suite struct RefusedTests {
  @Test(
    arguments: RefusedText.structure + RefusedText.words + RefusedText.numbers
      + RefusedText.strings + RefusedText.surrogates + RefusedText.encodings)
  func `what the grammar forbids is refused with reason and place`(_ given: RefusedText) {
    let error = #expect(throws: JSONError.self) { try minifiedJSON(given.bytes) }
    #expect(error == given.error, "\(error.map(String.init(describing:)) ?? "")")
    #expect(minifiedNaively(given.bytes) == nil)
    #expect(!given.bytes.withUnsafeBufferPointer { isMinifiedJSON($0) })
  }

  /// The pull reader walks by other code than `readText()`; it must not be laxer or blame another
  /// place.
  @Test(
    arguments: RefusedText.structure + RefusedText.words + RefusedText.numbers
      + RefusedText.strings + RefusedText.surrogates + RefusedText.encodings)
  func `walking member by member refuses the same at the same place`(_ given: RefusedText) {
    let error = #expect(throws: JSONError.self) {
      try JSONReader.read(given.bytes) { (reader) throws(JSONError) in try walked(&reader) }
    }
    #expect(error == given.error, "\(error.map(String.init(describing:)) ?? "")")
  }
}
