import CMicroHTTPD
import Glibc

/// Deadlines, and clients that leave while their answer is owed. libmicrohttpd does neither: its
/// timeout is set back by every byte, and a suspended connection is not in its epoll set.
extension HTTPServer {
  /// Deadlines of one run: thousands that are due together must not hold up the rest. To cut 250
  /// takes libmicrohttpd a few milliseconds.
  private static let deadlinesPerRunMax = 250

  /// Cuts those that were too slow, and begins to watch those who wait for long.
  func expireDeadlines() {
    for _ in 0..<Self.deadlinesPerRunMax {
      guard let (descriptor, lane, due) = lanes.popDue(at: now) else { return }
      guard let connection = connections[Int(descriptor)] else { continue }
      switch lane {
      case .headerLook: look(at: connection, before: .header, since: due)
      case .bodyLook: look(at: connection, before: .body, since: due)
      case .watch: watch(connection)
      case .write: checkWriting(connection)
      case .header, .body, .idle: cut(connection)
      }
    }
  }

  /// When it is looked whether a client whose request is not complete has gone.
  static func lookAfter(_ timeout: Duration) -> UInt64 {
    min(1_000_000_000, timeout.nanoseconds / 2)
  }

  /// What is left of the time then.
  static func restAfterLook(_ timeout: Duration) -> UInt64 {
    timeout.nanoseconds - lookAfter(timeout)
  }

  /// Cuts a client that has closed its side before its request was complete. libmicrohttpd sees
  /// that by itself, unless the end came together with data: of both, epoll tells it once, it reads
  /// the data, and the end stays unread.
  private func look(at connection: Connection, before lane: Lane, since due: UInt64) {
    var byte: UInt8 = 0
    let flags = Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)
    if recv(connection.descriptor, &byte, 1, flags) == 0 {
      cut(connection)
    } else {
      lanes.enter(lane, connection.descriptor, at: due)
    }
  }

  /// Ends a connection, in this run if it is not suspended. Never by close: libmicrohttpd owns the
  /// descriptor, and sees the end of it by this.
  func cut(_ connection: Connection) {
    shutdown(connection.descriptor, Int32(SHUT_RDWR))
    connection.daemon.isReady = true
  }

  /// Lets go of what is owed to the clients that left.
  func noteDepartures() {
    // What follows from one may end the watch of another.
    var index = 0
    while index < departures.count {
      let (connection, isReset) = departures[index]
      index += 1
      if connection.isWatched { noteLeft(connection, isReset: isReset) }
    }
    departures.removeAll(keepingCapacity: true)
  }

  /// A watched client closed its side, or reset the connection.
  private func noteLeft(_ connection: Connection, isReset: Bool) {
    if connection.stage == .body, !isReset {
      // Whether its body is whole is seen by reading it; held or not.
      unwatch(connection)
      connection.hasPeerClosed = true
      settled.append(connection)
      return
    }
    guard isReset || connection.stream != nil else {
      // The FIN stays readable.
      watcher.setInterest(.reset, of: connection.descriptor)
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
    watcher.unwatch(connection.descriptor)
    connection.isWatched = false
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
      cut(connection)
    } else {
      lanes.enter(.write, connection.descriptor, at: now)
    }
  }

  private func watch(_ connection: Connection) {
    guard connection.isSuspended, !connection.isWatched else { return }
    // Without memory for a watch the request is served all the same, if its client is there.
    connection.isWatched = watcher.watch(connection.descriptor, for: .peerClosed) {
      [unowned self, unowned connection] isReset in
      departures.append((connection, isReset))
    }
  }
}
