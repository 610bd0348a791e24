/// Numbers.
extension JSONWriter {
  /// Writes an integer.
  @inlinable
  public mutating func integer(_ value: some FixedWidthInteger) {
    if let magnitude = UInt64(exactly: value.magnitude) {
      integer(isNegative: value < 0, magnitude: magnitude)
    } else {
      text(String(value))
    }
  }

  /// Writes an integer given by its sign and magnitude.
  @usableFromInline
  mutating func integer(isNegative: Bool, magnitude: UInt64) {
    let comma = commaCount
    append(atMost: Self.digitsMax &+ 2) { target in
      target[0] = Byte.comma
      return comma &+ Self.write(isNegative, magnitude, to: target + comma)
    }
  }

  /// Writes a number in the fewest digits that read back as the same `Double`, with a point or an
  /// exponent always, so that it stays a floating-point number in Python too. It must be finite:
  /// JSON knows neither infinity nor NaN.
  public mutating func number(_ value: Double) {
    precondition(value.isFinite, "JSON has no number for \(value)")
    // Whole numbers that are exact need no search for digits; -0.0 is left to the other way.
    // (`Int(exactly:)` would call `trunc`, which only the C mathematics library has.)
    if value.magnitude < 0x1p53, case let whole = Int(value), whole != 0, Double(whole) == value {
      integer(isNegative: whole < 0, magnitude: UInt64(whole.magnitude))
      raw(".0")
    } else {
      text(value.description)
    }
  }

  /// The most digits of a 64-bit integer.
  static let digitsMax = 20

  /// Writes an integer's digits, two at a time from the end, and answers how many bytes it took,
  /// at most `digitsMax` and one.
  @inline(__always)
  static func write(
    _ isNegative: Bool, _ magnitude: UInt64, to target: UnsafeMutablePointer<UInt8>
  ) -> Int {
    target[0] = Byte.minus  // overwritten where the number is positive
    let sign = isNegative ? 1 : 0
    let end = sign &+ digitCount(magnitude)
    var place = end
    var rest = magnitude
    while rest >= 10 {
      let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
      rest = quotient
      place &-= 2
      let tens = UInt8(truncatingIfNeeded: (pair &* 103) &>> 10)  // pair / 10, for pair < 100
      target[place] = Byte.zero &+ tens
      target[place &+ 1] = Byte.zero &+ UInt8(truncatingIfNeeded: pair) &- tens &* 10
    }
    if place > sign { target[sign] = Byte.zero &+ UInt8(truncatingIfNeeded: rest) }
    return end
  }

  @inline(__always)
  private static func digitCount(_ value: UInt64) -> Int {
    var count = 1
    var rest = value
    while rest >= 10_000 {
      rest /= 10_000
      count &+= 4
    }
    return count &+ (rest >= 1000 ? 3 : rest >= 100 ? 2 : rest >= 10 ? 1 : 0)
  }
}
