import JobCore
import Testing

@testable import JobServer

/// Moments, quantities and pointers as text.
@Suite struct TextFormTests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (1, "1970-01-01T00:00:00.001Z"),
      (-1, "1969-12-31T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
      (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
      (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
      (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
      (1_795_231_151_042, "2026-11-21T03:19:11.042Z"),
      (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
      (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
      (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
      (253_402_300_800_000, "9999-12-31T23:59:59.999Z"), (.max, "9999-12-31T23:59:59.999Z"),
      (-62_167_219_200_001, "0000-01-01T00:00:00.000Z"), (.min, "0000-01-01T00:00:00.000Z"),
    ] as [(Timestamp, String)])
  func `a moment is written as RFC 3339 has it`(timestamp: Timestamp, text: String) {
    #expect(RFC3339.text(of: timestamp) == text)
  }

  @Test(
    arguments: [
      0, 1, 999, 1_000, -1, -1_000, -1_001, 1_795_231_151_042, 1_709_251_199_999,
      253_402_300_799_999, 253_402_300_800_000, -62_167_219_200_000, -62_167_219_200_001, .max,
      .min,
    ] as [Timestamp])
  func `a moment is written near another as it is alone`(other: Timestamp) {
    let second = RFC3339.Second(of: other)
    let distances: [Timestamp] = [0, 1, 9, 10, 99, 100, 999, 1_000, -1, -999, -1_000, 86_400_000]
    for distance in distances {
      let (timestamp, isOutside) = other.addingReportingOverflow(distance)
      if isOutside { continue }
      let text = String(unsafeUninitializedCapacity: RFC3339.length) { buffer in
        buffer.baseAddress.map { second.write(timestamp, to: $0) }
        return RFC3339.length
      }
      #expect(text == RFC3339.text(of: timestamp), "\(distance) ms from \(other)")
    }
  }

  @Test(
    arguments: [
      ("0", 0), ("007", 7), ("9223372036854775807", .max), ("", nil), ("+5", nil), ("-1", nil),
      ("-0", nil), (" 5", nil), ("5 ", nil), ("1e2", nil), ("0x1", nil), ("٣", nil),
      ("9223372036854775808", nil),
    ] as [(String, Int?)])
  func `a number in a query has digits only`(text: String, number: Int?) {
    #expect(Int(digits: text) == number)
  }

  /// Day by day through four centuries, against the rule that every schoolchild knows.
  @Test func `the calendar is the Gregorian one`() {
    var (year, month, day) = (1970, 1, 1)
    for number in 0..<146_097 as Range<Timestamp> {
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
      let expected = "\(year)-\(padded(month))-\(padded(day))"
      if RFC3339.text(of: number * 86_400_000).prefix(10) != expected {
        Issue.record("day \(number) is \(expected), not \(RFC3339.text(of: number * 86_400_000))")
        return
      }
      day += 1
      if day > lengths[month - 1] { (month, day) = (month + 1, 1) }
      if month > 12 { (year, month) = (year + 1, 1) }
    }
    #expect(year == 2370)
  }

  @Test(
    arguments: [
      ("250ms", 250), ("2s", 2_000), ("2", 2_000), ("0.5", 500), ("5m", 300_000),
      ("24h", 86_400_000),
      ("1d", 86_400_000), ("1 h", 3_600_000), ("1_000ms", 1_000), ("0", 0), ("0.4ms", 0),
      ("", nil), ("s", nil), ("-1", nil), ("1y", nil), ("1.2.3", nil), ("soon", nil), ("1e3", nil),
      ("+5", nil), ("5 s s", nil), ("١s", nil), ("1e400", nil), ("99999999999d", nil), ("inf", nil),
    ] as [(String, Milliseconds?)])
  func `a length of time is read`(text: String, milliseconds: Milliseconds?) {
    #expect(Quantity.milliseconds(text) == milliseconds)
  }

  @Test(
    arguments: [
      ("0", 0), ("65536", 65_536), ("64B", 64), ("8MiB", 8 << 20), ("512KiB", 512 << 10),
      ("1K", 1_024), ("1M", 1 << 20), ("1G", 1 << 30), ("1GiB", 1 << 30), ("10MB", 10_000_000),
      ("1kB", 1_000), ("1KB", 1_000), ("1GB", 1_000_000_000), ("1.5 KiB", 1_536),
      ("", nil), ("8XiB", nil), ("big", nil), ("-1", nil), ("MiB", nil), ("1e400", nil),
      ("1 1", nil),
      ("99999999999GiB", nil),
    ] as [(String, Int?)])
  func `a number of bytes is read`(text: String, bytes: Int?) {
    #expect(Quantity.bytes(text) == bytes)
  }

  @Test(
    arguments: [
      ("1", 1), ("1_000_000", 1_000_000), ("-3", -3), ("", nil), ("1.5", nil), ("x", nil),
      ("_", nil),
      ("99999999999999999999", nil),
    ] as [(String, Int?)])
  func `a whole number is read`(text: String, count: Int?) {
    #expect(Quantity.count(text) == count)
  }

  @Test(arguments: [
    ("a", "/a"), ("", "/"), ("a/b", "/a~1b"), ("~", "/~0"), ("~1", "/~01"), ("ä ", "/ä "),
    ("~\u{301}", "/~0\u{301}"), ("\"\\", "/\"\\"),
  ])
  func `a name is escaped in a pointer`(name: String, pointer: String) {
    #expect(Array(JSONPointer.member(name).utf8) == Array(pointer.utf8))
  }
}
