import CMicroHTTPD
import Glibc

/// Deadlines, and clients that leave while their answer is owed. libmicrohttpd does neither: its
/// timeout is set back by every byte, and a suspended connection is not in its epoll set.
extension HTTPServer {
  /// Events of one drain; more wait for the next run.
  private static let eventsPerDrainMax = 64

  /// Cuts those that were too slow, and begins to watch those who wait for long.
  func expireDeadlines() {
    while let (descriptor, lane) = lanes.popDue(at: now) {
      guard let connection = connections[Int(descriptor)] else { continue }
      switch lane {
      case .watch: watch(connection)
      case .write: checkWriting(connection)
      case .header, .body, .idle:
        // Never close: libmicrohttpd owns the descriptor, and sees the end of it by this.
        shutdown(descriptor, Int32(SHUT_RDWR))
      }
    }
  }

  /// Reads which of the watched clients have gone.
  func drainWatch() {
    withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.eventsPerDrainMax) {
      let count = epoll_wait(fileDescriptor, $0.baseAddress, Int32($0.count), 0)
      for event in $0.prefix(max(0, Int(count))) where event.data.u64 != .max {
        let (serial, descriptor) = (event.data.u64 >> 32, Int(event.data.u64 & 0xFFFF_FFFF))
        guard let connection = connections[descriptor], UInt64(connection.serial) == serial,
          connection.isWatched
        else { continue }
        left(connection, isReset: event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0)
      }
    }
  }

  /// A watched client closed its side, or reset the connection.
  private func left(_ connection: Connection, isReset: Bool) {
    guard isReset || connection.stream != nil else {
      // The FIN stays readable; from here on only a reset is of interest.
      change(connection, EPOLL_CTL_MOD, events: 0)
      connection.pending?.abandon()
      return
    }
    unwatch(connection)
    connection.stage = .lost
    settled.append(connection)
    connection.stream?.close()
    if let pending = connection.pending { lose(connection, pending) }
  }

  /// Stops watching; before libmicrohttpd has the descriptor again.
  func unwatch(_ connection: Connection) {
    change(connection, EPOLL_CTL_DEL, events: 0)
    connection.isWatched = false
    watchCount -= 1
  }

  /// libmicrohttpd has something to send from now on.
  func beginWriting(_ connection: Connection) {
    connection.progress = WriteProgress(at: now)
    lanes.enter(.write, connection.descriptor, at: now)
  }

  /// Cuts a client that has taken nothing of its answer for too long.
  private func checkWriting(_ connection: Connection) {
    let timeout = settings.writeTimeout.nanoseconds
    if connection.progress.isStalled(connection.descriptor, at: now, timeout: timeout) {
      shutdown(connection.descriptor, Int32(SHUT_RDWR))
    } else {
      lanes.enter(.write, connection.descriptor, at: now)
    }
  }

  private func watch(_ connection: Connection) {
    guard connection.isSuspended, !connection.isWatched else { return }
    // Without memory for a watch the request is served all the same, if its client is there.
    guard change(connection, EPOLL_CTL_ADD, events: EPOLLRDHUP.rawValue) else { return }
    connection.isWatched = true
    watchCount += 1
  }

  /// The epoll instance that the owner watches; -1 when there is no descriptor left.
  static func makeInstance() -> Int32 {
    epoll_create1(Int32(EPOLL_CLOEXEC))
  }

  /// Nests libmicrohttpd's own instance in it.
  func watch(_ daemon: Daemon) -> Bool {
    var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: .max))
    return epoll_ctl(fileDescriptor, EPOLL_CTL_ADD, daemon.descriptor, &event) == 0
  }

  @discardableResult
  private func change(_ connection: Connection, _ operation: Int32, events: UInt32) -> Bool {
    let key = UInt64(connection.serial) << 32 | UInt64(UInt32(connection.descriptor))
    var event = epoll_event(events: events, data: epoll_data_t(u64: key))
    return epoll_ctl(fileDescriptor, operation, connection.descriptor, &event) == 0
  }
}
