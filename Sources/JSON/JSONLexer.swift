/// The lexical rules of RFC 8259 over one text: each function takes the offset where something
/// begins and answers the offset just after it, or throws. It holds no position, so it passes in
/// registers.
struct JSONLexer {
  /// The whole text; offsets in errors count from its beginning.
  let bytes: UnsafeBufferPointer<UInt8>

  /// The offset of the first byte from `start` on that is not white space (section 2).
  @inline(__always)
  func skipSpace(from start: Int) -> Int {
    var index = start
    while index < bytes.count {
      let byte = bytes[index]
      if byte > Byte.space { break }
      if byte != Byte.space && byte != Byte.lineFeed && byte != Byte.tab
        && byte != Byte.carriageReturn
      {
        break
      }
      index &+= 1
    }
    return index
  }

  /// The kind of the value whose first byte is at `start`.
  func kind(at start: Int) throws(JSONError) -> JSONKind {
    guard start < bytes.count else { throw unexpected(start, expected: "a value") }
    switch bytes[start] {
    case Byte.openBrace: return .object
    case Byte.openBracket: return .array
    case Byte.quote: return .string
    case Byte.minus, Byte.zero...Byte.nine: return .number
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    default: throw unexpected(start, expected: "a value")
    }
  }

  /// The end of `true`, `false` or `null`, which must stand in full at `start`.
  func endOfWord(_ word: StaticString, from start: Int) throws(JSONError) -> Int {
    for index in 0..<word.utf8CodeUnitCount {
      let offset = start + index
      guard offset < bytes.count, bytes[offset] == word.utf8Start[index] else {
        throw unexpected(offset, expected: "the rest of \(word)")
      }
    }
    return start + word.utf8CodeUnitCount
  }

  /// The end of the number that begins at `start` with a minus or a digit (section 6). The byte
  /// after it is not looked at: whether it may follow is a matter of structure.
  @inline(__always)
  func endOfNumber(from start: Int) throws(JSONError) -> Int {
    var index = start
    if bytes[index] == Byte.minus { index &+= 1 }
    let first = index
    index = skipDigits(from: first)
    guard index > first else { throw badNumber(index, expected: "a digit") }
    if bytes[first] == Byte.zero && index > first + 1 {
      throw badNumber(first + 1, expected: "no digit after a leading zero")
    }
    guard index < bytes.count else { return index }
    if bytes[index] == Byte.point {
      let fraction = index &+ 1
      index = skipDigits(from: fraction)
      guard index > fraction else { throw badNumber(index, expected: "a digit") }
    }
    guard index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") else { return index }
    index &+= 1
    if index < bytes.count && (bytes[index] == Byte.plus || bytes[index] == Byte.minus) {
      index &+= 1
    }
    let exponent = index
    index = skipDigits(from: exponent)
    guard index > exponent else { throw badNumber(index, expected: "a digit") }
    return index
  }

  /// The offset of the first byte from `start` on that is no digit.
  @inline(__always)
  func skipDigits(from start: Int) -> Int {
    var index = start
    while index < bytes.count && Byte.isDigit(bytes[index]) { index &+= 1 }
    return index
  }

  /// An error for the byte at `offset`, or for the text's end there, with what would be right.
  @inline(never)
  func unexpected(_ offset: Int, expected: String) -> JSONError {
    guard offset < bytes.count else {
      return JSONError(.unexpectedEnd, at: bytes.count, expected: expected)
    }
    if offset == 0 && bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF {
      return JSONError(.byteOrderMark, at: 0)
    }
    return JSONError(.unexpectedByte, at: offset, expected: expected, found: bytes[offset])
  }

  @inline(never)
  private func badNumber(_ offset: Int, expected: String) -> JSONError {
    guard offset < bytes.count else {
      return JSONError(.unexpectedEnd, at: bytes.count, expected: expected)
    }
    return JSONError(.invalidNumber, at: offset, expected: expected, found: bytes[offset])
  }
}
