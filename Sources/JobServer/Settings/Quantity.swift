import JobCore

/// Numbers with units, as flags, environment variables and the configuration file write them.
enum Quantity {
  /// The longest time, in days: a century, far from where milliseconds overflow.
  static let daysMax = 37_000
  /// The largest size, in bytes: 1 PB, which a `Double` holds exactly.
  static let bytesMax = 1_000_000_000_000_000

  /// A length of time: `250ms`, `2s`, `5m`, `24h`, or a bare number of seconds (`0.5`).
  static func milliseconds(_ text: String) -> Milliseconds? {
    let (number, unit) = split(text)
    let factor: Double
    switch unit {
    case "ms": factor = 1
    case "", "s": factor = 1_000
    case "m": factor = 60_000
    case "h": factor = 3_600_000
    case "d": factor = 86_400_000
    default: return nil
    }
    guard let value = Double(number), value >= 0, value * factor <= Double(daysMax) * 86_400_000
    else { return nil }
    return Milliseconds((value * factor).rounded())
  }

  /// A number of bytes: `8388608`, `8MiB`, `512KiB`, `1GiB`, `10MB`.
  static func bytes(_ text: String) -> Int? {
    let (number, unit) = split(text)
    let factor: Double
    switch unit {
    case "", "B": factor = 1
    case "KiB", "K": factor = 1_024
    case "MiB", "M": factor = 1_048_576
    case "GiB", "G": factor = 1_073_741_824
    case "KB", "kB": factor = 1e3
    case "MB": factor = 1e6
    case "GB": factor = 1e9
    default: return nil
    }
    guard let value = Double(number), value >= 0, value * factor <= Double(bytesMax) else {
      return nil
    }
    return Int(value * factor)
  }

  /// A whole number, with `_` between digits allowed.
  static func count(_ text: String) -> Int? {
    Int(text.filter { $0 != "_" })
  }

  private static func split(_ text: String) -> (number: String, unit: String) {
    let digits = text.prefix { $0.isNumber || $0 == "." || $0 == "_" }
    let rest = text.dropFirst(digits.count).drop { $0 == " " }
    return (String(digits.filter { $0 != "_" }), String(rest))
  }
}
