/// A queue without bound and without time limits (CPython's `multiprocessing.SimpleQueue`); in all
/// else a ``Queue``. In CPython `put` waits while 64 KiB lie unread; here it never waits.
public final class SimpleQueue<Element: Codable & Sendable>: Codable, Sendable {
  private let storage: QueueStorage

  /// Makes an empty queue. Throws `system`.
  public init() throws(QueueError) {
    storage = try QueueStorage(capacity: 0)
  }

  /// Appends an item. Throws ``QueueError``: `closed`, `encoding`, `system`.
  public func put(_ item: Element) throws(QueueError) {
    try storage.put(try QueueItem.encode(item), until: .never)
  }

  /// Takes the first item; waits for one. Throws ``QueueError``: `closed`, `decoding`, `system`.
  public func get() throws(QueueError) -> Element {
    try storage.get(until: .never, QueueItem.decode)
  }

  /// Whether there is no item at the moment (CPython's `empty`). Throws `closed`.
  public var isEmpty: Bool {
    get throws(QueueError) { try storage.count == 0 }
  }

  /// Ends this process's use of the queue: everything throws `closed` from now on, also a call of
  /// another thread that waits. The items stay. Again it does nothing.
  public func close() { storage.close() }

  /// Takes over the queue that came with a started process's argument.
  public required init(from decoder: any Decoder) throws {
    let place = try decoder.singleValueContainer().decode(Int.self)
    storage = try QueueStorage(at: place, of: "SimpleQueue")
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(try storage.addToStart(of: "SimpleQueue"))
  }
}

extension SimpleQueue: CustomStringConvertible {
  /// `<SimpleQueue 3 items>`, `<SimpleQueue closed>`.
  public var description: String { storage.text(of: "SimpleQueue") }
}
