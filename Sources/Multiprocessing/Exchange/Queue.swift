/// A queue that processes share (CPython's `multiprocessing.Queue`): first in, first out, for any
/// number of producers and consumers.
///
/// The items lie in memory that all processes share and no process owns. So there is no feeder
/// thread and no pipe behind it, and none of their traps: `put` waits for nothing but room under
/// `maxSize`; an item is there for everybody when `put` returns, in the order of the puts; who has
/// put items may end at once, or be killed at any moment, and they stay; to join a process before
/// its items are taken is fine. One that is killed while it waits, puts or takes
/// leaves the queue as it was before or as it is after.
///
/// What is taken gives its memory back. All of it is gone with the last process that has the queue.
///
/// Another process gets it by inheritance: it is `Codable` as part of a started process's argument,
/// and nowhere else. All methods may be called by any thread; signals end no wait. A call may last
/// a second longer than its time limit while another process is stopped (SIGSTOP) in the middle of
/// one.
public final class Queue<Element: Codable & Sendable>: Sendable {
  private let storage: QueueStorage

  /// Makes an empty queue.
  ///
  /// - Parameter maxSize: most items that are in it at a time; without a bound if it is 0 or
  ///   negative. There is no bound on their bytes other than the memory of the machine.
  /// - Throws: ``QueueError`` with `system`.
  public init(maxSize: Int = 0) throws(QueueError) {
    storage = try QueueStorage(capacity: maxSize)
  }

  /// Appends an item (CPython's `put`). It is encoded first, by the caller.
  ///
  /// - Parameters:
  ///   - block: whether to wait for room; if not, `timeout` means nothing.
  ///   - timeout: how long to wait; nil without a bound, negative as 0.
  /// - Throws: ``QueueError``: `full`, `closed`, `encoding` (the item took no place; connections
  ///   and other values that are bound to a descriptor cannot be items), `system` if there is no
  ///   memory. The queue is as before.
  public func put(
    _ item: Element, block: Bool = true, timeout: Duration? = nil
  ) throws(QueueError) {
    let deadline = block ? Deadline(after: timeout) : .now
    try storage.put(try QueueItem.encode(item), until: deadline)
  }

  /// Appends an item if there is room (CPython's `put_nowait`).
  public func putNoWait(_ item: Element) throws(QueueError) {
    try put(item, block: false)
  }

  /// Takes the first item (CPython's `get`).
  ///
  /// - Parameters:
  ///   - block: whether to wait for one; if not, `timeout` means nothing.
  ///   - timeout: how long to wait; nil without a bound, negative as 0.
  /// - Throws: ``QueueError``: `empty`, `closed`; `decoding`, and then the item is gone; `system`.
  public func get(block: Bool = true, timeout: Duration? = nil) throws(QueueError) -> Element {
    let deadline = block ? Deadline(after: timeout) : .now
    return try storage.get(until: deadline, QueueItem.decode)
  }

  /// Takes the first item if there is one (CPython's `get_nowait`).
  public func getNoWait() throws(QueueError) -> Element {
    try get(block: false)
  }

  /// How many items are in it at the moment. Throws `closed`.
  public var qsize: Int {
    get throws(QueueError) { try storage.count }
  }

  /// Whether there is no item at the moment (CPython's `empty`). Throws `closed`.
  public var isEmpty: Bool {
    get throws(QueueError) { try storage.count == 0 }
  }

  /// Whether there is no room at the moment (CPython's `full`). Throws `closed`.
  public var isFull: Bool {
    get throws(QueueError) { try storage.isFull }
  }

  /// Ends this process's use of the queue: everything throws `closed` from now on, also a call of
  /// another thread that waits. The items stay. Again it does nothing.
  public func close() { storage.close() }

  /// Does nothing (CPython's `join_thread`): there is no feeder thread to wait for.
  public func joinThread() {}

  /// Does nothing (CPython's `cancel_join_thread`): no process waits for its items to be taken.
  public func cancelJoinThread() {}

  /// How many processes or threads died while they held the queue's mutex.
  var recoveries: Int {
    get throws(QueueError) { try storage.recoveries }
  }

  /// Takes over the queue that came with a started process's argument.
  public required init(from decoder: any Decoder) throws {
    let place = try decoder.singleValueContainer().decode(Int.self)
    storage = try QueueStorage(at: place, of: "Queue")
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(try storage.addToStart(of: "Queue"))
  }
}

/// As part of a started process's argument only.
extension Queue: Codable {}

extension Queue: CustomStringConvertible {
  /// `<Queue 3 items, at most 6>`, `<Queue closed>`.
  public var description: String { storage.text(of: "Queue") }
}

/// Items as bytes.
enum QueueItem {
  static func encode<Item: Encodable>(_ item: Item) throws(QueueError) -> [UInt8] {
    do throws(ValueCodec.Failure) {
      return try ValueCodec.encode(item)
    } catch {
      throw QueueError(.encoding, error.text)
    }
  }

  static func decode<Item: Decodable>(
    _ bytes: UnsafeRawBufferPointer
  ) throws(QueueError) -> Item {
    do throws(ValueCodec.Failure) {
      return try ValueCodec.decode(Item.self, from: bytes)
    } catch {
      throw QueueError(.decoding, error.text)
    }
  }
}
