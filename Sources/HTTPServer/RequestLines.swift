import CMicroHTTPD
import Glibc

/// Whether the lines of a request stand in memory as they must, one behind the other.
///
/// libmicrohttpd 0.9.75 tells names and values and hides what it made of the rest, which others on
/// the way (a proxy) may have read otherwise, and then what follows is somebody else's request:
///
/// - A header line that begins with NUL or with a colon ends the header block for it.
/// - A line that begins with white space, which continues a value (obs-fold), is added to the name.
/// - A value, a target and a method end at their first NUL.
/// - A line may end with LF alone, which RFC 9112, section 2.2, leaves to the recipient.
///
/// But it takes a request apart where it lies, and writes NUL over the blank behind the method and
/// the target, and over each CRLF. So what it told must lie at just such distances, from the method
/// to the end of the block; whatever is between besides was not told.
struct RequestLines {
  /// A version of libmicrohttpd that does otherwise is left to its own judgement.
  static let isKnown = mhd_is_known() != 0
  private static let crlfCount = 2

  private let method: UnsafePointer<UInt8>
  private let version: UnsafePointer<UInt8>
  /// Where the next line must begin.
  private var next: UnsafePointer<UInt8>
  /// Something was not told.
  private(set) var isBroken: Bool

  /// A request line, told in parts: NUL-terminated all, and in the memory of the connection.
  init(
    method: UnsafePointer<CChar>, target: UnsafeBufferPointer<UInt8>,
    version: UnsafePointer<CChar>
  ) {
    self.method = UnsafeRawPointer(method).asBytes
    self.version = UnsafeRawPointer(version).asBytes
    next = self.version + strlen(version) + Self.crlfCount
    let expected = self.method + strlen(method) + 1
    let isWhole = target.baseAddress == expected && expected + target.count + 1 == self.version
    isBroken = Self.isKnown && !isWhole
  }

  /// The header block behind the request line, in the memory of the connection, with what ends it;
  /// `size` counts from the method's first byte. Nil when it does not lie as it must.
  func block(size: Int) -> UnsafeBufferPointer<UInt8>? {
    let count = size - (next - method)
    guard Self.isKnown, !isBroken, count > 0 else { return nil }
    return UnsafeBufferPointer(start: next, count: count)
  }

  /// HTTP/1.0, or later.
  var isVersion10: Bool { version[7] == UInt8(ascii: "0") }

  /// A header follows.
  mutating func follow(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    guard let name = name.baseAddress, let start = value.baseAddress else { return }
    if name != next { isBroken = isBroken || Self.isKnown }
    next = start + value.count + Self.crlfCount
  }

  /// The block has ended, so many bytes behind the method's first.
  mutating func end(size: Int) {
    if next + Self.crlfCount != method + size { isBroken = isBroken || Self.isKnown }
  }
}
