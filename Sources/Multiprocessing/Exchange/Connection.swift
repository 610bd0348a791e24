import Glibc

/// One end of a ``Pipe(duplex:)``: sends and receives whole messages (CPython's
/// `multiprocessing.connection.Connection`).
///
/// It is a socket of which the kernel keeps the bounds of messages and makes each send and each
/// receive whole or nothing. So any number of threads and processes may use the same end at the
/// same time: each message arrives whole, at one of those that receive; and a process that is
/// killed while it sends leaves no half message.
///
/// To send waits while about half a megabyte lies unread. A process other than that which made the
/// pipe gets an end by inheritance (it is `Codable`, as part of a started process's argument) or
/// over another connection. The end of the file comes when *all* copies of the other end are
/// closed: close yours after you have handed it on. A child by `fork` has both ends of a pipe: it
/// closes the one that is not its own.
///
/// A message that comes while this process has no number left for its descriptors (EMFILE) is lost;
/// one of more than 64 KiB needs one.
///
/// All methods may be called by any thread. A call that waits while another thread closes the
/// connection throws ``ConnectionError/Code/closed``. Signals do not end a wait.
public final class Connection: Sendable {
  /// What an end can do.
  enum Direction: Int, Codable {
    case both
    case receives
    case sends
  }

  let descriptor: OpenDescriptor
  let direction: Direction

  /// Takes over a socket of `lido_packet_pair`.
  init(taking descriptor: Int32, _ direction: Direction) {
    self.descriptor = OpenDescriptor(descriptor)
    self.direction = direction
  }

  /// Closes this end in this process (CPython's `close`). Again it does nothing. Other processes
  /// that have a copy of it go on.
  public func close() { descriptor.close() }

  /// Whether `close` was called in this process.
  public var isClosed: Bool { descriptor.isClosed }

  /// The number of the socket in this process (`fileno`), -1 once it is closed. It stays this
  /// connection's: what it may be used for is to wait until it is readable.
  public var fileDescriptor: Int32 { descriptor.number }

  /// Whether this end receives (`readable`).
  public var isReadable: Bool { direction != .sends }

  /// Whether this end sends (`writable`).
  public var isWritable: Bool { direction != .receives }

  /// Does `body` and then closes the connection, whatever happened (Python's `with`).
  public func use<Value, Failure: Error>(
    _ body: (Connection) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    defer { close() }
    return try body(self)
  }

  /// Whether a message, or the end of the file, can be received without waiting (CPython's
  /// `poll`). It takes nothing away: another thread or process may be quicker to receive.
  ///
  /// - Parameter timeout: how long to wait for it; nil without a bound, negative as 0.
  /// - Throws: ``ConnectionError``: `closed`, `writeOnly`.
  public func poll(timeout: Duration? = .zero) throws(ConnectionError) -> Bool {
    try requireReadable()
    let deadline = Deadline(after: timeout)
    return try descriptor.use { (_) throws(ConnectionError) in
      try descriptor.wait(for: POLLIN, until: deadline)
    }
  }

  func requireReadable() throws(ConnectionError) {
    guard isReadable else { throw ConnectionError(.writeOnly) }
  }

  func requireWritable() throws(ConnectionError) {
    guard isWritable else { throw ConnectionError(.readOnly) }
  }
}

extension Connection: Hashable {
  /// Whether both are the same object.
  public static func == (left: Connection, right: Connection) -> Bool { left === right }

  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

extension Connection: CustomStringConvertible {
  /// `<Connection descriptor=5 receives>`, `<Connection closed>`.
  public var description: String {
    let number = fileDescriptor
    guard number >= 0 else { return "<Connection closed>" }
    let can =
      switch direction {
      case .both: "receives and sends"
      case .receives: "receives"
      case .sends: "sends"
      }
    return "<Connection descriptor=\(number) \(can)>"
  }
}

/// A connection can be part of a started process's argument, and of a value that another connection
/// sends. The sender keeps its copy, and closes it when it needs it no more.
extension Connection: Codable {
  /// Takes over the end that came with the value.
  public convenience init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    let place = try container.decode(Int.self)
    let direction = try container.decode(Direction.self)
    self.init(taking: try DescriptorTransfer.take(place, of: "Connection"), direction)
  }

  public func encode(to encoder: any Encoder) throws {
    let number = try descriptor.begin()
    defer { descriptor.end() }
    var container = encoder.unkeyedContainer()
    try container.encode(
      try DescriptorTransfer.add(number, of: "Connection", owner: descriptor))
    try container.encode(direction)
  }
}
