import Glibc

/// New connections. libmicrohttpd could accept by itself, but once the process is out of
/// descriptors it either asks for ever (with no connection open) or waits for one to close, though
/// others may give descriptors back; and one daemon with ten thousand connections is slow.
extension HTTPServer {
  /// Connections of one daemon. Whenever a connection is resumed, libmicrohttpd walks over all
  /// that are suspended in its daemon: 10,000 in one would take as long as several requests.
  static let connectionsPerDaemonMax = 512
  /// Connections accepted in one run, so that a crowd does not hold up those who are in: 64 take
  /// about half a millisecond.
  private static let acceptsPerRunMax = 64
  /// Who has been idle for less may be about to send the next request; in nanoseconds.
  private static let idleMin: UInt64 = 1_000_000_000
  /// When accepting is tried again after there was no descriptor, in nanoseconds: the rest of the
  /// process may have given some back.
  private static let retryDelay: UInt64 = 250_000_000

  /// Somebody waits: accepts as many as there is room for.
  func acceptConnections() {
    for count in 0..<Self.acceptsPerRunMax {
      guard connectionCount < connectionsMax, let daemon = daemonWithRoom() else {
        // Whether more wait than were accepted is told before the next run.
        if count == 0 { makeRoom() }
        return
      }
      let descriptor = accept(listener)
      if descriptor >= 0 {
        accepting = daemon
        daemon.add(descriptor)
        continue
      }
      switch errno {
      case EAGAIN: return
      case EMFILE, ENFILE, ENOBUFS, ENOMEM: return makeRoom()
      // The one that waited is gone, or its network is: accept(2) says to go on with the next.
      default: continue
      }
    }
  }

  /// Accepting goes on, if it was held until now.
  func resumeAccepting() {
    guard let due = acceptsAgainAt, due <= now else { return }
    acceptsAgainAt = nil
    watcher.setInterest(.readable, of: listener)
  }

  /// A connection's descriptor is about to be free: who waits is accepted in the next run.
  func noteRoom() {
    if acceptsAgainAt != nil { acceptsAgainAt = now }
  }

  /// Somebody waits, and cannot be accepted: closes the one who has been idle for longest, or lets
  /// wait until a connection ends, or some time has passed. Whoever waits is in the kernel's queue
  /// and costs nothing.
  private func makeRoom() {
    if let (descriptor, since) = lanes.first(in: .idle), now - since >= Self.idleMin,
      let connection = connections[Int(descriptor)]
    {
      lanes.leave(descriptor)
      cut(connection)
      return
    }
    acceptsAgainAt = now + Self.retryDelay
    watcher.setInterest(.reset, of: listener)
  }

  /// The first daemon that is not full, a new one if need be; nil without the descriptor for it.
  private func daemonWithRoom() -> Daemon? {
    for daemon in daemons where daemon.connectionCount < Self.connectionsPerDaemonMax {
      return daemon
    }
    return addDaemon()
  }

  /// Starts one more daemon. The number of all is bounded by `connectionsMax`. If it answers nil,
  /// `errno` says why.
  func addDaemon() -> Daemon? {
    guard let daemon = Daemon(settings: settings, server: self) else { return nil }
    let isWatched = watcher.watch(daemon.descriptor, for: .readable) { [unowned daemon] _ in
      daemon.isReady = true
    }
    guard isWatched else {
      let number = errno
      daemon.stop()
      errno = number
      return nil
    }
    daemons.append(daemon)
    return daemon
  }
}
