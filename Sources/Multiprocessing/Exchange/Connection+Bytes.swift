import Glibc

extension Connection {
  /// Sends bytes as one message (CPython's `send_bytes`), all of them or `size` from `offset` on.
  /// An empty message is a message. Waits while about half a megabyte lies unread at the other end.
  ///
  /// - Throws: ``ConnectionError``: `invalidArgument` if the part does not lie within the bytes, or
  ///   a number is negative; `brokenPipe`, `closed`, `readOnly`, `system`.
  public func sendBytes(
    _ bytes: some Collection<UInt8>, offset: Int = 0, size: Int? = nil
  ) throws(ConnectionError) {
    try requireWritable()
    let range = try Self.part(of: bytes.count, offset: offset, size: size)
    let sent: Result<Void, ConnectionError>? = bytes.withContiguousStorageIfAvailable { buffer in
      let content = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[range])
      return Result { () throws(ConnectionError) in try sendPacket(.bytes, content) }
    }
    if let sent { return try sent.get() }
    try withRawBytes(of: Array(bytes)) { (all) throws(ConnectionError) in
      try sendPacket(.bytes, UnsafeRawBufferPointer(rebasing: all[range]))
    }
  }

  private static func part(
    of count: Int, offset: Int, size: Int?
  ) throws(ConnectionError) -> Range<Int> {
    func refuse(_ why: String) -> ConnectionError { ConnectionError(.invalidArgument, why) }
    guard offset >= 0 else { throw refuse("the offset \(offset) is negative") }
    guard offset <= count else {
      throw refuse("the offset \(offset) lies behind the end of \(count) bytes")
    }
    guard let size else { return offset..<count }
    guard size >= 0 else { throw refuse("the size \(size) is negative") }
    guard size <= count - offset else {
      throw refuse("\(size) bytes from \(offset) on are more than the \(count) that there are")
    }
    return offset..<offset + size
  }

  /// Receives the next message as bytes (CPython's `recv_bytes`); waits for it.
  ///
  /// - Parameter maxLength: if the message is longer it is gone, and the call throws. (CPython
  ///   gives up the connection as well; here it goes on.)
  /// - Throws: ``ConnectionError``: `endOfFile`, `messageTooLong`, `wrongKind`, `closed`,
  ///   `writeOnly`, `invalidArgument` if `maxLength` is negative, `system`.
  public func receiveBytes(maxLength: Int? = nil) throws(ConnectionError) -> [UInt8] {
    if let maxLength, maxLength < 0 {
      throw ConnectionError(.invalidArgument, "the length \(maxLength) is negative")
    }
    return try receiveContent { (content) throws(ConnectionError) in
      if let maxLength, content.count > maxLength {
        throw ConnectionError(.messageTooLong(content.count))
      }
      return [UInt8](content)
    }
  }

  /// Receives the next message into `buffer` from `offset` on (CPython's `recv_bytes_into`) and
  /// answers its length; waits for it. The rest of the buffer stays as it is.
  ///
  /// - Throws: ``ConnectionError``: `bufferTooShort` with the whole message if it does not fit, and
  ///   then the buffer stays as it is; `invalidArgument` if `offset` does not lie within the
  ///   buffer; as `receiveBytes(maxLength:)`.
  @discardableResult
  public func receiveBytes(
    into buffer: UnsafeMutableRawBufferPointer, offset: Int = 0
  ) throws(ConnectionError) -> Int {
    _ = try Self.part(of: buffer.count, offset: offset, size: nil)
    return try receiveContent { (content) throws(ConnectionError) in
      let target = UnsafeMutableRawBufferPointer(rebasing: buffer[offset...])
      guard content.count <= target.count else {
        throw ConnectionError(.bufferTooShort(message: [UInt8](content)))
      }
      target.copyMemory(from: content)
      return content.count
    }
  }

  /// The same into an array, whose count stays.
  @discardableResult
  public func receiveBytes(
    into buffer: inout [UInt8], offset: Int = 0
  ) throws(ConnectionError) -> Int {
    let result = buffer.withUnsafeMutableBytes { target in
      Result { () throws(ConnectionError) in try receiveBytes(into: target, offset: offset) }
    }
    return try result.get()
  }

  private func receiveContent<Value>(
    _ body: (UnsafeRawBufferPointer) throws(ConnectionError) -> Value
  ) throws(ConnectionError) -> Value {
    try receivePacket { (packet) throws(ConnectionError) in
      for descriptor in packet.descriptors { Glibc.close(descriptor) }
      guard packet.kind == .bytes else {
        throw ConnectionError(.wrongKind, "it was sent by \(packet.kind.sender)")
      }
      return try body(packet.content)
    }
  }
}
