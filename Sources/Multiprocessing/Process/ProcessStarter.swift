import Glibc

/// The fork server of a program, shared by all its threads: starts processes by it and learns how
/// they ended. It has no thread of its own: whoever wants to know something waits for it.
///
/// Unchecked, as a `ForkServer` belongs to one thread at a time: to the one that holds `lock`.
final class ProcessStarter: @unchecked Sendable {
  /// A process that runs.
  struct Started {
    var token: ProcessToken
    var process: Int32
    /// A copy of its own.
    var sentinel: OwnedDescriptor
  }

  /// How long the news of an end may take after the end, in nanoseconds: the fork server has but to
  /// reap. One that was stopped is not waited for any longer.
  private static let newsMax: UInt64 = 5_000_000_000

  /// Whoever holds it owns all that follows.
  private let lock = Mutex(())
  private let server: ForkServer
  private var events: [ForkServerEvent] = []
  /// Those that run, as far as is known.
  private var live: Set<ProcessToken> = []
  /// How those have ended whom nobody has asked about yet.
  private var ends: [ProcessToken: ExitStatus] = [:]

  /// Takes over a fork server.
  init(_ server: ForkServer) {
    self.server = server
    server.keepsSpent = true
  }

  /// Starts a process and waits until its program runs.
  ///
  /// A fork server that was killed before is replaced. If it is killed meanwhile, that is an error,
  /// as the process may run all the same.
  func start(_ specification: ProcessSpecification) throws(StartFailure) -> Started {
    try lock.withLock { _ throws(StartFailure) in
      _ = try drain(for: nil)  // Tells whether it still lives.
      do throws(StartFailure) {
        return try startOnce(specification)
      } catch {
        // It was dying. If it has not even read the request, nothing has come of it.
        guard error.stage == .forkServerLost, server.leftStart else { throw error }
        return try startOnce(specification)
      }
    }
  }

  private func startOnce(_ specification: ProcessSpecification) throws(StartFailure) -> Started {
    if server.isLost { try replace() }
    let token = try server.startProcess(specification)
    while true {
      if let started = try drain(for: token) { return started }
      wait(until: nil)
    }
  }

  /// How a process has ended whose sentinel says that it has.
  func end(of token: ProcessToken) -> ExitStatus {
    lock.withLock { _ in
      let bound = Deadline.clock + Self.newsMax
      while true {
        _ = try? drain(for: nil)
        if let status = ends.removeValue(forKey: token) { return status }
        if Deadline.clock >= bound { return .unknown }
        wait(until: bound)
      }
    }
  }

  private func replace() throws(StartFailure) {
    do throws(SystemCallError) {
      try server.replace()
    } catch {
      throw StartFailure(stage: .forkServerLost, errorNumber: error.number)
    }
  }

  /// Takes in what has happened, and answers with the process of `token` if that is part of it.
  private func drain(for token: ProcessToken?) throws(StartFailure) -> Started? {
    server.drain(into: &events)
    defer {
      events.removeAll(keepingCapacity: true)
      server.closeSpent()
    }
    var answer: Result<Started, StartFailure>?
    for event in events {
      switch event {
      case .started(let started, let process, let sentinel):
        answer = take(started, process, sentinel)
      // A process that is said to have started without a sentinel is so again when it is lost.
      case .startFailed(let failed, let reason) where failed == token:
        answer = answer ?? .failure(reason)
      case .startFailed: break
      case .exited(let gone, let status, _):
        // Of one whose start failed here nobody will ask.
        if live.remove(gone) != nil { ends[gone] = status }
      case .lost: break
      }
    }
    // Starts are asked for one at a time, so that an answer is that to `token`.
    precondition(answer == nil || token != nil, "a process was started that nobody asked for")
    return try answer?.get()
  }

  private func take(
    _ token: ProcessToken, _ process: Int32, _ sentinel: Int32
  ) -> Result<Started, StartFailure> {
    // The fork server's own is closed when the process has ended. There is none if this process had
    // no descriptor left for it.
    let copy = sentinel < 0 ? -1 : fcntl(sentinel, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else {
      let number = sentinel < 0 ? EMFILE : errno
      server.signal(token, SIGKILL)
      return .failure(StartFailure(stage: .descriptors, errorNumber: number))
    }
    live.insert(token)
    return .success(
      Started(token: token, process: process, sentinel: OwnedDescriptor(copy)))
  }

  /// Waits until the fork server has something to tell, or hangs.
  private func wait(until bound: UInt64?) {
    let now = Deadline.clock
    if server.timePassed(at: now) { return }
    let end = [server.nextDeadline, bound].compactMap(\.self).min()
    let timeout = end.map { Duration.nanoseconds(Int64(clamping: $0 - min($0, now))) }
    _ = Deadline(after: timeout).poll(server.fileDescriptor, for: POLLIN)
  }
}
