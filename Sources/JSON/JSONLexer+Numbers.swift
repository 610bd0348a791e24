/// The values of numbers. The lexer takes numbers of any length; only who asks for an `Int` or a
/// `Double` meets their bounds.
extension JSONLexer {
  /// Whether the byte at `start` begins a number.
  @inline(__always)
  func beginsNumber(at start: Int) -> Bool {
    guard start < bytes.count else { return false }
    return bytes[start] == Byte.minus || Byte.isDigit(bytes[start])
  }

  /// The integer at `start`, where a number must begin, and its end.
  @inline(__always)
  func integer(at start: Int) throws(JSONError) -> (value: Int, end: Int) {
    let isNegative = bytes[start] == Byte.minus
    let first = isNegative ? start &+ 1 : start
    var magnitude = 0
    var index = first
    while index < bytes.count && Byte.isDigit(bytes[index]) {
      magnitude = magnitude &* 10 &+ Int(bytes[index] &- Byte.zero)
      index &+= 1
    }
    // Up to 18 digits fit for sure. A point or an "e" means a fraction or an exponent.
    let digits = index &- first
    let next = index < bytes.count ? bytes[index] : 0
    if digits &- 1 < 18 && digits > 0 && (bytes[first] != Byte.zero || digits == 1)
      && next != Byte.point && next | 0x20 != UInt8(ascii: "e")
    {
      return (isNegative ? -magnitude : magnitude, index)
    }
    return try unusualInteger(at: start)
  }

  /// The same for an integer of any length, and for what is none.
  @inline(never)
  private func unusualInteger(at start: Int) throws(JSONError) -> (value: Int, end: Int) {
    let end = try endOfNumber(from: start)
    var value = 0
    var index = start
    let isNegative = bytes[start] == Byte.minus
    if isNegative { index += 1 }
    guard skipDigits(from: index) == end else { throw JSONError(.notAnInteger, at: start) }
    while index < end {
      let digit = Int(bytes[index] &- Byte.zero)
      let (product, isTooLong) = value.multipliedReportingOverflow(by: 10)
      // Towards the number's own side of 0, so that Int.min is in reach.
      let (sum, isTooGreat) =
        isNegative
        ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
      guard !isTooLong && !isTooGreat else {
        throw JSONError(.numberOutOfRange, at: start, expected: "\(Int.min) to \(Int.max)")
      }
      value = sum
      index += 1
    }
    return (value, end)
  }

  /// The `Double` nearest to the number at `start`, where a number must begin, and its end.
  @inline(__always)
  func double(at start: Int) throws(JSONError) -> (value: Double, end: Int) {
    let end = try endOfNumber(from: start)
    if let decimal = Decimal(bytes, start..<end), let value = decimal.nearestDouble {
      return (value, end)
    }
    let text = String(
      decoding: UnsafeBufferPointer(rebasing: bytes[start..<end]), as: UTF8.self)
    guard let value = Double(text), value.isFinite else {
      throw JSONError(
        .numberOutOfRange, at: start, expected: "a number between -1.8e308 and 1.8e308")
    }
    return (value, end)
  }
}
