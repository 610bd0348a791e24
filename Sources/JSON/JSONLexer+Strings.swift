/// Strings (RFC 8259, section 7) and the UTF-8 in them (RFC 3629).
extension JSONLexer {
  /// The end (after the closing quote) of the string whose opening quote is at `start`, and
  /// whether it holds any escape. Everything is checked: escapes, surrogates, UTF-8.
  @inline(__always)
  func endOfString(from start: Int) throws(JSONError) -> (end: Int, hasEscapes: Bool) {
    let index = skipPlainASCII(from: start &+ 1)
    if index < bytes.count && bytes[index] == Byte.quote { return (index &+ 1, false) }
    return try endOfUnusualString(from: index)
  }

  /// The rest of `endOfString` from `start` on, for a string that is not all plain ASCII.
  @inline(never)
  private func endOfUnusualString(
    from start: Int
  ) throws(JSONError) -> (end: Int, hasEscapes: Bool) {
    var index = start
    var hasEscapes = false
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case Byte.quote: return (index &+ 1, hasEscapes)
      case Byte.backslash:
        hasEscapes = true
        index = try endOfEscape(from: index)
      case 0x80...: index = try endOfSequence(from: index)
      case ..<Byte.space: throw JSONError(.controlCharacter, at: index, found: byte)
      default: index = skipPlainASCII(from: index)
      }
    }
    throw JSONError(.unexpectedEnd, at: bytes.count, expected: "the closing quote of a string")
  }

  /// The offset of the first byte from `start` on that is a quote, a backslash, a control
  /// character or not ASCII: eight bytes a step, single ones near the end of the text.
  @inline(__always)
  func skipPlainASCII(from start: Int) -> Int {
    guard let base = bytes.baseAddress else { return start }
    var index = start
    while index &+ 8 <= bytes.count {
      let word = EightBytes.load(base + index)
      let flags = EightBytes.specials(word) | EightBytes.nonASCII(word)
      if flags != 0 { return index &+ EightBytes.first(flags) }
      index &+= 8
    }
    while index < bytes.count {
      let byte = bytes[index]
      if byte < 0x20 || byte >= 0x80 || byte == Byte.quote || byte == Byte.backslash { break }
      index &+= 1
    }
    return index
  }

  /// The end of the escape whose backslash is at `start`; a surrogate pair is one escape.
  private func endOfEscape(from start: Int) throws(JSONError) -> Int {
    guard start + 1 < bytes.count else { throw endInEscape() }
    switch bytes[start + 1] {
    case Byte.quote, Byte.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return start + 2
    case UInt8(ascii: "u"): break
    default: throw JSONError(.invalidEscape, at: start)
    }
    let unit = try codeUnit(at: start)
    switch unit {
    case 0xD800...0xDBFF: return try endOfPair(lowAt: start + 6, highAt: start)
    case 0xDC00...0xDFFF: throw JSONError(.loneSurrogate, at: start)
    default: return start + 6
    }
  }

  private func endOfPair(lowAt low: Int, highAt high: Int) throws(JSONError) -> Int {
    guard low < bytes.count else { throw endInEscape() }
    guard bytes[low] == Byte.backslash else { throw JSONError(.loneSurrogate, at: high) }
    guard low + 1 < bytes.count else { throw endInEscape() }
    guard bytes[low + 1] == UInt8(ascii: "u") else { throw JSONError(.loneSurrogate, at: high) }
    let unit = try codeUnit(at: low)
    guard unit & 0xFC00 == 0xDC00 else { throw JSONError(.loneSurrogate, at: high) }
    return low + 6
  }

  /// The UTF-16 code unit of the escape `\uXXXX` whose backslash is at `start`.
  private func codeUnit(at start: Int) throws(JSONError) -> UInt32 {
    var unit: UInt32 = 0
    for offset in start + 2..<start + 6 {
      guard offset < bytes.count else { throw endInEscape() }
      guard let digit = Byte.hexadecimal(bytes[offset]) else {
        throw JSONError(.invalidEscape, at: start)
      }
      unit = unit << 4 | digit
    }
    return unit
  }

  private func endInEscape() -> JSONError {
    JSONError(.unexpectedEnd, at: bytes.count, expected: "the rest of an escape")
  }

  /// The end of the UTF-8 sequence of two to four bytes at `start`, by the table of RFC 3629,
  /// section 4: what the second byte may be is where overlong forms, surrogates and what lies
  /// above U+10FFFF are kept out.
  @inline(__always)
  private func endOfSequence(from start: Int) throws(JSONError) -> Int {
    let length: Int
    let second: ClosedRange<UInt8>
    switch bytes[start] {
    case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xE1...0xEC, 0xEE...0xEF: (length, second) = (3, 0x80...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: throw JSONError(.invalidUTF8, at: start)
    }
    var index = start &+ 1
    while index < start &+ length {
      guard index < bytes.count else {
        throw JSONError(.unexpectedEnd, at: bytes.count, expected: "the rest of a character")
      }
      let byte = bytes[index]
      let isRight = index == start &+ 1 ? second.contains(byte) : byte & 0xC0 == 0x80
      guard isRight else { throw JSONError(.invalidUTF8, at: start) }
      index &+= 1
    }
    return index
  }
}

