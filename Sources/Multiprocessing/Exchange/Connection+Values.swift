import Glibc

extension Connection {
  /// Sends a value as one message (CPython's `send`). It may hold connections, whose descriptors
  /// go along. Waits while about half a megabyte lies unread at the other end.
  ///
  /// Every floating-point value arrives as it was, NaN and the infinities included.
  ///
  /// - Throws: ``ConnectionError``: `encoding` (nothing was sent), `brokenPipe`, `closed`,
  ///   `readOnly`, `system`.
  public func send<Value: Encodable>(_ value: Value) throws(ConnectionError) {
    try requireWritable()
    let transfer = DescriptorTransfer(.message)
    let bytes: [UInt8]
    do throws(ValueCodec.Failure) {
      bytes = try transfer.perform { () throws(ValueCodec.Failure) in try ValueCodec.encode(value) }
    } catch {
      throw ConnectionError(.encoding, error.text)
    }
    defer { withExtendedLifetime(transfer) {} }
    try withRawBytes(of: bytes) { (content) throws(ConnectionError) in
      try sendPacket(.value, content, descriptors: transfer.descriptors)
    }
  }

  /// Receives the next value (CPython's `recv`); waits for it.
  ///
  /// The type need not be that which was sent: an array of `Int` can be received as one of
  /// `Double`. A value that is of no such type is taken away all the same.
  ///
  /// - Throws: ``ConnectionError``: `endOfFile`, `decoding`, `wrongKind`, `closed`, `writeOnly`,
  ///   `system`.
  public func receive<Value: Decodable>(
    _ type: Value.Type = Value.self
  ) throws(ConnectionError) -> Value {
    try receivePacket { (packet) throws(ConnectionError) in
      let transfer = DescriptorTransfer(.message, received: packet.descriptors)
      guard packet.kind == .value else {
        throw ConnectionError(.wrongKind, "it was sent by \(packet.kind.sender)")
      }
      do throws(ValueCodec.Failure) {
        return try transfer.perform { () throws(ValueCodec.Failure) in
          try ValueCodec.decode(type, from: packet.content)
        }
      } catch {
        throw ConnectionError(.decoding, error.text)
      }
    }
  }

  /// Sends an open descriptor (CPython's `send_handle`): whoever receives it has a copy. It stays
  /// yours, to close or to keep.
  ///
  /// - Throws: ``ConnectionError``: `system` with EBADF if it is not open; as `send`.
  public func sendHandle(_ descriptor: Int32) throws(ConnectionError) {
    try requireWritable()
    guard descriptor >= 0 else {
      throw ConnectionError(.invalidArgument, "\(descriptor) is no descriptor")
    }
    try sendPacket(.handle, UnsafeRawBufferPointer(start: nil, count: 0), descriptors: [descriptor])
  }

  /// Receives a descriptor (CPython's `recv_handle`): close-on-exec, yours to close. Waits for it.
  ///
  /// - Throws: ``ConnectionError``: `noDescriptor` if another kind of message comes, which is gone;
  ///   as `receive`.
  public func receiveHandle() throws(ConnectionError) -> Int32 {
    try receivePacket { (packet) throws(ConnectionError) in
      guard packet.kind == .handle, packet.descriptors.count == 1 else {
        for descriptor in packet.descriptors { Glibc.close(descriptor) }
        throw ConnectionError(.noDescriptor)
      }
      return packet.descriptors[0]
    }
  }
}

extension Packet.Kind {
  /// The method that sends such packets.
  var sender: String {
    switch self {
    case .value: "send"
    case .bytes: "sendBytes"
    case .handle: "sendHandle"
    }
  }
}
