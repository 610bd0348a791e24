import JSON
import JobCore

/// Moments as RFC 3339 writes them: UTC, milliseconds, `2026-11-21T03:19:11.042Z`.
enum RFC3339 {
  /// How many bytes a text has.
  static let length = 24

  /// The text of a moment between the years 0000 and 9999.
  static func text(of timestamp: Timestamp) -> String {
    String(unsafeUninitializedCapacity: length) { buffer in
      if let start = buffer.baseAddress { write(timestamp, to: start) }
      return length
    }
  }

  /// From the first moment of the year 0000 to the last of 9999, which are what has a text.
  private static let range = Timestamp(-62_167_219_200_000)...253_402_300_799_999

  /// Writes the text of a moment to where `length` bytes have room; of one that has none, that of
  /// the nearest that has.
  static func write(_ timestamp: Timestamp, to target: UnsafeMutablePointer<UInt8>) {
    let timestamp = min(max(timestamp, range.lowerBound), range.upperBound)
    let millisecondsOfDay = floorModulo(timestamp, 86_400_000)
    let date = civilDate(ofDay: (timestamp - millisecondsOfDay) / 86_400_000)
    let milliseconds = UInt32(millisecondsOfDay)
    let (hours, minutes) = (milliseconds / 3_600_000, milliseconds / 60_000)
    let seconds = milliseconds / 1_000
    func put(_ value: UInt32, at start: Int, then mark: Unicode.Scalar) {
      let tens = value / 10
      target[start] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: tens)
      target[start + 1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value &- tens &* 10)
      target[start + 2] = UInt8(ascii: mark)
    }
    let rest = milliseconds - seconds * 1_000
    put(date.year / 100, at: 0, then: "-")
    put(date.year % 100, at: 2, then: "-")
    put(date.month, at: 5, then: "-")
    put(date.day, at: 8, then: "T")
    put(hours, at: 11, then: ":")
    put(minutes - hours * 60, at: 14, then: ":")
    put(seconds - minutes * 60, at: 17, then: ".")
    put(rest / 10, at: 20, then: "Z")
    target[22] = UInt8(ascii: "0") + UInt8(rest % 10)
    target[23] = UInt8(ascii: "Z")
  }

  /// A second, for the moments of a job, which often are all of one: of the text only the
  /// milliseconds are written anew.
  struct Second {
    private let start: Timestamp
    private let text: InlineArray<24, UInt8>

    /// The second that a moment lies in.
    init(of timestamp: Timestamp) {
      let nearest = min(max(timestamp, range.lowerBound), range.upperBound)
      start = nearest - RFC3339.floorModulo(nearest, 1_000)
      text = InlineArray { (span: inout OutputSpan<UInt8>) in
        span.withUnsafeMutableBufferPointer { (buffer, count) in
          if let target = buffer.baseAddress { RFC3339.write(timestamp, to: target) }
          count = RFC3339.length
        }
      }
    }

    /// Writes the text of a moment, of this second or of another, to where there is room for it.
    @inline(__always)
    func write(_ timestamp: Timestamp, to target: UnsafeMutablePointer<UInt8>) {
      let (milliseconds, isOutside) = timestamp.subtractingReportingOverflow(start)
      guard !isOutside, 0..<1_000 ~= milliseconds, RFC3339.range.contains(timestamp) else {
        return RFC3339.write(timestamp, to: target)
      }
      text.span.withUnsafeBufferPointer { text in
        if let source = text.baseAddress { target.initialize(from: source, count: RFC3339.length) }
      }
      let (tens, ones) = UInt32(truncatingIfNeeded: milliseconds).quotientAndRemainder(
        dividingBy: 10)
      let (hundreds, rest) = tens.quotientAndRemainder(dividingBy: 10)
      target[20] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: hundreds)
      target[21] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest)
      target[22] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: ones)
    }
  }

  private static func floorModulo(_ value: Int64, _ modulus: Int64) -> Int64 {
    let remainder = value % modulus
    return remainder < 0 ? remainder + modulus : remainder
  }

  /// The Gregorian date of a day counted from 1970-01-01. Counts in eras of 400 years whose years
  /// begin in March, so that the leap day is the last day of a year.
  private static func civilDate(ofDay day: Int64) -> (year: UInt32, month: UInt32, day: UInt32) {
    let shifted = day + 719_468
    let place = floorModulo(shifted, 146_097)
    let era = (shifted - place) / 146_097
    // What is left fits in 32 bits, which divide faster.
    let dayOfEra = UInt32(place)
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = Int64(yearOfEra) + era * 400 + (month <= 2 ? 1 : 0)
    return (
      UInt32(truncatingIfNeeded: year), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1
    )
  }
}

extension JSONWriter {
  /// Writes a member with a moment.
  @inline(__always)
  mutating func member(_ name: StaticString, moment timestamp: Timestamp) {
    self.name(name)
    plainString(count: RFC3339.length) { RFC3339.write(timestamp, to: $0) }
  }

  /// Writes a member with a moment that may be of that second.
  @inline(__always)
  mutating func member(
    _ name: StaticString, moment timestamp: Timestamp, near second: RFC3339.Second
  ) {
    self.name(name)
    plainString(count: RFC3339.length) { second.write(timestamp, to: $0) }
  }

  /// Writes a member with a job's id.
  @inline(__always)
  mutating func member(_ name: StaticString, id: JobID) {
    self.name(name)
    plainString(count: id.byteCount) { id.write(to: $0) }
  }
}
