import CMicroHTTPD

/// Connections between the moment when their answer is owed, or their stream silent, and the moment
/// when libmicrohttpd has something to send again.
extension HTTPServer {
  /// Answers queued in one run, so that ten thousand waiters released at once do not hold up the
  /// rest; 500 cost about 10 ms.
  private static let answersPerRunMax = 500
  /// How long an answer may be owed before its connection is parked, in nanoseconds: some turns of
  /// a busy service.
  static let parkDelay: UInt64 = 2_000_000

  /// Queues the answers that are there, up to a bound, and resumes their connections.
  func answerSettled() {
    let end = min(settled.count, settledHead + Self.answersPerRunMax)
    while settledHead < end {
      let connection = settled[settledHead]
      settledHead += 1
      if !connection.isClosed { answer(connection) }
    }
    if settledHead == settled.count {
      settled.removeAll(keepingCapacity: true)
      settledHead = 0
    } else if settledHead >= Self.answersPerRunMax * 8 {
      // Under a load that never lets it run empty, it must not grow by what is done with.
      settled.removeFirst(settledHead)
      settledHead = 0
    }
  }

  private func answer(_ connection: Connection) {
    if connection.isWatched { unwatch(connection) }
    if connection.stage == .settled, !sendSettled(connection) {
      connection.stage = .lost
      cut(connection)
    }
    guard connection.isSuspended else {
      connection.daemon.isReady = true
      return
    }
    connection.isSuspended = false
    suspendedCount -= 1
    if connection.stream != nil { beginWriting(connection) }
    if connection.stage == .body { lanes.enter(.bodyLook, connection.descriptor, at: now) }
    MHD_resume_connection(connection.handle)
    connection.daemon.hasResumed = true
  }

  /// libmicrohttpd asks for an answer that is owed, as it does in each of its runs. Whoever waits
  /// for long is parked; for a short time to be asked costs less.
  func ask(_ connection: Connection) {
    if now - connection.owedAt < Self.parkDelay {
      connection.daemon.owedSince = min(connection.daemon.owedSince ?? .max, connection.owedAt)
    } else {
      suspend(connection)
    }
  }

  /// Parks a connection whose answer is still owed when libmicrohttpd asks for it again, or whose
  /// stream has nothing to send.
  func suspend(_ connection: Connection) {
    connection.isSuspended = true
    suspendedCount += 1
    lanes.enter(.watch, connection.descriptor, at: now)
    MHD_suspend_connection(connection.handle)
  }

  /// A body is not wanted for now: no time-out runs.
  func bodyHeld(of connection: Connection?) {
    guard let connection, !connection.isSuspended, connection.stage == .body else { return }
    lanes.leave(connection.descriptor)
  }

  /// A body is wanted again.
  func bodyWanted(of connection: Connection?) {
    guard let connection, connection.stage == .body else { return }
    if connection.isSuspended {
      settled.append(connection)
    } else {
      lanes.enter(.bodyLook, connection.descriptor, at: now)
    }
  }

  /// Parks a connection whose stream has nothing to send; `false` when it must end instead.
  func suspendStream(_ connection: Connection) -> Bool {
    guard !isStopping else { return false }
    suspend(connection)
    return true
  }
}
