internal import CPlatform
import Glibc

/// What goes over the socket.
///
/// A packet begins with one byte, its kind; so an empty message differs from the end of the file.
/// Up to 64 KiB of content follow. A longer message has the bit `isLong`, then its whole length (8
/// bytes), then its first 64 KiB; the rest lies in a sealed memfd, the packet's first descriptor.
/// (The first part goes inline so that the kernel's bound on unread bytes holds for it: the memory
/// of many large messages that nobody reads would have none.)
struct Packet {
  /// What the content is.
  enum Kind: UInt8 {
    /// What `ValueCodec` made.
    case value = 1
    /// Bytes as they are.
    case bytes
    /// Nothing; the descriptor is what is sent.
    case handle
  }

  /// Most bytes of content within the packet itself.
  static let inlineMax = 65536
  static let isLong: UInt8 = 0x80
  static let longHeader = 1 + MemoryLayout<UInt64>.size
  /// Most descriptors of a packet.
  static let descriptorsMax = 1 + DescriptorTransfer.descriptorsMax

  let kind: Kind
  let content: UnsafeRawBufferPointer
  /// What came with it, without the memfd. To be taken over by whoever is handed the packet.
  let descriptors: [Int32]
}

extension Connection {
  /// Sends one packet, whole or not at all; waits for room.
  func sendPacket(
    _ kind: Packet.Kind, _ content: UnsafeRawBufferPointer, descriptors: [Int32] = []
  ) throws(ConnectionError) {
    try requireWritable()
    try descriptor.use { (socket) throws(ConnectionError) in
      if content.count <= Packet.inlineMax {
        var header = kind.rawValue
        let failure = try transmit(socket, &header, 1, content, descriptors)
        // A system may have set its bound on a socket's memory below what goes inline.
        if failure == EMSGSIZE {
          return try sendLong(socket, kind, content, inline: 0, descriptors)
        }
        try check(failure)
      } else {
        try sendLong(socket, kind, content, inline: Packet.inlineMax, descriptors)
      }
    }
  }

  private func sendLong(
    _ socket: Int32, _ kind: Packet.Kind, _ content: UnsafeRawBufferPointer, inline: Int,
    _ descriptors: [Int32]
  ) throws(ConnectionError) {
    let rest = UnsafeRawBufferPointer(rebasing: content[inline...])
    let memory = lido_sealed_memory("lido-message", rest.baseAddress, rest.count)
    guard memory >= 0 else {
      throw ConnectionError(.system(errno), "memory for a message of \(content.count) bytes")
    }
    defer { Glibc.close(memory) }
    var header: (UInt64, UInt64) = (0, 0)
    try withUnsafeMutableBytes(of: &header) { (bytes) throws(ConnectionError) in
      bytes[0] = kind.rawValue | Packet.isLong
      bytes.storeBytes(of: UInt64(content.count), toByteOffset: 1, as: UInt64.self)
      let head = UnsafeRawBufferPointer(rebasing: content[..<inline])
      try check(
        try transmit(
          socket, bytes.baseAddress!, Packet.longHeader, head, [memory] + descriptors))
    }
  }

  /// Sends header and content; answers the `errno`, 0 if all went well.
  private func transmit(
    _ socket: Int32, _ header: UnsafeMutableRawPointer, _ headerCount: Int,
    _ content: UnsafeRawBufferPointer, _ descriptors: [Int32]
  ) throws(ConnectionError) -> Int32 {
    let body = UnsafeMutableRawPointer(mutating: content.baseAddress)
    let parts = (
      iovec(iov_base: header, iov_len: headerCount), iovec(iov_base: body, iov_len: content.count)
    )
    while true {
      // With one thread nobody can close the connection meanwhile, and the system may wait for us.
      let flags = lido_has_one_thread() != 0 ? 0 : Int32(MSG_DONTWAIT)
      let result = withUnsafeBytes(of: parts) { parts in
        lido_send_parts(
          socket, parts.assumingMemoryBound(to: iovec.self).baseAddress, 2, descriptors,
          descriptors.count, flags)
      }
      if result == 0 { return 0 }
      switch errno {
      case EAGAIN: _ = try descriptor.wait(for: POLLOUT, until: .never)
      // The other end was closed with something unread in it; what it is now, the next call says.
      case ECONNRESET: continue
      case let number: return number
      }
    }
  }

