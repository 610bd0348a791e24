import JSON
import TestSupport
import Testing

@Suite struct NumberTests {
  private func int(_ text: String) throws(JSONError) -> Int {
    try JSONReader.read(text) { (reader) throws(JSONError) in try reader.readInt() }
  }

  private func double(_ text: String) throws(JSONError) -> Double {
    try JSONReader.read(text) { (reader) throws(JSONError) in try reader.readDouble() }
  }

  @Test func `integers are read to the last one that fits`() throws {
    var values: [Int] = [0, 1, -1, 9, 10, 99, 1_234_567, .max, .max - 1, .min, .min + 1]
    for bit in 0..<63 {
      let power = 1 << bit
      values += [power, -power, power - 1]
    }
    for value in values {
      #expect(try int("\(value)") == value)
      #expect(try int(" \(value) ") == value)
    }
    #expect(try int("-0") == 0)
    #expect(try int("999999999999999999") == 999_999_999_999_999_999)
    #expect(try int("1000000000000000000") == 1_000_000_000_000_000_000)
  }

  @Test(arguments: [
    "9223372036854775808", "-9223372036854775809", "18446744073709551616", "10000000000000000000",
    "265252859812191058636308480000000", "-99999999999999999999999999",
  ])
  func `an integer that does not fit is refused, not rounded`(_ text: String) {
    #expect(throws: JSONError(reason: .numberOutOfRange, offset: 1)) { try int(" " + text) }
  }

  @Test(arguments: ["1.0", "1e3", "1E3", "-0.0", "0e0", "12345678901234567890.5", "1e400"])
  func `a number with a fraction or an exponent is no integer`(_ text: String) {
    #expect(throws: JSONError(reason: .notAnInteger, offset: 0)) { try int(text) }
  }

  @Test(arguments: [
    ("01", JSONError.Reason.invalidNumber, 1), ("-01", .invalidNumber, 2),
    ("00000000000000000001", .invalidNumber, 1), ("-", .unexpectedEnd, 1),
    ("-x", .invalidNumber, 1), ("1.", .unexpectedEnd, 2), ("1.x", .invalidNumber, 2),
    ("1ex", .invalidNumber, 2), ("1x", .trailingText, 1), ("+1", .unexpectedByte, 0),
  ])
  func `what is no number is refused by every way of reading one`(
    _ text: String, _ reason: JSONError.Reason, _ offset: Int
  ) {
    let expected = JSONError(reason: reason, offset: offset)
    #expect(throws: expected) { try int(text) }
    #expect(throws: expected) { try double(text) }
    #expect(throws: expected) {
      try JSONReader.read(text) { (reader) throws(JSONError) in try reader.readNumberText() }
    }
  }

  @Test func `the text of a number is what was written`() throws {
    for text in ["1e400", "-0", "1.0", "0.10", "1E+05", "265252859812191058636308480000000"] {
      let read = try JSONReader.read(text) { (reader) throws(JSONError) in
        try reader.readNumberText()
      }
      #expect(read == text)
    }
  }

  /// Numbers that the fast way must round as the standard library does: halfway cases of 2^53 and
  /// beyond, quotients that fall just beside a half, 19 and 20 digits, every power in reach.
  @Test func `doubles are rounded to the nearest, ties to even`() throws {
    var texts = [
      "0", "-0", "0.0", "-0.0e5", "0.1", "0.2", "0.3", "1e22", "1e23", "9007199254740993",
      "9007199254740992.5", "9007199254740993.0", "9007199254740995", "9007199254740993e1",
      "900719925474099250e-2", "18446744073709551615", "9999999999999999999",
      "18446744073709551616", "0.30000000000000004", "1.7976931348623157e308",
      "2.2250738585072014e-308", "4.9e-324", "5e-324", "2.4703282292062327e-324", "1e-400",
      "123456789012345678e-19", "0.5000000000000000277", "1.00000000000000011102230246251565",
      "7450580596923828125e-27", "1e-19", "1e19", "1e20", "1e-20", "9223372036854775807e-19",
      "1e0000000000000000000000000000000000001", "4503599627370496.5", "4503599627370497.5",
    ]
    for exponent in -30...30 {
      for digits in ["1", "7", "9007199254740993", "4503599627370497", "9999999999999999999"] {
        texts.append("\(digits)e\(exponent)")
      }
    }
    for text in texts {
      let value = try double(text)
      #expect(value.bitPattern == Double(text)?.bitPattern, "\(text)")
    }
  }

  @Test func `seeded decimals round as the standard library rounds them`() throws {
    let seed = testSeed()
    var random = SplitMix(seed: seed)
    for _ in 0..<20_000 {
      let digits = (0..<Int.random(in: 1...21, using: &random)).map { _ in
        Character("\(Int.random(in: 0...9, using: &random))")
      }
      let point = Int.random(in: 0...6, using: &random) * digits.count / 6
      var text = Int(String(digits[..<point])).map(String.init) ?? "0"
      if point < digits.count { text += "." + String(digits[point...]) }
      if Bool.random(using: &random) { text += "e\(Int.random(in: -40...40, using: &random))" }
      if Bool.random(using: &random) { text = "-" + text }
      let value = try double(text)
      #expect(value.bitPattern == Double(text)?.bitPattern, "\(text), seed \(seed)")
    }
  }

  @Test(arguments: ["1e400", "-1e400", "1.7976931348623159e308", "1e99999999999999999999"])
  func `a number that would round to infinity is refused`(_ text: String) throws {
    #expect(throws: JSONError(reason: .numberOutOfRange, offset: 0)) { try double(text) }
    #expect(try minifiedJSON(text) == text)
  }

  @Test func `a number of a million digits passes, and is out of an integer's range`() throws {
    let text = "1" + String(repeating: "0", count: 1_000_000)
    #expect(try minifiedJSON(text) == text)
    #expect(throws: JSONError(reason: .numberOutOfRange, offset: 0)) { try int(text) }
    #expect(throws: JSONError(reason: .numberOutOfRange, offset: 0)) { try double(text) }
    #expect(try double("0." + text) == 0.1)
  }
}
