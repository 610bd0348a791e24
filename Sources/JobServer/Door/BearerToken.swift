/// A token as RFC 6750 (section 2.1) has it: `b64token`, sent as `Authorization: Bearer TOKEN`.
enum BearerToken {
  /// Of fewer characters somebody may guess one: 16 random ones of base64 are 96 bits.
  static let lengthMin = 16
  /// A header has room for 8 KiB, and nobody needs more than this.
  static let lengthMax = 1_024

  /// What is wrong with a text that an operator gave as a token; nil when nothing is. It does not
  /// repeat the token: this goes to logs.
  static func fault(of text: UnsafeBufferPointer<UInt8>) -> String? {
    guard text.count >= lengthMin else {
      return """
        a token of \(text.count) characters; at least \(lengthMin) are needed, and best random \
        ones, like those of: openssl rand -hex 32
        """
    }
    guard text.count <= lengthMax else {
      return "a token of \(text.count) characters; at most \(lengthMax) are taken"
    }
    return isWellFormed(text)
      ? nil
      : """
      a token with a character that none has (RFC 6750): a token is of A-Z a-z 0-9 - . _ ~ + / and \
      may end in =
      """
  }

  /// The token of an `Authorization` header; nil when the header is of another scheme. It may be
  /// anything, also none at all: it only opens when it is known.
  static func token(
    of authorization: UnsafeBufferPointer<UInt8>
  ) -> UnsafeBufferPointer<UInt8>? {
    let scheme: StaticString = "bearer"
    guard authorization.count > scheme.utf8CodeUnitCount else { return nil }
    // The name of a scheme is case-insensitive (RFC 9110, section 11.1).
    for index in 0..<scheme.utf8CodeUnitCount {
      guard authorization[index] | 0x20 == scheme.utf8Start[index] else { return nil }
    }
    guard authorization[scheme.utf8CodeUnitCount] == UInt8(ascii: " ") else { return nil }
    let rest = authorization[scheme.utf8CodeUnitCount...].drop { $0 == UInt8(ascii: " ") }
    return UnsafeBufferPointer(rebasing: rest)
  }

  /// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
  private static func isWellFormed(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    let end = (text.lastIndex { $0 != UInt8(ascii: "=") } ?? -1) + 1
    return end > 0 && text[..<end].allSatisfy(isCharacter)
  }

  private static func isCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: [0x2B, 0x2D, 0x2E, 0x2F, 0x5F, 0x7E].contains(byte)  // + - . / _ ~
    }
  }
}