/// Strings that were checked before.
extension JSONLexer {
  /// The end (after the closing quote) of the checked string whose content begins at `start`.
  @inline(__always)
  func endOfCheckedString(from start: Int) -> Int {
    var index = start
    while true {
      index = skipPlainASCII(from: index)
      switch bytes[index] {
      case Byte.quote: return index &+ 1
      case Byte.backslash: index &+= 2
      default: index &+= 1
      }
    }
  }

  /// The text of the checked string whose quotes are the first and last byte of `range`.
  @inline(__always)
  func decodedString(_ range: Range<Int>, hasEscapes: Bool) -> String {
    let content = UnsafeBufferPointer(rebasing: bytes[range.lowerBound + 1..<range.upperBound - 1])
    return hasEscapes ? Self.unescaped(content) : String(decoding: content, as: UTF8.self)
  }

  /// The text of checked string content with escapes; it never gets longer by decoding.
  @inline(never)
  private static func unescaped(_ content: UnsafeBufferPointer<UInt8>) -> String {
    String(unsafeUninitializedCapacity: content.count) { output in
      var read = 0
      var written = 0
      while read < content.count {
        let byte = content[read]
        guard byte == Byte.backslash else {
          output[written] = byte
          read += 1
          written += 1
          continue
        }
        if content[read + 1] == UInt8(ascii: "u") {
          let scalar = escapedScalar(content, &read)
          for unit in UTF8.encode(scalar).unsafelyUnwrapped {  // every scalar has a UTF-8 form
            output[written] = unit
            written += 1
          }
        } else {
          output[written] = shortEscape(content[read + 1])
          read += 2
          written += 1
        }
      }
      return written
    }
  }

  private static func shortEscape(_ letter: UInt8) -> UInt8 {
    switch letter {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): Byte.lineFeed
    case UInt8(ascii: "r"): Byte.carriageReturn
    case UInt8(ascii: "t"): Byte.tab
    default: letter
    }
  }

  /// The scalar of the checked escape (or pair of escapes) at `read`, which moves past it.
  private static func escapedScalar(
    _ content: UnsafeBufferPointer<UInt8>, _ read: inout Int
  ) -> Unicode.Scalar {
    func unit(_ start: Int) -> UInt32 {
      (start + 2..<start + 6).reduce(0) { $0 << 4 | (Byte.hexadecimal(content[$1]) ?? 0) }
    }
    let first = unit(read)
    read += 6
    guard first & 0xFC00 == 0xD800 else { return Unicode.Scalar(first) ?? "\u{FFFD}" }
    let second = unit(read)
    read += 6
    let value = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
    return Unicode.Scalar(value) ?? "\u{FFFD}"
  }
}
