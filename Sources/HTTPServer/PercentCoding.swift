/// Percent-decoding (RFC 3986, section 2.1) of bytes. Strict: a `%` without two hex digits is an
/// error, never passed on as it is, because two readers would then disagree on what was meant.
enum PercentCoding {
  /// What stands for an escaped slash while a path is matched: it is in no path, since `%00` is
  /// refused there. So `a%2Fb` is one segment, and decodes to `a/b`.
  static let escapedSlash: UInt8 = 0

  /// Decodes a part of a query: `+` is a space (application/x-www-form-urlencoded). `nil` when an
  /// escape is broken.
  static func formDecoded(_ bytes: some Collection<UInt8>) -> [UInt8]? {
    decoded(bytes) { byte, isEscaped in
      byte == UInt8(ascii: "+") && !isEscaped ? UInt8(ascii: " ") : byte
    }
  }

  /// Decodes a path, with `escapedSlash` for each `%2F`. `nil` when an escape is broken or is
  /// `%00`.
  static func pathDecoded(_ bytes: some Collection<UInt8>) -> [UInt8]? {
    decoded(bytes) { byte, isEscaped in
      guard isEscaped else { return byte }
      if byte == 0 { return nil }
      return byte == UInt8(ascii: "/") ? escapedSlash : byte
    }
  }

  private static func decoded(
    _ bytes: some Collection<UInt8>, _ replacement: (UInt8, _ isEscaped: Bool) -> UInt8?
  ) -> [UInt8]? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var rest = bytes.makeIterator()
    while var byte = rest.next() {
      let isEscaped = byte == UInt8(ascii: "%")
      if isEscaped {
        guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit) else {
          return nil
        }
        byte = high << 4 | low
      }
      guard let byte = replacement(byte, isEscaped) else { return nil }
      decoded.append(byte)
    }
    return decoded
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