  private func check(_ failure: Int32) throws(ConnectionError) {
    switch failure {
    case 0: return
    case EPIPE, ENOTCONN, ECONNREFUSED: throw ConnectionError(.brokenPipe)
    case let number: throw ConnectionError(.system(number), "a message could not be sent")
    }
  }

  /// Receives one packet and has `body` take it over; waits for it. The content is valid within
  /// `body` only.
  func receivePacket<Value>(
    _ body: (Packet) throws(ConnectionError) -> Value
  ) throws(ConnectionError) -> Value {
    try requireReadable()
    // Never by looking at the length first: another process might take that very message. Memory
    // that is not written to costs nothing.
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Packet.longHeader + Packet.inlineMax, alignment: 16)
    defer { buffer.deallocate() }
    let (count, descriptors) = try receive(into: buffer)
    let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
    guard let kind = Packet.Kind(rawValue: bytes[0] & ~Packet.isLong) else {
      for descriptor in descriptors { Glibc.close(descriptor) }
      throw ConnectionError(.wrongKind, "no connection of this program sent it")
    }
    if bytes[0] & Packet.isLong == 0 {
      let content = UnsafeRawBufferPointer(rebasing: bytes[1...])
      return try body(Packet(kind: kind, content: content, descriptors: descriptors))
    }
    let whole = try assemble(bytes, descriptors)
    return try withRawBytes(of: whole) { (content) throws(ConnectionError) in
      try body(Packet(kind: kind, content: content, descriptors: Array(descriptors.dropFirst())))
    }
  }

  /// The content of a long message. Closes the memfd; the other descriptors only if it throws.
  private func assemble(
    _ bytes: UnsafeRawBufferPointer, _ descriptors: [Int32]
  ) throws(ConnectionError) -> [UInt8] {
    defer { if let memory = descriptors.first { Glibc.close(memory) } }
    var failure = EBADMSG
    var status = stat()
    if bytes.count >= Packet.longHeader, let memory = descriptors.first,
      fstat(memory, &status) == 0
    {
      let length = bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self)
      let head = UnsafeRawBufferPointer(rebasing: bytes[Packet.longHeader...])
      if length == UInt64(head.count) + UInt64(status.st_size) {
        failure = 0
        let whole = [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, initialized in
          let target = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: Int(length))
          target.copyMemory(from: head)
          let rest = UnsafeMutableRawBufferPointer(rebasing: target[head.count...])
          failure = lido_read_exactly(memory, rest.baseAddress, rest.count, 0)
          initialized = failure == 0 ? Int(length) : 0
        }
        if failure == 0 { return whole }
      }
    }
    for descriptor in descriptors.dropFirst() { Glibc.close(descriptor) }
    throw ConnectionError(.system(failure), "a long message could not be read")
  }

  /// Receives into `buffer`; answers the number of bytes, 1 at least, and what came with them.
  private func receive(
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ConnectionError) -> (count: Int, descriptors: [Int32]) {
    try descriptor.use { (socket) throws(ConnectionError) in
      var descriptors: [Int32] = []
      while true {
        let hasOneThread = lido_has_one_thread() != 0
        let count = receiveOnce(socket, buffer, waits: hasOneThread, &descriptors)
        if count > 0 { return (count, descriptors) }
        if count == 0 { throw ConnectionError(.endOfFile) }
        switch errno {
        case EAGAIN: _ = try descriptor.wait(for: POLLIN, until: .never)
        // The other end was closed with something unread in it: what it sent is still to come.
        case ECONNRESET: continue
        case ENOTCONN: throw ConnectionError(.endOfFile)
        case let number: throw ConnectionError(.system(number), "a message could not be received")
        }
      }
    }
  }

  private func receiveOnce(
    _ socket: Int32, _ buffer: UnsafeMutableRawBufferPointer, waits: Bool,
    _ descriptors: inout [Int32]
  ) -> Int {
    let flags = waits ? 0 : Int32(MSG_DONTWAIT)
    return withUnsafeTemporaryAllocation(of: Int32.self, capacity: Packet.descriptorsMax) { room in
      var come = room.count
      let count = lido_receive_flagged(
        socket, buffer.baseAddress, buffer.count, room.baseAddress, &come, flags)
      if count >= 0, come > 0 { descriptors = Array(room[..<come]) }
      return count
    }
  }
}
