import JobCore

/// Moments as RFC 3339 writes them: UTC, milliseconds, `2026-11-21T03:19:11.042Z`.
enum RFC3339 {
  /// The text of a moment between the years 0000 and 9999.
  static func text(of timestamp: Timestamp) -> String {
    let millisecondsOfDay = floorModulo(timestamp, 86_400_000)
    let date = civilDate(ofDay: (timestamp - millisecondsOfDay) / 86_400_000)
    let milliseconds = Int(millisecondsOfDay)
    return String(unsafeUninitializedCapacity: 24) { buffer in
      func put(_ value: Int, at start: Int, digits: Int) {
        var rest = value
        for position in stride(from: start + digits - 1, through: start, by: -1) {
          buffer[position] = UInt8(ascii: "0") + UInt8(rest % 10)
          rest /= 10
        }
      }
      put(date.year, at: 0, digits: 4)
      buffer[4] = UInt8(ascii: "-")
      put(date.month, at: 5, digits: 2)
      buffer[7] = UInt8(ascii: "-")
      put(date.day, at: 8, digits: 2)
      buffer[10] = UInt8(ascii: "T")
      put(milliseconds / 3_600_000, at: 11, digits: 2)
      buffer[13] = UInt8(ascii: ":")
      put(milliseconds / 60_000 % 60, at: 14, digits: 2)
      buffer[16] = UInt8(ascii: ":")
      put(milliseconds / 1_000 % 60, at: 17, digits: 2)
      buffer[19] = UInt8(ascii: ".")
      put(milliseconds % 1_000, at: 20, digits: 3)
      buffer[23] = UInt8(ascii: "Z")
      return 24
    }
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
