import CMicroHTTPD
import Glibc

/// The epoll instance that joins all that the server waits for into one descriptor: the listening
/// socket, the daemons, and the clients that wait for an answer. The only calls of epoll here.
struct EventSet {
  /// What an event is about.
  enum Source: Equatable {
    /// Somebody wants to connect.
    case listener
    /// A daemon, by its index, has something to do.
    case daemon(Int)
    /// A client that is watched closed its side or reset the connection. The serial tells it from
    /// one that had the descriptor before.
    case client(descriptor: Int32, serial: UInt32, isReset: Bool)
  }

  /// Events of one collection; more wait for the next, and none is passed over: the kernel gives
  /// them in turns.
  private static let eventsMax = 256
  /// Descriptors are not negative, so that this bit tells the others from clients.
  private static let otherBit: UInt32 = 1 << 31
  private static let listenerKey = UInt64(UInt32.max)

  /// The instance; -1 when there was no descriptor left for it.
  let descriptor: Int32

  init() {
    descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
  }

  /// Starts to tell of connections to accept.
  func add(listener: Int32) -> Bool {
    change(EPOLL_CTL_ADD, listener, EPOLLIN.rawValue, key: Self.listenerKey)
  }

  /// Tells of connections to accept, or not for now.
  func setListener(_ listener: Int32, isWanted: Bool) {
    change(EPOLL_CTL_MOD, listener, isWanted ? EPOLLIN.rawValue : 0, key: Self.listenerKey)
  }

  /// Nests a daemon's own instance.
  func add(daemon: Int32, index: Int) -> Bool {
    change(EPOLL_CTL_ADD, daemon, EPOLLIN.rawValue, key: UInt64(Self.otherBit | UInt32(index)))
  }

  /// Starts to tell when a client leaves. False when there is no memory for it.
  func add(client descriptor: Int32, serial: UInt32) -> Bool {
    let key = Self.key(descriptor, serial)
    return change(EPOLL_CTL_ADD, descriptor, EPOLLRDHUP.rawValue, key: key)
  }

  /// From here on tells only of a reset: the FIN stays readable.
  func ignoreEnd(ofClient descriptor: Int32, serial: UInt32) {
    change(EPOLL_CTL_MOD, descriptor, 0, key: Self.key(descriptor, serial))
  }

  /// Tells no more of a descriptor, which is open still.
  func remove(_ descriptor: Int32) {
    change(EPOLL_CTL_DEL, descriptor, 0, key: 0)
  }

  /// What has happened, without waiting.
  func collect(_ body: (Source) -> Void) {
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.eventsMax) {
      let count = epoll_wait(descriptor, $0.baseAddress, Int32($0.count), 0)
      for event in $0.prefix(max(0, Int(count))) { body(Self.source(of: event)) }
    }
  }

  private static func source(of event: epoll_event) -> Source {
    let key = event.data.u64
    if key == listenerKey { return .listener }
    let low = UInt32(truncatingIfNeeded: key)
    if low & otherBit != 0 { return .daemon(Int(low & ~otherBit)) }
    return .client(
      descriptor: Int32(low), serial: UInt32(key >> 32),
      isReset: event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0)
  }

  private static func key(_ descriptor: Int32, _ serial: UInt32) -> UInt64 {
    UInt64(serial) << 32 | UInt64(UInt32(descriptor))
  }

  @discardableResult
  private func change(_ operation: Int32, _ target: Int32, _ events: UInt32, key: UInt64) -> Bool {
    var event = epoll_event(events: events, data: epoll_data_t(u64: key))
    return epoll_ctl(descriptor, operation, target, &event) == 0
  }
}
