/// Scalars: strings, booleans, null and numbers.
extension JSONReader {
  /// Reads a string and answers its decoded text.
  ///
  /// - Throws: ``JSONError/Reason/wrongType(expected:found:)``, or what is wrong in the string.
  public mutating func readString() throws(JSONError) -> String {
    let start = valueStart()
    guard start < lexer.bytes.count, lexer.bytes[start] == Byte.quote else {
      throw wrongType(at: start, expected: .string)
    }
    let (end, hasEscapes) = try lexer.endOfString(from: start)
    finish(at: end)
    return lexer.decodedString(start..<end, hasEscapes: hasEscapes)
  }

  /// Reads `true` or `false`.
  ///
  /// - Throws: ``JSONError/Reason/wrongType(expected:found:)``.
  public mutating func readBool() throws(JSONError) -> Bool {
    let (value, end) = try bool(at: valueStart())
    finish(at: end)
    return value
  }

  /// Reads `null`.
  ///
  /// - Throws: ``JSONError/Reason/wrongType(expected:found:)``.
  public mutating func readNull() throws(JSONError) {
    let start = valueStart()
    guard start < lexer.bytes.count, lexer.bytes[start] == UInt8(ascii: "n") else {
      throw wrongType(at: start, expected: .null)
    }
    finish(at: try lexer.endOfWord("null", from: start))
  }

  /// Reads a number of any size and answers it as it was written.
  ///
  /// - Throws: ``JSONError/Reason/wrongType(expected:found:)``,
  ///   ``JSONError/Reason/invalidNumber``.
  public mutating func readNumberText() throws(JSONError) -> String {
    let start = try numberStart()
    let end = try lexer.endOfNumber(from: start)
    finish(at: end)
    return String(decoding: UnsafeBufferPointer(rebasing: lexer.bytes[start..<end]), as: UTF8.self)
  }

  /// Reads an integer, exactly. A number with a fraction or an exponent is none, even `1.0` or
  /// `1e3`; `-0` is 0.
  ///
  /// - Throws: ``JSONError/Reason/wrongType(expected:found:)``,
  ///   ``JSONError/Reason/notAnInteger``, ``JSONError/Reason/numberOutOfRange``.
  public mutating func readInt() throws(JSONError) -> Int {
    let (value, end) = try lexer.integer(at: numberStart())
    finish(at: end)
    return value
  }

  /// Reads a number and answers the `Double` nearest to it; of two equally near, the even one.
  /// A number too small for a `Double` is 0.
  ///
  /// - Throws: ``JSONError/Reason/wrongType(expected:found:)``,
  ///   ``JSONError/Reason/numberOutOfRange`` where the nearest would be infinite, like `1e400`.
  public mutating func readDouble() throws(JSONError) -> Double {
    let (value, end) = try lexer.double(at: numberStart())
    finish(at: end)
    return value
  }

  /// Moves to the first byte of the number that must be next.
  @inline(__always)
  private mutating func numberStart() throws(JSONError) -> Int {
    let start = valueStart()
    guard lexer.beginsNumber(at: start) else { throw wrongType(at: start, expected: .number) }
    return start
  }

  /// The boolean that must stand at `start`, and its end.
  @inline(__always)
  func bool(at start: Int) throws(JSONError) -> (value: Bool, end: Int) {
    guard start < lexer.bytes.count else { throw wrongType(at: start, expected: .bool) }
    switch lexer.bytes[start] {
    case UInt8(ascii: "t"): return (true, try lexer.endOfWord("true", from: start))
    case UInt8(ascii: "f"): return (false, try lexer.endOfWord("false", from: start))
    default: throw wrongType(at: start, expected: .bool)
    }
  }
}
