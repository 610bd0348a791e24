import CMicroHTTPD
import Glibc

/// One walk over a request's headers: judges the framing, which libmicrohttpd 0.9.75 takes too
/// lightly (it lets `Content-Length` repeat, and stand beside `Transfer-Encoding`), and keeps the
/// values that somebody will ask for.
struct HeaderScan {
  private let table: FieldTable
  private var lines: RequestLines
  private var hosts = 0
  private var lengths = 0
  private var codings = 0
  private var isChunked = false
  private var isMalformed = false
  private var requestIDs = 0
  /// Whether a header has a name of which nothing is known: its value may be a secret.
  private var hasUnknown = false

  /// The stated length of the body; `Int.max` when it is not a number that fits.
  private(set) var contentLength = 0
  /// What requests keep. Put in empty, with the room that they had for the request before.
  var fields = HTTPFields()
  /// The only `Authorization` of the request, in memory that it keeps until its end; empty when
  /// there are several.
  private(set) var authorization: UnsafeBufferPointer<UInt8>?
  /// The only `X-Request-Id` of the request, if it is one to repeat; else empty.
  private(set) var requestID: [UInt8] = []

  /// Most bytes of an `X-Request-Id`; a longer one is taken for none.
  private static let requestIDBytesMax = 128

  init(table: FieldTable, lines: RequestLines) {
    self.table = table
    self.lines = lines
  }

  /// A body follows.
  var hasBody: Bool { codings > 0 || contentLength > 0 }

  /// Whether the body has more bytes than `count`, or does not say how many.
  func hasBody(over count: Int) -> Bool { codings > 0 || contentLength > count }

  /// Reads the headers of a connection whose header block is complete, or recalls them.
  mutating func read(_ connection: OpaquePointer, _ memory: inout HeaderMemory) {
    let size = mhd_header_size(connection)
    guard !lines.isVersion10, let block = lines.block(size: size) else {
      return walk(connection, size)
    }
    if let known = memory.recall(block, of: connection) {
      (fields, contentLength, hosts) = (known.fields, known.contentLength, 1)
      return
    }
    walk(connection, size)
    let saysMore = codings > 0 || requestIDs > 0 || authorization != nil || hasUnknown
    guard refusal == nil, !saysMore else { return }
    fields = fields.lent()
    memory.keep(block, of: connection, fields: fields, contentLength: contentLength)
  }

  /// Walks over the headers.
  private mutating func walk(_ connection: OpaquePointer, _ size: Int) {
    withUnsafeMutablePointer(to: &self) { scan in
      _ = MHD_get_connection_values_n(
        connection, .HEADER_KIND,
        { context, _, name, nameSize, value, valueSize in
          guard let context, let name else { return .YES }
          context.assumingMemoryBound(to: HeaderScan.self).pointee.take(
            UnsafeBufferPointer(start: UnsafeRawPointer(name).asBytes, count: nameSize),
            UnsafeBufferPointer(start: value.map { UnsafeRawPointer($0).asBytes }, count: valueSize)
          )
          return .YES
        }, scan)
    }
    lines.end(size: size)
  }

  /// Why this message is refused before its body is read, `nil` when its framing is sound.
  var refusal: HTTPRefusal? {
    if isMalformed || lines.isBroken { return .headerInvalid }
    let isVersion10 = lines.isVersion10
    if lengths > 1 || codings > 0 && (lengths > 0 || isVersion10) { return .framingInvalid }
    if codings > 1 || codings == 1 && !isChunked { return .transferCodingUnknown }
    if hosts > 1 || hosts == 0 && !isVersion10 { return .hostInvalid }
    return nil
  }

  private mutating func take(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) {
    lines.follow(name, value)
    // Of the control characters, this one ends a line for some (RFC 9110, section 5.5).
    if Self.contains(UInt8(ascii: "\r"), value) { isMalformed = true }
    guard let entry = table.entry(of: name) else {
      if !table.isToken(name) { isMalformed = true }
      hasUnknown = true
      return
    }
    switch entry.role {
    case .none: break
    case .host: hosts += 1
    case .contentLength:
      lengths += 1
      contentLength = Self.number(value)
    case .transferEncoding:
      codings += 1
      isChunked = Self.isChunked(value)
    case .authorization:
      let isFirst = authorization == nil
      authorization = UnsafeBufferPointer(
        rebasing: Self.trimmed(value).prefix(isFirst ? .max : 0))
    case .requestID: takeRequestID(value)
    }
    guard entry.isKept else { return }
    if let field = table.field(entry, value) { fields.add(field) } else { isMalformed = true }
  }

  /// Visible ASCII only: it goes into an answer and into logs.
  private mutating func takeRequestID(_ value: UnsafeBufferPointer<UInt8>) {
    requestIDs += 1
    let text = Self.trimmed(value)
    let isUsable =
      requestIDs == 1 && text.count <= Self.requestIDBytesMax
      && text.allSatisfy { 0x21...0x7E ~= $0 }
    requestID = isUsable ? [UInt8](text) : []
  }

  /// Without the white space at the end, which libmicrohttpd leaves there (RFC 9112, section 5.1).
  private static func trimmed(
    _ value: UnsafeBufferPointer<UInt8>
  ) -> Slice<UnsafeBufferPointer<UInt8>> {
    let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
    return value.prefix((value.lastIndex { !isBlank($0) } ?? -1) + 1)
  }

  private static func contains(_ byte: UInt8, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
    text.baseAddress.map { memchr($0, Int32(byte), text.count) != nil } ?? false
  }

  private static func number(_ text: UnsafeBufferPointer<UInt8>) -> Int {
    var number = 0
    for byte in text {
      let digit = byte &- UInt8(ascii: "0")
      let (product, hasOverflown) = number.multipliedReportingOverflow(by: 10)
      guard digit < 10, !hasOverflown, product <= Int.max - 9 else { return Int.max }
      number = product + Int(digit)
    }
    return number
  }

  /// The names of codings are case-insensitive (RFC 9112, section 7), as for libmicrohttpd.
  private static func isChunked(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    let word: StaticString = "chunked"
    guard text.count == word.utf8CodeUnitCount else { return false }
    for (index, byte) in text.enumerated() where byte | 0x20 != word.utf8Start[index] {
      return false
    }
    return true
  }
}

extension UnsafeRawPointer {
  /// C's `char` as bytes.
  var asBytes: UnsafePointer<UInt8> { assumingMemoryBound(to: UInt8.self) }
}

extension UnsafePointer<UInt8> {
  /// Bytes as C's `char`.
  var asCString: UnsafePointer<CChar> {
    UnsafeRawPointer(self).assumingMemoryBound(to: CChar.self)
  }
}
