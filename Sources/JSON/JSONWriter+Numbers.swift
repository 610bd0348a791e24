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
    append(atMost: Self.integerRoom &+ 1) { (target, comma) in
      target[0] = Byte.comma
      let place = target + comma
      // Counts and attempts: mostly one digit.
      guard magnitude >= 10 || isNegative else {
        place[0] = Byte.zero &+ UInt8(truncatingIfNeeded: magnitude)
        return comma &+ 1
      }
      return comma &+ Self.write(isNegative, magnitude, to: place)
    }
    comma = 1
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

  /// How many bytes `write` may touch: those of a sign and of the 20 digits of the largest
  /// magnitude, which are more than a word.
  private static let integerRoom = 21

  /// Writes an integer's digits and answers how many bytes they are with the sign. What lies behind
  /// them, up to `integerRoom` bytes in all, may be overwritten.
  @inline(never)
  private static func write(
    _ isNegative: Bool, _ magnitude: UInt64, to target: UnsafeMutablePointer<UInt8>
  ) -> Int {
    target[0] = Byte.minus  // overwritten where the number is positive
    let sign = isNegative ? 1 : 0
    var place = target + sign
    let (before, last) = magnitude.quotientAndRemainder(dividingBy: 100_000_000)
    if before == 0 {
      place = writeFirst(last, to: place)
    } else {
      let (first, middle) = before.quotientAndRemainder(dividingBy: 100_000_000)
      if first == 0 {
        place = writeFirst(middle, to: place)
      } else {
        place = writeFirst(first, to: place)
        place = writeNext(middle, to: place)
      }
      place = writeNext(last, to: place)
    }
    return place - target
  }

  /// Writes the one to eight digits of a number below 100 000 000, as a word of eight, and answers
  /// where they end.
  @inline(__always)
  private static func writeFirst(
    _ value: UInt64, to target: UnsafeMutablePointer<UInt8>
  ) -> UnsafeMutablePointer<UInt8> {
    let digits = EightBytes.digits(value)
    // The digit of 0 itself stays.
    let zeros = EightBytes.first(digits | 1 &<< 56)
    EightBytes.store((digits | EightBytes.zeros) &>> UInt64(zeros &* 8), to: target)
    return target + (8 &- zeros)
  }

  /// Writes eight digits.
  @inline(__always)
  private static func writeNext(
    _ value: UInt64, to target: UnsafeMutablePointer<UInt8>
  ) -> UnsafeMutablePointer<UInt8> {
    EightBytes.store(EightBytes.digits(value) | EightBytes.zeros, to: target)
    return target + 8
  }
}
