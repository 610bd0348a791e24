import Glibc
import Testing

@testable import Multiprocessing

/// The two ends of a pipe in one process that has threads; between processes see
/// `ExchangeScenarioTests`.
@Suite struct ConnectionTests {
  private func code(_ body: () throws(ConnectionError) -> Void) -> ConnectionError.Code? {
    thrown(body)?.code
  }

  @Test func `C1: a buffer is filled from the offset on, and nothing else of it`() throws {
    let (left, right) = try Pipe()
    var buffer = [UInt8](repeating: 9, count: 10)
    try left.sendBytes([1, 2, 3])
    #expect(try right.receiveBytes(into: &buffer) == 3)
    #expect(buffer == [1, 2, 3, 9, 9, 9, 9, 9, 9, 9])
    try left.sendBytes([4, 5, 6])
    #expect(try right.receiveBytes(into: &buffer, offset: 7) == 3)
    #expect(buffer == [1, 2, 3, 9, 9, 9, 9, 4, 5, 6])
    try left.sendBytes([7, 8, 9, 9])
    #expect(
      code { () throws(ConnectionError) in try right.receiveBytes(into: &buffer, offset: 7) }
        == .bufferTooShort(message: [7, 8, 9, 9]))
    #expect(buffer == [1, 2, 3, 9, 9, 9, 9, 4, 5, 6])
    for offset in [-1, 11] {
      let error = thrown { () throws(ConnectionError) in
        try right.receiveBytes(into: &buffer, offset: offset)
      }
      #expect(error?.code == .invalidArgument)
    }
    try left.sendBytes([1])
    #expect(try right.receiveBytes(into: &buffer, offset: 9) == 1)
  }

  @Test func `C1: a message of 16 MiB waits for a reader, or for none`() throws {
    let (left, right) = try Pipe(duplex: false)
    let bytes = [UInt8](repeating: 0xA5, count: 16 << 20)
    try right.sendBytes(bytes)
    #expect(try left.poll())
    #expect(try left.receiveBytes() == bytes)
    try right.send(bytes)
    #expect(try left.receive([UInt8].self) == bytes)
    try right.sendBytes(bytes)
  }

  @Test func `C2: each end of a one-way pipe refuses the other direction`() throws {
    let (reader, writer) = try Pipe(duplex: false)
    #expect(reader.isReadable && !reader.isWritable && writer.isWritable && !writer.isReadable)
    #expect(code { () throws(ConnectionError) in try reader.send(1) } == .readOnly)
    #expect(code { () throws(ConnectionError) in try reader.sendBytes([]) } == .readOnly)
    #expect(code { () throws(ConnectionError) in try reader.sendHandle(0) } == .readOnly)
    #expect(code { () throws(ConnectionError) in _ = try writer.receive(Int.self) } == .writeOnly)
    #expect(code { () throws(ConnectionError) in _ = try writer.receiveBytes() } == .writeOnly)
    #expect(code { () throws(ConnectionError) in _ = try writer.poll() } == .writeOnly)
    #expect(code { () throws(ConnectionError) in _ = try wait(for: [writer]) } == .writeOnly)
    try writer.send(1)
    #expect(try reader.receive(Int.self) == 1)
  }

  @Test func `C4: a part of the bytes is sent, if there is such a part`() throws {
    let (left, right) = try Pipe()
    let latin = Array("abcdefghijklmnopqrstuvwxyz".utf8)
    for (offset, size) in [(5, nil), (7, 8), (26, nil), (26, 0), (0, 26)] as [(Int, Int?)] {
      try left.sendBytes(latin, offset: offset, size: size)
      #expect(try right.receiveBytes() == Array(latin[offset..<(size.map { offset + $0 } ?? 26)]))
    }
    let wrong: [(Int, Int?)] = [(27, nil), (22, 5), (26, 1), (-1, nil), (4, -1), (1, .max)]
    for (offset, size) in wrong {
      let error = thrown { () throws(ConnectionError) in
        try left.sendBytes(latin, offset: offset, size: size)
      }
      #expect(error?.code == .invalidArgument)
    }
    // What is no array, with its bytes in one place or not.
    try left.sendBytes("text".utf8, offset: 1)
    try left.sendBytes([1, 2, 3].lazy.map { $0 + 1 }, size: 2)
    #expect(try right.receiveBytes() == Array("ext".utf8))
    #expect(try right.receiveBytes() == [2, 3])
  }

  @Test func `C7: data without a descriptor is no descriptor`() throws {
    let (left, right) = try Pipe()
    try left.send("a")
    try left.sendBytes([1])
    for _ in 0..<2 {
      #expect(code { () throws(ConnectionError) in _ = try right.receiveHandle() } == .noDescriptor)
    }
    #expect(code { () throws(ConnectionError) in try left.sendHandle(-1) } == .invalidArgument)
    #expect(code { () throws(ConnectionError) in try left.sendHandle(9_999) } == .system(EBADF))
    try left.sendHandle(1)
    #expect(code { () throws(ConnectionError) in _ = try right.receiveBytes() } == .wrongKind)
    #expect(try !right.poll())
  }

  @Test func `C8: it is closed after the block, and closing again is fine`() throws {
    let (left, right) = try Pipe()
    let received = try left.use { left in
      try right.use { right in
        try left.send(5)
        return try right.receive(Int.self)
      }
    }
    #expect(received == 5 && left.isClosed && right.isClosed && left.fileDescriptor == -1)
    #expect(code { () throws(ConnectionError) in _ = try left.receive(Int.self) } == .closed)
    #expect(code { () throws(ConnectionError) in try left.send(1) } == .closed)
    #expect(code { () throws(ConnectionError) in _ = try left.poll() } == .closed)
    #expect(code { () throws(ConnectionError) in _ = try wait(for: [left]) } == .closed)
    left.close()
  }

  @Test func `C10, C11: messages keep their bounds, empty ones included`() throws {
    let (left, right) = try Pipe()
    let messages = ["hello", "", "a", "a", "", "bye"].map { Array($0.utf8) }
    for message in messages { try left.sendBytes(message) }
    for message in messages {
      for _ in 0..<3 { #expect(try right.poll()) }
      #expect(try right.receiveBytes() == message)
    }
    #expect(try !right.poll())
  }

  @Test func `a message longer than asked for is gone, and the connection goes on`() throws {
    let (left, right) = try Pipe()
    try left.sendBytes([1, 2, 3])
    try left.sendBytes([4])
    let error = thrown { () throws(ConnectionError) in _ = try right.receiveBytes(maxLength: 2) }
    #expect(error?.code == .messageTooLong(3))
    #expect(try right.receiveBytes(maxLength: 1) == [4])
    let negative = thrown { () throws(ConnectionError) in _ = try right.receiveBytes(maxLength: -1)
    }
    #expect(negative?.code == .invalidArgument)
  }

  @Test func `C14: connections go over a connection, and their senders keep theirs`() throws {
    let (left, right) = try Pipe()
    let (reader, writer) = try Pipe(duplex: false)
    try left.send([reader, writer])
    let copies = try right.receive([Connection].self)
    #expect(copies[0].isReadable && !copies[0].isWritable && copies[1].isWritable)
    try copies[1].send("there")
    #expect(try reader.receive(String.self) == "there")
    try writer.send("and back")
    #expect(try copies[0].receive(String.self) == "and back")
    writer.close()
    let error = thrown { () throws(ConnectionError) in try left.send([writer]) }
    #expect(error?.code == .encoding)
    #expect(error?.description.contains("closed") == true)
    let many = try (0..<25).map { _ in try Pipe().0 }
    #expect(code { () throws(ConnectionError) in try left.send(many) } == .encoding)
    // Descriptors that the type does not ask for are closed and not kept.
    try left.send([reader])
    #expect(code { () throws(ConnectionError) in _ = try right.receive(Int.self) } == .decoding)
  }

  /// Has the number of its connection taken as soon as that is encoded. (Not closed before: the
  /// tests that run meanwhile open files, too.)
  private struct TakenMeanwhile: Encodable {
    let connection: Connection
    let file: Int32

    func encode(to encoder: any Encoder) throws {
      var container = encoder.unkeyedContainer()
      try container.encode(connection)
      dup2(file, connection.fileDescriptor)
    }
  }

  @Test func `a connection whose number is taken before it is sent arrives all the same`() throws {
    let (left, right) = try Pipe()
    let (near, far) = try Pipe()
    let file = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer { close(file) }
    try left.send(TakenMeanwhile(connection: far, file: file))
    far.close()
    let come = try right.receive([Connection].self)
    try near.send(7)
    #expect(try come[0].receive(Int.self) == 7)
    // One that occurs twice goes once.
    try left.send([near, near])
    #expect(try right.receive([Connection].self).count == 2)
  }

  @Test func `a connection is inherited by a process that is started with it`() throws {
    let (left, right) = try Pipe()
    let start = DescriptorTransfer(.start)
    let text = try start.perform { try FoundationCodec.encode(["end": right]) }
    #expect(start.descriptors.count == 1)
    let arriving = DescriptorTransfer(.start, received: start.descriptors.map { dup($0) })
    let copy = try arriving.perform {
      try text.withUnsafeBufferPointer {
        try FoundationCodec.decode([String: Connection].self, from: $0)
      }
    }
    right.close()
    try copy["end"]?.send(1)
    #expect(try left.receive(Int.self) == 1)
    #expect(throws: TaskFailure.self) { try FoundationCodec.encode(left) }
  }

  @Test func `C9, C15: wait answers all that are ready, and nothing when the time is over`() throws
  {
    let began = ContinuousClock.now
    #expect(try wait(for: [Connection](), timeout: .milliseconds(50)).isEmpty)
    #expect(ContinuousClock.now - began >= .milliseconds(50))
    #expect(try wait(for: [Connection]()).isEmpty)
    let pipes = try (0..<4).map { _ in try Pipe() }
    let ends = pipes.map(\.0)
    #expect(try wait(for: ends, timeout: .zero).isEmpty)
    #expect(try wait(for: ends, timeout: .seconds(-1)).isEmpty)
    try pipes[1].1.send(1)
    pipes[3].1.close()
    #expect(try wait(for: ends) == [ends[1], ends[3]])
    #expect(
      try wait(for: [ends[0].fileDescriptor, ends[1].fileDescriptor]) == [ends[1].fileDescriptor])
  }

  @Test func `C17: a number that is no descriptor is an error`() throws {
    #expect(code { () throws(ConnectionError) in _ = try wait(for: [Int32(-1)]) } == .closed)
    #expect(
      code { () throws(ConnectionError) in _ = try wait(for: [Int32(9_999)]) } == .system(EBADF))
  }

  @Test(arguments: 0..<20)
  func `to close a connection ends the waits of other threads for it`(_: Int) throws {
    let (left, right) = try Pipe()
    let bytes = [UInt8](repeating: 0, count: 60_000)
    let threads = [
      OnThread { thrown { () throws(ConnectionError) in _ = try left.receive(Int.self) } },
      OnThread { thrown { () throws(ConnectionError) in _ = try left.receiveBytes() } },
      OnThread { thrown { () throws(ConnectionError) in _ = try left.poll(timeout: nil) } },
      OnThread { thrown { () throws(ConnectionError) in _ = try wait(for: [left]) } },
      OnThread {
        thrown { () throws(ConnectionError) in
          for _ in 0..<100 { try left.sendBytes(bytes) }
        }
      },
    ]
    for thread in threads { thread.waitUntilItSleeps() }
    let number = left.fileDescriptor
    left.close()
    for thread in threads { #expect(thread.join()?.code == .closed) }
    // And then the number is free.
    #expect(fcntl(number, F_GETFD) == -1 || right.fileDescriptor != number)
    _ = right
  }

  @Test func `a system that allows sockets little memory passes messages all the same`() throws {
    let (left, right) = try Pipe()
    var size: Int32 = 1
    let result = setsockopt(
      left.fileDescriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    #expect(result == 0)
    for count in [10, 20_000, 65_536] {
      let bytes = [UInt8](repeating: 7, count: count)
      try left.sendBytes(bytes)
      #expect(try right.receiveBytes() == bytes)
    }
  }

  @Test func `threads share one end`() throws {
    let (reader, writer) = try Pipe(duplex: false)
    let senders = (0..<3).map { sender in
      OnThread {
        thrown { () throws(ConnectionError) in
          for number in 0..<2_000 {
            try writer.send(
              [Int](repeating: sender * 2_000 + number, count: 1 + number % 2_000 * 6))
          }
        }
      }
    }
    let receivers = (0..<3).map { _ in
      OnThread { () -> [Int] in
        var numbers: [Int] = []
        while let item = try? reader.receive([Int].self) {
          // A broken one is no number that was sent.
          numbers.append(item.allSatisfy { $0 == item[0] } ? item[0] : -1)
        }
        return numbers
      }
    }
    for sender in senders { #expect(sender.join() == nil) }
    writer.close()
    #expect(receivers.flatMap { $0.join() }.sorted() == Array(0..<6_000))
  }

  @Test func `an end that goes with something unread is the end, not an error`() throws {
    let (left, right) = try Pipe()
    try left.send(1)
    try right.send(2)
    right.close()
    #expect(try left.receive(Int.self) == 2)
    #expect(code { () throws(ConnectionError) in _ = try left.receive(Int.self) } == .endOfFile)
    #expect(code { () throws(ConnectionError) in try left.send(3) } == .brokenPipe)
  }
}
