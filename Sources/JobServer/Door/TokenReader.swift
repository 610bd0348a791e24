import Glibc

/// Reads tokens from where an operator keeps them, and leaves no copy of them in memory.
enum TokenReader {
  /// The longest file, in bytes: room for `TokenSet.countMax` long tokens.
  static let fileBytesMax = 2 << 20

  /// What a file held.
  struct File {
    var tokens: TokenSet
    /// Everybody on the machine may read it.
    var isOpenToOthers: Bool
  }

  /// Reads a file: one token a line; `#` begins a comment, blank lines are nothing.
  static func file(_ path: String) throws(SettingError) -> File {
    let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: fileBytesMax + 1)
    var count = 0
    defer {
      explicit_bzero(buffer, count)
      buffer.deallocate()
    }
    let mode = try fill(buffer, &count, from: path)
    guard count <= fileBytesMax else {
      throw SettingError(source: path, reason: "longer than \(fileBytesMax) bytes")
    }
    var tokens = TokenSet()
    var line = 0
    for text in UnsafeBufferPointer(start: buffer, count: count).split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    {
      line += 1
      let bare = text.prefix { $0 != UInt8(ascii: "#") }
      let end = (bare.lastIndex { !isBlank($0) } ?? bare.startIndex - 1) + 1
      let token = bare[..<end].drop(while: isBlank)
      if token.isEmpty { continue }
      try add(UnsafeBufferPointer(rebasing: token), to: &tokens, "\(path):\(line)", "")
    }
    if tokens.count == 0 {
      throw SettingError(source: path, reason: "no token in it; one a line is expected")
    }
    return File(tokens: tokens, isOpenToOthers: mode & S_IROTH != 0)
  }

  /// Reads the value of `TokenVariable.name`: tokens with commas or white space between them.
  static func variable(_ value: UnsafeBufferPointer<UInt8>) throws(SettingError) -> TokenSet {
    var tokens = TokenSet()
    var place = 0
    for text in value.split(whereSeparator: { isBlank($0) || $0 == UInt8(ascii: ",") }) {
      place += 1
      try add(
        UnsafeBufferPointer(rebasing: text), to: &tokens, TokenVariable.name, "token \(place): ")
    }
    // Most likely a variable that was to be filled in: an open door is not what was meant.
    if tokens.count == 0 {
      throw SettingError(source: TokenVariable.name, reason: "no token in it; unset it, or set one")
    }
    return tokens
  }

  private static func add(
    _ token: UnsafeBufferPointer<UInt8>, to tokens: inout TokenSet, _ source: String,
    _ place: String
  ) throws(SettingError) {
    if let fault = BearerToken.fault(of: token) {
      throw SettingError(source: source, reason: place + fault)
    }
    tokens.insert(token)
    guard tokens.count <= TokenSet.countMax else {
      throw SettingError(source: source, reason: "more than \(TokenSet.countMax) tokens")
    }
  }

  /// Reads a file to its end, or until `fileBytesMax` is passed, and answers its mode. Without
  /// stdio, whose buffer would keep what was read.
  private static func fill(
    _ buffer: UnsafeMutablePointer<UInt8>, _ count: inout Int, from path: String
  ) throws(SettingError) -> mode_t {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw unreadable(path) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw unreadable(path) }
    while count <= fileBytesMax {
      let length = read(file, buffer + count, fileBytesMax + 1 - count)
      if length < 0, errno == EINTR { continue }
      guard length >= 0 else { throw unreadable(path) }
      if length == 0 { break }
      count += length
    }
    return status.st_mode
  }

  /// For the call that has just failed.
  private static func unreadable(_ path: String) -> SettingError {
    SettingError(source: path, reason: "cannot be read: \(String(cString: strerror(errno)))")
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A
  }
}
