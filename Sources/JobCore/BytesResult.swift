/// Bytes that a call gave back, with the media type that says how to read them (RFC 6838).
///
/// Kept in base64 (RFC 4648, section 4), because the journal and the snapshots are text.
public struct BytesResult: Equatable, Sendable {
  /// The media type, `type/subtype` and what parameters it has.
  public var contentType: String
  /// The bytes, encoded; padded, without line feeds.
  public var base64: String

  /// Takes bytes that are encoded already.
  public init(contentType: String, base64: String) {
    self.contentType = contentType
    self.base64 = base64
  }

  /// How many bytes the encoded ones are.
  public var count: Int {
    base64.utf8.count / 4 * 3 - base64.utf8.suffix(2).count { $0 == UInt8(ascii: "=") }
  }

  /// Bytes of memory that it holds, as retention counts them.
  var retainedBytes: Int { base64.utf8.count + contentType.utf8.count }
}
