/// Strings and their escapes.
extension JSONWriter {
  /// Writes a string. Escaped are what must be (RFC 8259, section 7), in the shortest form: the
  /// quote, the backslash, and control characters below U+0020 (`\b \f \n \r \t`, else `\u00xx`).
  /// Everything else goes in as UTF-8.
  public mutating func string(_ value: String) {
    var value = value
    value.withUTF8 { string($0) }
  }

  /// Writes a string of exactly `count` bytes, which `write` puts in place. They must be printable
  /// ASCII that needs no escape: digits, ids, moments.
  public mutating func plainString(count: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Void) {
    let comma = commaCount
    append(atMost: count &+ 3) { target in
      target[0] = Byte.comma
      let place = target + comma
      place[0] = Byte.quote
      write(place + 1)
      place[count &+ 1] = Byte.quote
      return comma &+ count &+ 2
    }
  }

  /// The same for text as UTF-8, which must be valid.
  @inline(__always)
  private mutating func string(_ text: UnsafeBufferPointer<UInt8>) {
    let plain = Self.plainCount(text)
    let comma = commaCount
    append(atMost: plain &+ 3) { target in
      target[0] = Byte.comma
      let place = target + comma
      place[0] = Byte.quote
      if let source = text.baseAddress {
        (place + 1).initialize(from: source, count: plain)
      }
      place[plain &+ 1] = Byte.quote
      return comma &+ plain &+ 2
    }
    guard plain < text.count else { return }
    bytes.removeLast()
    escape(UnsafeBufferPointer(rebasing: text[plain...]))
    bytes.append(Byte.quote)
  }

  /// Appends `text`, which begins with a byte to escape: run by run.
  @inline(never)
  private mutating func escape(_ text: UnsafeBufferPointer<UInt8>) {
    var rest = text
    while let byte = rest.first {
      escape(byte)
      let after = UnsafeBufferPointer(rebasing: rest[1...])
      let plain = Self.plainCount(after)
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: after[..<plain]))
      rest = UnsafeBufferPointer(rebasing: after[plain...])
    }
  }

  private mutating func escape(_ byte: UInt8) {
    bytes.append(Byte.backslash)
    switch byte {
    case Byte.quote, Byte.backslash: bytes.append(byte)
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x0C: bytes.append(UInt8(ascii: "f"))
    case Byte.lineFeed: bytes.append(UInt8(ascii: "n"))
    case Byte.carriageReturn: bytes.append(UInt8(ascii: "r"))
    case Byte.tab: bytes.append(UInt8(ascii: "t"))
    default:
      raw("u00")
      bytes.append(Byte.zero + byte >> 4)
      bytes.append(byte & 15 < 10 ? Byte.zero + byte & 15 : UInt8(ascii: "a") - 10 + byte & 15)
    }
  }

  /// How many bytes of `text` come before the first one to escape.
  @inline(__always)
  static func plainCount(_ text: UnsafeBufferPointer<UInt8>) -> Int {
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
