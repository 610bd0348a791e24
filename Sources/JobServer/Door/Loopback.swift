import Glibc

/// Which names and addresses are those of this machine to itself.
enum Loopback {
  /// Whether a host, without port and brackets, is `localhost`, in 127.0.0.0/8 (RFC 1122), `::1`
  /// (RFC 4291), or one of the former as an IPv6 address.
  static func isHost(_ text: some StringProtocol) -> Bool {
    if isLocalhost(text.utf8) { return true }
    let text = String(text)
    var four = in_addr()
    if inet_pton(AF_INET, text, &four) == 1 {
      return UInt32(bigEndian: four.s_addr) >> 24 == 127
    }
    var six = in6_addr()
    guard inet_pton(AF_INET6, text, &six) == 1 else { return false }
    return withUnsafeBytes(of: six) { bytes in
      let zeros = bytes.prefix { $0 == 0 }.count
      return zeros == 15 && bytes[15] == 1
        || zeros == 10 && bytes[10] == 0xFF && bytes[11] == 0xFF && bytes[12] == 127
    }
  }

  /// Whether a `Host` header (RFC 9110, section 7.2) names such a host, with any port or none.
  static func isAuthority(_ text: String) -> Bool {
    // Nearly every request; the rest may cost more.
    if text.utf8.withContiguousStorageIfAvailable(isUsual) == true { return true }
    let bytes = text.utf8
    let isBracketed = bytes.first == UInt8(ascii: "[")
    let separator = UInt8(ascii: isBracketed ? "]" : ":")
    let end = bytes.firstIndex(of: separator) ?? bytes.endIndex
    guard !isBracketed || end < bytes.endIndex else { return false }
    let start = isBracketed ? bytes.index(after: bytes.startIndex) : bytes.startIndex
    let rest = isBracketed ? bytes[bytes.index(after: end)...] : bytes[end...]
    guard rest.isEmpty || rest.first == UInt8(ascii: ":"),
      rest.dropFirst().allSatisfy({ (0x30...0x39).contains($0) })
    else { return false }
    let host = text[start..<end]
    return isHost(host) && host.utf8.contains(UInt8(ascii: ":")) == isBracketed
  }

  /// Whether this is `127.0.0.1` or `localhost`, which are as long as each other, and a port or
  /// none.
  private static func isUsual(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    let names: (StaticString, StaticString) = ("127.0.0.1", "localhost")
    let length = names.0.utf8CodeUnitCount
    guard bytes.count >= length, let start = bytes.baseAddress,
      memcmp(start, names.0.utf8Start, length) == 0
        || memcmp(start, names.1.utf8Start, length) == 0
    else { return false }
    guard bytes.count > length else { return true }
    guard bytes[length] == UInt8(ascii: ":") else { return false }
    for byte in bytes[(length + 1)...] where byte &- 0x30 > 9 { return false }
    return true
  }

  /// Names are case-insensitive (RFC 4343).
  private static func isLocalhost(_ text: some Collection<UInt8>) -> Bool {
    let name: StaticString = "localhost"
    guard text.count == name.utf8CodeUnitCount else { return false }
    return text.enumerated().allSatisfy { $1 | 0x20 == name.utf8Start[$0] }
  }
}
