/// Strings and their escapes.
extension JSONWriter {
  /// Writes a string. Escaped are what must be (RFC 8259, section 7), in the shortest form: the
  /// quote, the backslash, and control characters below U+0020 (`\b \f \n \r \t`, else `\u00xx`).
  /// Everything else goes in as UTF-8.
  public mutating func string(_ value: String) {
    value.utf8.span.withUnsafeBufferPointer { text in
      if text.count > Self.windowSize &- Self.stringRoom || !plainString(text) { inRuns(text) }
    }
  }

  /// Writes a string of exactly `count` bytes, at most 1000, which `write` puts in place. They must
  /// be printable ASCII that needs no escape: digits, ids, moments.
  @inlinable
  @inline(__always)
  public mutating func plainString(count: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Void) {
    precondition(count >= 0 && count < Self.windowSize, "a string of \(count) bytes")
    append(atMost: count &+ 3) { (target, comma) in
      target[0] = UInt8(ascii: ",")
      let place = target + comma
      place[0] = UInt8(ascii: "\"")
      write(place + 1)
      place[count &+ 1] = UInt8(ascii: "\"")
      return comma &+ count &+ 2
    }
    comma = 1
  }

  /// What a string needs besides its bytes: comma, quotes, and the rest of the last word.
  private static let stringRoom = 10

  /// Writes a string that fits in the window if no byte of it wants to be escaped, in words of
  /// eight bytes, looked at while they pass; else answers false and writes nothing.
  @inline(__always)
  private mutating func plainString(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    let count = text.count
    var isPlain = true
    append(atMost: count &+ Self.stringRoom) { (target, comma) in
      target[0] = Byte.comma
      let place = target + comma
      place[0] = Byte.quote
      if let source = text.baseAddress, count > 0 {
        isPlain = Self.copyPlain(source, count, to: place + 1)
      }
      place[count &+ 1] = Byte.quote
      return isPlain ? comma &+ count &+ 2 : 0
    }
    if isPlain { comma = 1 }
    return isPlain
  }

  /// Copies `count` bytes, at least one, and up to seven more of no meaning, until the first word
  /// with a byte to escape; answers whether there was none.
  @inline(__always)
  private static func copyPlain(
    _ source: UnsafePointer<UInt8>, _ count: Int, to target: UnsafeMutablePointer<UInt8>
  ) -> Bool {
    guard count >= 8 else {
      let word = EightBytes.load(source, count: count)
      EightBytes.store(word, to: target)
      return EightBytes.specials(word) == 0
    }
    // The last word overlaps the one before it.
    var index = 0
    let last = count &- 8
    while true {
      let word = EightBytes.load(source + index)
      EightBytes.store(word, to: target + index)
      if EightBytes.specials(word) != 0 { return false }
      if index == last { return true }
      index = min(index &+ 8, last)
    }
  }

  /// Writes a string of any length: what needs no escape in runs, between them the escapes.
  @inline(never)
  private mutating func inRuns(_ text: UnsafeBufferPointer<UInt8>) {
    if comma == 1 { put(Byte.comma) }
    put(Byte.quote)
    var rest = text
    while true {
      let plain = Self.plainCount(rest)
      put(UnsafeBufferPointer(rebasing: rest[..<plain]))
      guard plain < rest.count else { break }
      escape(rest[plain])
      rest = UnsafeBufferPointer(rebasing: rest[(plain + 1)...])
    }
    put(Byte.quote)
    comma = 1
  }

  private mutating func escape(_ byte: UInt8) {
    put(Byte.backslash)
    switch byte {
    case Byte.quote, Byte.backslash: put(byte)
    case 0x08: put(UInt8(ascii: "b"))
    case 0x0C: put(UInt8(ascii: "f"))
    case Byte.lineFeed: put(UInt8(ascii: "n"))
    case Byte.carriageReturn: put(UInt8(ascii: "r"))
    case Byte.tab: put(UInt8(ascii: "t"))
    default:
      raw("u00")
      put(Byte.zero + byte >> 4)
      put(byte & 15 < 10 ? Byte.zero + byte & 15 : UInt8(ascii: "a") - 10 + byte & 15)
    }
  }

  /// Whether a name needs no escape.
  @usableFromInline
  static func isPlain(_ name: StaticString) -> Bool {
    let text = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    return plainCount(text) == text.count
  }

  /// How many bytes of `text` come before the first one to escape.
  @inline(__always)
  private static func plainCount(_ text: UnsafeBufferPointer<UInt8>) -> Int {
    guard let base = text.baseAddress else { return 0 }
    var index = 0
    while index &+ 8 <= text.count {
      let flags = EightBytes.specials(EightBytes.load(base + index))
      if flags != 0 { return index &+ EightBytes.first(flags) }
      index &+= 8
    }
    while index < text.count {
      let byte = text[index]
      if byte < Byte.space || byte == Byte.quote || byte == Byte.backslash { break }
      index &+= 1
    }
    return index
  }
}
