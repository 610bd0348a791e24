import Glibc
import Testing

@testable import Multiprocessing

/// Queues in one process that has threads; between processes see `ExchangeScenarioTests`.
@Suite struct QueueTests {
  private func code(_ body: () throws(QueueError) -> Void) -> QueueError.Code? {
    thrown(body)?.code
  }

  @Test func `Q1: a full queue takes nothing, at once or when the time is over`() throws {
    let queue = try Queue<Int>(maxSize: 2)
    #expect(try queue.isEmpty && !queue.isFull)
    try queue.put(1)
    try queue.putNoWait(2)
    #expect(try !queue.isEmpty && queue.isFull)
    var began = ContinuousClock.now
    #expect(code { () throws(QueueError) in try queue.putNoWait(3) } == .full)
    #expect(
      code { () throws(QueueError) in try queue.put(3, block: false, timeout: .seconds(60)) }
        == .full)
    #expect(code { () throws(QueueError) in try queue.put(3, timeout: .seconds(-60)) } == .full)
    #expect(ContinuousClock.now - began < .seconds(30))
    began = .now
    #expect(code { () throws(QueueError) in try queue.put(3, timeout: .milliseconds(50)) } == .full)
    #expect(ContinuousClock.now - began >= .milliseconds(50))
    #expect(try [queue.get(), queue.get()] == [1, 2])
  }

  @Test func `Q2, Q7: an empty queue gives nothing, at once or when the time is over`() throws {
    let queue = try Queue<Int>()
    #expect(code { () throws(QueueError) in _ = try queue.getNoWait() } == .empty)
    #expect(
      code { () throws(QueueError) in _ = try queue.get(block: false, timeout: .seconds(60)) }
        == .empty)
    let began = ContinuousClock.now
    #expect(
      code { () throws(QueueError) in _ = try queue.get(timeout: .milliseconds(200)) } == .empty)
    #expect(ContinuousClock.now - began >= .milliseconds(200))
    try queue.put(4)
    #expect(try queue.get(timeout: .seconds(60)) == 4)
  }

  @Test func `Q4: the size follows what goes in and out`() throws {
    let queue = try Queue<String>()
    var sizes = [try queue.qsize]
    try queue.put("a")
    sizes.append(try queue.qsize)
    try queue.put("b")
    sizes.append(try queue.qsize)
    _ = try queue.get()
    sizes.append(try queue.qsize)
    _ = try queue.get()
    #expect(try sizes + [queue.qsize] == [0, 1, 2, 1, 0])
  }

  struct Picky: Codable, Sendable, Equatable {
    var number: Int

    init(_ number: Int) { self.number = number }

    init(from decoder: any Decoder) throws {
      number = try decoder.singleValueContainer().decode(Int.self)
      if number == 13 { throw QueueError(.system(EDOM)) }
    }

    func encode(to encoder: any Encoder) throws {
      if number < 0 { throw QueueError(.system(ERANGE)) }
      var container = encoder.singleValueContainer()
      try container.encode(number)
    }
  }

  @Test func `Q8: an item that cannot be encoded takes no place`() throws {
    let queue = try Queue<Picky>(maxSize: 1)
    #expect(code { () throws(QueueError) in try queue.put(Picky(-1)) } == .encoding)
    #expect(try queue.isEmpty)
    try queue.put(Picky(13))
    #expect(code { () throws(QueueError) in _ = try queue.get() } == .decoding)
    #expect(try queue.isEmpty)
    try queue.put(Picky(5))
    #expect(try queue.get() == Picky(5))
  }

  @Test func `Q10, Q11: a closed queue does nothing more`() throws {
    let queue = try Queue<Int>()
    try queue.put(1)
    queue.close()
    queue.close()
    queue.joinThread()
    queue.cancelJoinThread()
    #expect(code { () throws(QueueError) in try queue.put(1) } == .closed)
    #expect(code { () throws(QueueError) in _ = try queue.get() } == .closed)
    #expect(code { () throws(QueueError) in _ = try queue.getNoWait() } == .closed)
    #expect(code { () throws(QueueError) in _ = try queue.isEmpty } == .closed)
    #expect(code { () throws(QueueError) in _ = try queue.isFull } == .closed)
    #expect(code { () throws(QueueError) in _ = try queue.qsize } == .closed)
  }

  @Test func `Q13: a closed simple queue does nothing more`() throws {
    let queue = try SimpleQueue<Int>()
    try queue.put(1)
    #expect(try !queue.isEmpty && queue.get() == 1 && queue.isEmpty)
    queue.close()
    queue.close()
    #expect(code { () throws(QueueError) in try queue.put(1) } == .closed)
    #expect(code { () throws(QueueError) in _ = try queue.get() } == .closed)
    #expect(code { () throws(QueueError) in _ = try queue.isEmpty } == .closed)
  }

  @Test(arguments: 0..<20)
  func `to close a queue ends the waits of other threads for it`(_: Int) throws {
    let (empty, full) = (try Queue<Int>(), try Queue<Int>(maxSize: 1))
    try full.put(1)
    let threads = [
      OnThread { thrown { () throws(QueueError) in _ = try empty.get() } },
      OnThread { thrown { () throws(QueueError) in _ = try empty.get(timeout: .seconds(60)) } },
      OnThread { thrown { () throws(QueueError) in try full.put(2) } },
    ]
    for thread in threads { thread.waitUntilItSleeps() }
    empty.close()
    full.close()
    for thread in threads { #expect(thread.join()?.code == .closed) }
  }

  @Test func `large and small items keep their order`() throws {
    let queue = try Queue<[UInt8]>()
    let sizes = [0, 1, 1_000, 1_014, 1_015, 1_016, 1_017, 5_000_000, 3, 70_000]
    for size in sizes { try queue.put([UInt8](repeating: UInt8(size & 0xFF), count: size)) }
    for size in sizes {
      #expect(try queue.get() == [UInt8](repeating: UInt8(size & 0xFF), count: size))
    }
  }

  @Test func `a queue is inherited by a process that is started with it, and by no message`() throws
  {
    let queue = try Queue<Int>(maxSize: 2)
    try queue.put(1)
    let start = DescriptorTransfer(.start)
    let text = try start.perform { try FoundationCodec.encode(["queue": queue]) }
    let arriving = DescriptorTransfer(.start, received: start.descriptors.map { dup($0) })
    let copies = try arriving.perform {
      try text.withUnsafeBufferPointer {
        try FoundationCodec.decode([String: Queue<Int>].self, from: $0)
      }
    }
    let copy = try #require(copies["queue"])
    queue.close()
    try copy.put(2)
    #expect(try copy.isFull && copy.get() == 1 && copy.get() == 2)
    let (left, _) = try Pipe()
    let error = thrown { () throws(ConnectionError) in try left.send(copy) }
    #expect(error?.code == .encoding)
    #expect(error?.description.contains("shared through inheritance") == true)
    #expect(throws: TaskFailure.self) { try FoundationCodec.encode(copy) }
    // A descriptor that is no queue.
    let wrong = DescriptorTransfer(.start, received: [dup(0)])
    #expect(throws: TaskFailure.self) {
      try wrong.perform {
        try Array("[0]".utf8).withUnsafeBufferPointer {
          try FoundationCodec.decode([Queue<Int>].self, from: $0)
        }
      }
    }
  }

  @Test func `a connection is no item`() throws {
    let (left, _) = try Pipe()
    let queue = try Queue<Connection>()
    let error = thrown { () throws(QueueError) in try queue.put(left) }
    #expect(error?.code == .encoding)
    #expect(error?.description.contains("shared through inheritance") == true)
    #expect(try queue.isEmpty)
  }

  @Test func `threads share a queue`() throws {
    let queue = try Queue<Int>(maxSize: 3)
    let producers = (0..<3).map { producer in
      OnThread {
        thrown { () throws(QueueError) in
          for number in 0..<1_000 { try queue.put(producer * 1_000 + number) }
        }
      }
    }
    let consumers = (0..<3).map { _ in
      OnThread { (0..<1_000).map { _ in (try? queue.get()) ?? -1 } }
    }
    for producer in producers { #expect(producer.join() == nil) }
    #expect(consumers.flatMap { $0.join() }.sorted() == Array(0..<3_000))
  }
}
