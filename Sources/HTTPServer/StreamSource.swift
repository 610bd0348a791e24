import CMicroHTTPD
import Glibc

/// The side of a `ResponseStream` that a connection reads. Apart from it, so that a producer that
/// lets go of its stream is noticed while the connection holds on to this.
final class StreamSource {
  /// Where the body stands.
  enum State {
    /// More may be written.
    case open
    /// Whole once the buffer is empty.
    case finished
    /// To be cut once the buffer is empty.
    case failed
    /// Nothing is read any more.
    case closed
  }

  /// What libmicrohttpd's reader answers besides a count: its macros MHD_CONTENT_READER_END_….
  private enum End {
    static let whole = -1
    static let cut = -2
  }

  /// An empty buffer of at most this many bytes is kept for the next write.
  private static let capacityKept = 4 << 10

  private(set) var state: State
  /// See `ResponseStream`; so for all that is named as there.
  var onWritable: (() -> Void)?
  /// See `ResponseStream`.
  var onClosed: (() -> Void)?

  private let bufferBytesMax: Int
  private var bytes: [UInt8] = []
  private var head = 0
  private var owesWritable = false
  private var isAttached = false
  /// The connection is about to be resumed.
  private var isWoken = false
  /// Set from the answer until its end; the connection holds this in turn, just as long.
  private var connection: Connection?

  init(bufferBytesMax: Int) {
    state = .open
    self.bufferBytesMax = bufferBytesMax
  }

  /// Bytes that were written and not read.
  var bufferedCount: Int { bytes.count - head }

  func write(_ added: UnsafeRawBufferPointer) -> Bool {
    guard state == .open else { return false }
    bytes.append(contentsOf: added)
    if !added.isEmpty { wake() }
    if bufferedCount < bufferBytesMax { return true }
    owesWritable = true
    return false
  }

  func finish() { end(.finished) }

  func fail() { end(.failed) }

  /// Nothing is read any more: the connection is over, or there is none.
  func close() {
    connection = nil
    guard state != .closed else { return }
    let told = state == .open ? onClosed : nil
    state = .closed
    letGo()
    bytes = []
    head = 0
    told?()
  }

  func attach(to connection: Connection) {
    precondition(!isAttached, "a response stream belongs to one answer")
    isAttached = true
    self.connection = connection
  }

  /// Gives the next bytes to libmicrohttpd, or says what else is to be done. To answer 0 without
  /// suspending the connection would have it ask again at once, for ever.
  func read(into buffer: UnsafeMutableRawPointer, atMost countMax: Int) -> Int {
    guard let connection, state != .closed else { return End.cut }
    isWoken = false
    connection.daemon.reads += 1
    let count = min(bufferedCount, countMax)
    if count > 0 {
      take(count, into: buffer)
      noteRoom()
      return count
    }
    switch state {
    case .finished: return End.whole
    case .failed, .closed: return End.cut
    case .open: return connection.server.suspendStream(connection) ? 0 : End.cut
    }
  }

  /// Takes bytes in the place of a connection, for the tests of what stands behind the routes.
  func take(atMost countMax: Int) -> [UInt8] {
    let taken = Array(unread.prefix(countMax))
    guard !taken.isEmpty else { return [] }
    advance(by: taken.count)
    noteRoom()
    return taken
  }

  /// What was written and not read, for the same tests.
  var unread: ArraySlice<UInt8> { bytes[head...] }

  private func noteRoom() {
    guard owesWritable, bufferedCount <= bufferBytesMax / 2 else { return }
    owesWritable = false
    onWritable?()
  }

  private func take(_ count: Int, into buffer: UnsafeMutableRawPointer) {
    bytes.withUnsafeBytes {
      let part = UnsafeRawBufferPointer(rebasing: $0[head..<head + count])
      UnsafeMutableRawBufferPointer(start: buffer, count: count).copyMemory(from: part)
    }
    advance(by: count)
  }

  private func advance(by count: Int) {
    head += count
    if head == bytes.count {
      bytes.removeAll(keepingCapacity: bytes.capacity <= Self.capacityKept)
      head = 0
    } else if head >= bytes.count / 2 {
      // Moves no byte more often than it was read.
      bytes.removeFirst(head)
      head = 0
    }
  }

  private func end(_ state: State) {
    guard self.state == .open else { return }
    self.state = state
    letGo()
    wake()
  }

  /// The closures may hold the producer, and the producer this.
  private func letGo() {
    onWritable = nil
    onClosed = nil
  }

  private func wake() {
    guard let connection, connection.isSuspended, !isWoken else { return }
    isWoken = true
    connection.server.settled.append(connection)
  }
}

extension StreamSource {
  /// What libmicrohttpd is told of a body; it holds on to this until it is done with the answer,
  /// which is after it has told that the request is completed.
  func makeResponse(blockBytes: Int) -> OpaquePointer? {
    let held = Unmanaged.passRetained(self)
    let made = MHD_create_response_from_callback(
      .max, blockBytes,
      { held, _, buffer, countMax in
        guard let held, let buffer else { return End.cut }
        return Unmanaged<StreamSource>.fromOpaque(held).takeUnretainedValue()
          .read(into: buffer, atMost: countMax)
      },
      held.toOpaque(),
      { held in held.map { Unmanaged<StreamSource>.fromOpaque($0).release() } })
    if made == nil { held.release() }
    return made
  }
}
