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

  /// Writes the text of a moment to where `length` bytes have room.
  static func write(_ timestamp: Timestamp, to target: UnsafeMutablePointer<UInt8>) {
    let millisecondsOfDay = floorModulo(timestamp, 86_400_000)
    let date = civilDate(ofDay: (timestamp - millisecondsOfDay) / 86_400_000)
    let milliseconds = Int(millisecondsOfDay)
    func put(_ value: Int, at start: Int, digits: Int, then mark: Unicode.Scalar) {
      var rest = value
      for position in stride(from: start + digits - 1, through: start, by: -1) {
        target[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      }
      target[start + digits] = UInt8(ascii: mark)
    }
    put(date.year, at: 0, digits: 4, then: "-")
    put(date.month, at: 5, digits: 2, then: "-")
    put(date.day, at: 8, digits: 2, then: "T")
    put(milliseconds / 3_600_000, at: 11, digits: 2, then: ":")
    put(milliseconds / 60_000 % 60, at: 14, digits: 2, then: ":")
    put(milliseconds / 1_000 % 60, at: 17, digits: 2, then: ".")
    put(milliseconds % 1_000, at: 20, digits: 3, then: "Z")
  }

  private static func floorModulo(_ value: Int64, _ modulus: Int64) -> Int64 {
    let remainder = value % modulus
    return remainder < 0 ? remainder + modulus : remainder
  }

  /// The Gregorian date of a day counted from 1970-01-01. Counts in eras of 400 years whose years
  /// begin in March, so that the leap day is the last day of a year.
  private static func civilDate(ofDay day: Int64) -> (year: Int, month: Int, day: Int) {
    let shifted = day + 719_468
    let dayOfEra = floorModulo(shifted, 146_097)
    let era = (shifted - dayOfEra) / 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (Int(year), Int(month), Int(dayOfYear - (153 * marchMonth + 2) / 5 + 1))
  }
}

extension JSONWriter {
  /// Writes a member with a moment.
  mutating func member(_ name: StaticString, moment timestamp: Timestamp) {
    self.name(name)
    plainString(count: RFC3339.length) { RFC3339.write(timestamp, to: $0) }
  }

  /// Writes a member with a job's id.
  mutating func member(_ name: StaticString, id: JobID) {
    self.name(name)
    plainString(count: id.byteCount) { id.write(to: $0) }
  }
}
