internal import CPlatform
import Glibc

/// The memory of a queue, as bytes; see `shared_queue.h` for how it holds out against deaths.
final class QueueStorage: Sendable {
  /// What most items fit into, with their length; it lies on the stack. Larger ones take a second
  /// read and memory of their own.
  private static let bufferBytes = 1024

  private struct Use {
    /// Calls under way; the mapping outlives them.
    var count = 0
    var isClosed = false
  }

  // reason: what it leads to is mapped until the last call has ended, and the C functions may be
  // called with it by any thread.
  private nonisolated(unsafe) let queue: OpaquePointer
  private let descriptor: Int32
  private let use = Mutex(Use())

  /// Makes an empty queue for at most `capacity` items; 0 for any number.
  init(capacity: Int) throws(QueueError) {
    var descriptor: Int32 = -1
    guard let queue = lido_queue_create(UInt64(max(capacity, 0)), &descriptor) else {
      throw QueueError(.system(errno), "a queue could not be made")
    }
    self.queue = queue
    self.descriptor = descriptor
  }

  /// The queue at a place of the transfer under way; `type` is for its errors.
  init(at place: Int, of type: String) throws(TransferError) {
    descriptor = try DescriptorTransfer.take(place, of: type)
    guard let queue = lido_queue_map(descriptor) else {
      let number = errno
      Glibc.close(descriptor)
      throw TransferError(.system(number), type: type)
    }
    self.queue = queue
  }

  deinit { close() }

  /// Adds the queue to the start of a process that is under way, and says its place there.
  func addToStart(of type: String) throws -> Int {
    if let transfer = DescriptorTransfer.current, transfer.occasion != .start {
      throw TransferError(.onlyAtStart, type: type)
    }
    try begin()
    defer { end() }
    return try DescriptorTransfer.add(descriptor, of: type, owner: self)
  }

  /// Closes it in this process, and ends the waits of this process. Again it does nothing.
  func close() {
    let others: Int? = use.withLock { use in
      guard !use.isClosed else { return nil }
      use.isClosed = true
      use.count += 1
      return use.count - 1
    }
    guard let others else { return }
    // The sleepers of other processes look, and sleep again.
    if others > 0 { lido_queue_wake(queue) }
    end()
  }

  private func begin() throws(QueueError) {
    let isOpen = use.withLock { use in
      if !use.isClosed { use.count += 1 }
      return !use.isClosed
    }
    if !isOpen { throw QueueError(.closed) }
  }

  private func end() {
    let isLast = use.withLock { use in
      use.count -= 1
      return use.count == 0 && use.isClosed
    }
    if isLast { release() }
  }

  private func release() {
    lido_queue_unmap(queue)
    Glibc.close(descriptor)
  }

  /// How many items are in it at the moment. Throws `closed`.
  var count: Int {
    get throws(QueueError) { Int(clamping: try counts().items) }
  }

  /// Whether there is no room at the moment. Throws `closed`.
  var isFull: Bool {
    get throws(QueueError) {
      let counts = try counts()
      return counts.capacity != 0 && counts.items >= counts.capacity
    }
  }

  /// The description of a queue, of the type `type`.
  func text(of type: String) -> String {
    guard let counts = try? counts() else { return "<\(type) closed>" }
    let most = counts.capacity == 0 ? "" : ", at most \(counts.capacity)"
    return "<\(type) \(counts.items) item\(counts.items == 1 ? "" : "s")\(most)>"
  }

  /// How many processes or threads died while they held the mutex. Throws `closed`.
  var recoveries: Int {
    get throws(QueueError) { Int(clamping: try counts().recoveries) }
  }

  private func counts() throws(QueueError) -> lido_queue_counts {
    try begin()
    defer { end() }
    return lido_queue_count(queue)
  }

  /// Appends an item; waits for room until `deadline`.
  func put(_ item: [UInt8], until deadline: Deadline) throws(QueueError) {
    try begin()
    defer { end() }
    try wait(on: LIDO_QUEUE_PLACES, until: deadline, otherwise: .full, length: item.count) {
      end, willWait, ticket in
      lido_queue_put(queue, descriptor, item, item.count, end, willWait, &ticket)
    }
  }

  /// Takes the first item; waits for one until `deadline`. The bytes are valid within `body` only.
  func get<Value>(
    until deadline: Deadline, _ body: (UnsafeRawBufferPointer) throws(QueueError) -> Value
  ) throws(QueueError) -> Value {
    try begin()
    defer { end() }
    let size = Self.bufferBytes
    let result = withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { buffer in
      Result { () throws(QueueError) in
        var large: UnsafeMutableRawPointer?
        var length = 0
        try wait(on: LIDO_QUEUE_ITEMS, until: deadline, otherwise: .empty, length: 0) {
          end, willWait, ticket in
          lido_queue_get(
            queue, descriptor, buffer.baseAddress, size, &large, &length, end, willWait, &ticket)
        }
        defer { free(large) }
        let bytes = large ?? buffer.baseAddress! + MemoryLayout<UInt64>.size
        return try body(UnsafeRawBufferPointer(start: bytes, count: length))
      }
    }
    return try result.get()
  }

  /// Calls `attempt` until it finds something to do.
  private func wait(
    on side: lido_queue_side, until deadline: Deadline, otherwise code: QueueError.Code,
    length: Int, _ attempt: (UInt64, Int32, inout UInt32) -> Int32
  ) throws(QueueError) {
    let end = deadline.nanoseconds ?? .max
    var ticket: UInt32 = 0
    while true {
      let isOver = deadline.hasPassed
      switch attempt(end, isOver ? 0 : 1, &ticket) {
      case 0: return
      case EAGAIN:
        // In this order: whoever closes does so first and wakes then, which spoils the ticket.
        if use.withLock(\.isClosed) { throw QueueError(.closed) }
        if isOver { throw QueueError(code) }
        lido_queue_wait(queue, side, ticket, end)
      case ETIMEDOUT: throw QueueError(code)
      case let number where code == .full:
        throw QueueError(.system(number), "no memory for an item of \(length) bytes")
      case let number: throw QueueError(.system(number), "an item could not be read")
      }
    }
  }
}
