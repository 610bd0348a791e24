import Glibc

/// The value of `Date` (RFC 9110, section 6.6.1), in the form that a sender must use (5.6.7):
/// `Sun, 06 Nov 1994 08:49:37 GMT`. It is written once a second, and not for each answer.
struct HTTPDate {
  static let byteCount = 29
  /// The years 0 to 9999, which four digits can write.
  private static let range = Int64(-62_167_219_200)...253_402_300_799
  private static let days: StaticString = "SunMonTueWedThuFriSat"
  private static let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"

  /// The second that is written, since 1970; nil before the first.
  private(set) var second: Int64?
  private var text = InlineArray<29, UInt8>(repeating: UInt8(ascii: " "))

  /// Writes a second, if it is not that which is written. Of other years there is no date.
  mutating func set(_ second: Int64) {
    guard second != self.second else { return }
    var time = time_t(second)
    var parts = tm()
    guard Self.range.contains(second), gmtime_r(&time, &parts) != nil else {
      self.second = nil
      return
    }
    self.second = second
    write(Self.days, at: Int(parts.tm_wday) * 3, to: 0)
    text[3] = UInt8(ascii: ",")
    write(parts.tm_mday, to: 5)
    write(Self.months, at: Int(parts.tm_mon) * 3, to: 8)
    let year = parts.tm_year + 1_900
    write(year / 100, to: 12)
    write(year % 100, to: 14)
    write(parts.tm_hour, to: 17)
    text[19] = UInt8(ascii: ":")
    write(parts.tm_min, to: 20)
    text[22] = UInt8(ascii: ":")
    write(parts.tm_sec, to: 23)
    for (index, byte) in "GMT".utf8.enumerated() { text[26 + index] = byte }
  }

  /// Copies the text to where `byteCount` bytes have room.
  func copy(to target: UnsafeMutablePointer<UInt8>) {
    text.span.withUnsafeBufferPointer { text in
      if let start = text.baseAddress { target.initialize(from: start, count: Self.byteCount) }
    }
  }

  private mutating func write(_ names: StaticString, at start: Int, to place: Int) {
    for index in 0..<3 { text[place + index] = names.utf8Start[start + index] }
  }

  /// Two digits.
  private mutating func write(_ number: Int32, to place: Int) {
    text[place] = UInt8(ascii: "0") + UInt8(number / 10)
    text[place + 1] = UInt8(ascii: "0") + UInt8(number % 10)
  }
}
