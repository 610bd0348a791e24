/// Where a request target leads (RFC 9112, section 3.2).
enum Destination {
  /// To no path that can be read.
  case invalid
  /// `*`: to the server as a whole, for `OPTIONS`.
  case everything
  /// To a path without routes.
  case nowhere
  /// To a resource of the router.
  case resource(Int)

  /// Reads the target of a request line, NUL-terminated, into the path, the query and the spans of
  /// a request, and looks it up. The usual path has no escape, and is matched where it lies.
  static func read(
    _ text: UnsafePointer<UInt8>, in router: borrowing Router, into request: inout HTTPRequest
  ) -> Destination {
    if text[0] == UInt8(ascii: "*"), text[1] == 0 { return .everything }
    guard let text = afterAuthority(text) else { return .invalid }

    let isPlain: Bool
    let length: Int
    switch scan(text, until: UInt8(ascii: "?")) {
    case .refused: return .invalid
    case .end(let end, let plain): (length, isPlain) = (end, plain)
    }
    if text[length] != 0, !readQuery(text + length + 1, into: &request) { return .invalid }

    let path =
      length > 0
      ? UnsafeBufferPointer(start: text, count: length)
      : UnsafeBufferPointer(start: emptyPath.utf8Start, count: emptyPath.utf8CodeUnitCount)
    let resource: Int?
    if isPlain {
      request.path = String(decoding: path, as: UTF8.self)
      resource = router.resource(at: path, &request.spans)
    } else {
      guard var decoded = PercentCoding.pathDecoded(path) else { return .invalid }
      resource = decoded.withUnsafeBufferPointer { router.resource(at: $0, &request.spans) }
      for index in decoded.indices where decoded[index] == PercentCoding.escapedSlash {
        decoded[index] = UInt8(ascii: "/")
      }
      guard let valid = String(validating: decoded, as: UTF8.self) else { return .invalid }
      request.path = valid
    }
    return resource.map { .resource($0) } ?? .nowhere
  }

  private enum Scanned {
    case refused
    case end(Int, isPlain: Bool)
  }

  /// Goes to the end, or to `stop`. Plain text has no escape and is ASCII. Spaces, controls and
  /// `#` have no place in a target.
  private static func scan(_ text: UnsafePointer<UInt8>, until stop: UInt8) -> Scanned {
    var isPlain = true
    var index = 0
    while true {
      let byte = text[index]
      // Most bytes are beyond all that is special but DEL and `?`.
      if UInt8(ascii: "&")..<0x7F ~= byte, byte != UInt8(ascii: "?") {
        index += 1
        continue
      }
      if byte == 0 || byte == stop { return .end(index, isPlain: isPlain) }
      if byte <= 0x20 || byte == 0x7F || byte == UInt8(ascii: "#") { return .refused }
      if byte == UInt8(ascii: "%") || byte >= 0x80 { isPlain = false }
      index += 1
    }
  }

  private static func readQuery(
    _ text: UnsafePointer<UInt8>, into request: inout HTTPRequest
  ) -> Bool {
    guard case .end(let length, let isPlain) = scan(text, until: 0) else { return false }
    let bytes = UnsafeBufferPointer(start: text, count: length)
    if isPlain {
      request.query = HTTPQuery(String(decoding: bytes, as: UTF8.self))
      return true
    }
    guard let valid = String(validating: bytes, as: UTF8.self) else { return false }
    request.query = HTTPQuery(valid)
    return request.query.isWellFormed
  }

  /// What a path that is not there stands for (RFC 9110, section 4.2.3).
  private static let emptyPath: StaticString = "/"

  /// Skips `http://host` of a target in absolute form, which a server must accept, to its path or,
  /// where that is empty, to what follows it. The authority has to be there and is not looked at:
  /// this server has one host. `nil` for what is no target.
  private static func afterAuthority(_ text: UnsafePointer<UInt8>) -> UnsafePointer<UInt8>? {
    if text[0] == UInt8(ascii: "/") { return text }
    for scheme in ["http://", "https://"] as [StaticString] {
      let length = scheme.utf8CodeUnitCount
      var index = 0
      while index < length, lower(text[index]) == scheme.utf8Start[index] { index += 1 }
      guard index == length else { continue }
      while text[index] > 0x20, text[index] != 0x7F, !ends(authority: text[index]) { index += 1 }
      let isEnded = text[index] == 0 || ends(authority: text[index])
      return index > length && isEnded ? text + index : nil
    }
    return nil
  }

  /// A scheme's letters are case-insensitive.
  private static func lower(_ byte: UInt8) -> UInt8 { byte >= 0x40 ? byte | 0x20 : byte }

  /// RFC 3986, section 3.2.
  private static func ends(authority byte: UInt8) -> Bool {
    byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
  }
}
