import CMicroHTTPD

/// A connection that would cost all the CPU time there is.
///
/// libmicrohttpd 0.9.75 asks to be run again at once, and again, when the line before a chunk of a
/// body (its size, and extensions) does not fit into the memory of the connection: it can neither
/// read on nor go on, and tells nobody. The only sign is that it is never done.
extension HTTPServer {
  /// Runs without a word after which it is looked into: about a millisecond. A large answer on its
  /// way can cause some, too.
  static let quietRunsMax = 256
  /// How often a connection has to be found guilty.
  private static let trialsMax = 3

  /// Finds the connection that keeps libmicrohttpd from coming to rest, and cuts it. Of several,
  /// one; the next is found when the rest is still not there.
  ///
  /// Connections whose body comes in chunks are taken out, one after the other, until there is
  /// rest: then it was the last. It is cut if there is none with it and some without it again; the
  /// others go on as if nothing had been.
  func endSpinning(_ daemon: Daemon) {
    daemon.quietRuns = 0
    guard RequestLines.isKnown else { return }
    var held: [Connection] = []
    var isAtRest = false
    for case let connection? in connections
    where connection.daemon === daemon && connection.isReadingChunks {
      MHD_suspend_connection(connection.handle)
      held.append(connection)
      daemon.run()
      isAtRest = daemon.timeout() != 0
      if isAtRest { break }
    }
    if isAtRest, let last = held.popLast() { convict(last, in: daemon) }
    for connection in held { MHD_resume_connection(connection.handle) }
  }

  /// Takes back a connection that was taken out, and cuts it if that ends the rest each time.
  private func convict(_ connection: Connection, in daemon: Daemon) {
    for _ in 0..<Self.trialsMax {
      MHD_resume_connection(connection.handle)
      daemon.run()
      daemon.run()
      // Its body went on, so that it was another that came to rest.
      guard connection.isReadingChunks else { return }
      let isBusy = daemon.timeout() == 0
      MHD_suspend_connection(connection.handle)
      daemon.run()
      guard isBusy, daemon.timeout() != 0 else {
        MHD_resume_connection(connection.handle)
        return
      }
    }
    daemon.cut(connection)
  }
}
