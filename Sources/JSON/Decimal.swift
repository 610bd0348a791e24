/// A decimal number of at most 19 significant digits: `±digits × 10^exponent`.
struct Decimal {
  private let isNegative: Bool
  private let digits: UInt64
  private let exponent: Int

  /// The number that a checked lexeme writes; `nil` when it has more digits.
  @inline(__always)
  init?(_ bytes: UnsafeBufferPointer<UInt8>, _ lexeme: Range<Int>) {
    var index = lexeme.lowerBound
    var digits: UInt64 = 0
    var significant = 0
    var fraction = 0
    var isFraction = false
    isNegative = bytes[index] == Byte.minus
    if isNegative { index &+= 1 }
    while index < lexeme.upperBound {
      let byte = bytes[index]
      if Byte.isDigit(byte) {
        digits = digits &* 10 &+ UInt64(byte &- Byte.zero)
        significant &+= digits == 0 ? 0 : 1
        fraction &+= isFraction ? 1 : 0
      } else if byte == Byte.point {
        isFraction = true
      } else {
        break
      }
      index &+= 1
    }
    guard significant <= 19 else { return nil }
    self.digits = digits
    guard index < lexeme.upperBound else {
      exponent = 0 &- fraction
      return
    }
    guard let written = Self.exponent(bytes, index &+ 1..<lexeme.upperBound) else { return nil }
    exponent = written &- fraction
  }

  /// The value of a written exponent; `nil` from 4 digits, which are not worth the care.
  private static func exponent(
    _ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>
  ) -> Int? {
    var value = 0
    var index = range.lowerBound
    let isNegative = bytes[index] == Byte.minus
    if isNegative || bytes[index] == Byte.plus { index += 1 }
    guard range.upperBound - index < 4 else { return nil }
    while index < range.upperBound {
      value = value * 10 + Int(bytes[index] &- Byte.zero)
      index += 1
    }
    return isNegative ? -value : value
  }

  /// The nearest `Double`, ties to even; `nil` when the exponent is not within ±19.
  ///
  /// Powers of ten up to 10^19 fit 64 bits, so one full-width multiplication or division gives
  /// the exact product, or the quotient's first 63 bits and whether anything is left. All that
  /// is left is folded into the lowest bit: it lies far below the 53 bits kept, so the rounding
  /// of the conversion to `Double` sees "exactly half" and "more than half" apart.
  var nearestDouble: Double? {
    guard digits != 0 else { return isNegative ? -0.0 : 0.0 }
    let magnitude: Double
    switch exponent {
    case 0: magnitude = Double(digits)
    case 1...19:
      let (high, low) = digits.multipliedFullWidth(by: Self.powersOfTen[exponent])
      let shift = high.leadingZeroBitCount
      if high == 0 {
        magnitude = Double(low)
      } else {
        let rest = low << shift
        let top = shift == 0 ? high : high << shift | low >> (64 - shift)
        magnitude = Double(top | (rest == 0 ? 0 : 1)) * Self.powerOfTwo(64 - shift)
      }
    case -19 ... -1:
      let divisor = Self.powersOfTen[-exponent]
      let shifts = (digits.leadingZeroBitCount, divisor.leadingZeroBitCount)
      let dividend = digits << shifts.0
      let (quotient, rest) = (divisor << shifts.1).dividingFullWidth(
        (dividend >> 1, dividend << 63))
      magnitude =
        Double(quotient | (rest == 0 ? 0 : 1)) * Self.powerOfTwo(shifts.1 - shifts.0 - 63)
    default: return nil
    }
    return isNegative ? -magnitude : magnitude
  }

  /// 2^`exponent`, for a normal `Double`.
  @inline(__always)
  private static func powerOfTwo(_ exponent: Int) -> Double {
    Double(bitPattern: UInt64(1023 + exponent) << 52)
  }

  private static let powersOfTen: [UInt64] = (0...19).map { exponent in
    (0..<exponent).reduce(1) { power, _ in power * 10 }
  }
}
