/// An answer in chunks, as read from the bytes (RFC 9112, section 7.1).
struct ChunkedBody {
  /// The header block, with its empty line.
  var head = ""
  var chunks: [[UInt8]] = []
  /// The last chunk has come.
  var isWhole = false
  /// What came after it.
  var rest: [UInt8] = []

  /// Reads the first answer of what came so far; nil when the bytes are none.
  init?(_ received: [UInt8]) {
    var rest = received[...]
    guard let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
    head = String(decoding: rest[..<end.upperBound], as: UTF8.self)
    rest = rest[end.upperBound...]
    while let line = rest.firstRange(of: Array("\r\n".utf8)) {
      let text = String(decoding: rest[..<line.lowerBound], as: UTF8.self)
      guard let count = Int(text, radix: 16) else { return nil }
      let chunk = rest[line.upperBound...].prefix(count)
      let after = rest[line.upperBound...].dropFirst(count)
      guard after.count >= 2 else { break }
      guard after.starts(with: Array("\r\n".utf8)) else { return nil }
      rest = after.dropFirst(2)
      if count == 0 {
        isWhole = true
        break
      }
      chunks.append(Array(chunk))
    }
    self.rest = Array(rest)
  }

  /// All that has come.
  var text: String { String(decoding: chunks.joined(), as: UTF8.self) }
}

extension Client {
  /// The first answer, which is in chunks.
  var chunked: ChunkedBody? { ChunkedBody(received) }
}
