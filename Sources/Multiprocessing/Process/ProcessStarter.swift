import Glibc

/// The fork server of a program, shared by all its threads: starts processes by it and learns how
/// they ended. It has no thread of its own: whoever wants to know something waits for it.
final class ProcessStarter: Sendable {
  /// A process that runs.
  struct Started {
    var token: ProcessToken
    var process: Int32
    /// A copy of its own.
    var sentinel: OwnedDescriptor
  }

  private struct Start {
    var token: ProcessToken
    /// What became of it, once that is known.
    var answer: Result<Started, StartFailure>?
  }

  /// How long the news of an end may take after the end: the fork server has but to reap. One that
  /// was stopped is not waited for any longer.
  private static let newsMax = Duration.seconds(5)

  /// Held while a process is started: starts are asked for one at a time.
  private let startLock = Mutex(())
  /// Nobody waits while he holds it.
  private let state: Mutex<State>

  /// Takes over a fork server.
  init(_ server: sending ForkServer) {
    server.keepsSpent = true
    state = Mutex(State(server: server))
  }

  /// In a fork of its process: gives back what it holds. Of no use from then on.
  func abandon() {
    state.withLock { $0.server.abandon() }
  }

  /// Starts a process and waits until its program runs.
  ///
  /// A fork server that was killed before is replaced. If it is killed meanwhile, that is an error,
  /// as the process may run all the same.
  func start(_ specification: ProcessSpecification) throws(StartFailure) -> Started {
    try startLock.withLock { _ throws(StartFailure) in
      do throws(StartFailure) {
        return try startOnce(specification)
      } catch {
        // It was dying. If it has not even read the request, nothing has come of it.
        guard error.stage == .forkServerLost, state.withLock({ $0.server.leftStart }) else {
          throw error
        }
        return try startOnce(specification)
      }
    }
  }

  private func startOnce(_ specification: ProcessSpecification) throws(StartFailure) -> Started {
    try state.withLock { state throws(StartFailure) in
      if !state.isWatched { state.drain() }  // Tells whether it still lives.
      if state.server.isLost { try state.replace() }
      state.start = Start(token: try state.server.startProcess(specification))
    }
    while true {
      let answer = wait(until: .never) { state in
        defer { if state.start?.answer != nil { state.start = nil } }
        return state.start?.answer
      }
      if let answer { return try answer.get() }
    }
  }

  /// How a process has ended whose sentinel says that it has. Unknown if the fork server does not
  /// tell within `newsMax`, or did not so before and has told nothing since.
  func end(of token: ProcessToken) -> ExitStatus {
    let isLate = state.withLock { state in
      // What is waited for counts as asked for: one that stays silent is replaced some time.
      state.server.expectNews()
      return state.isLate
    }
    let deadline = isLate ? Deadline.now : Deadline(after: Self.newsMax)
    if let status = wait(until: deadline, for: { $0.ends.removeValue(forKey: token) }) {
      return status
    }
    state.withLock { state in
      state.isLate = !state.server.isLost
      state.live.remove(token)  // Nobody asks again.
    }
    return .unknown
  }

  // MARK: Waiting

  private enum Step<Answer> {
    case end(Answer?)
    /// Wait for the fork server, which has news when the descriptor is readable.
    case watch(Int32, Deadline)
    /// Wait for the thread that does.
    case follow(Parker)
  }

  /// Waits until `take`, which is called with the lock, has an answer; nil if `deadline` is first.
  ///
  /// Any number of threads wait: one for the fork server, without the lock, the others for that.
  private func wait<Answer>(
    until deadline: Deadline, for take: (inout State) -> Answer?
  ) -> Answer? {
    var isWatching = false
    while true {
      let (step, woken): (Step<Answer>, [Parker]) = state.withLock { state in
        if state.isWatched, !isWatching {
          if let answer = take(&state) { return (.end(answer), []) }
          let parker = Parker()
          if !deadline.hasPassed { state.waiters.append(parker) }
          return (deadline.hasPassed ? .end(nil) : .follow(parker), [])
        }
        state.drain()
        defer { state.waiters = [] }
        let answer = take(&state)
        isWatching = answer == nil && !deadline.hasPassed
        state.isWatched = isWatching
        guard isWatching else { return (.end(answer), state.waiters) }
        let next = state.nextLook(before: deadline)
        return (.watch(state.server.fileDescriptor, next), state.waiters)
      }
      for waiter in woken { waiter.unpark() }
      switch step {
      case .end(let answer): return answer
      case .watch(let descriptor, let next): _ = next.poll(descriptor, for: POLLIN)
      case .follow(let parker): follow(parker, until: deadline)
      }
    }
  }

  private func follow(_ parker: Parker, until deadline: Deadline) {
    if parker.park(until: deadline) { return }
    state.withLock { $0.waiters.removeAll { $0 === parker } }
  }
}

extension ProcessStarter {
  /// What the threads share.
  private struct State {
    let server: ForkServer
    private var events: [ForkServerEvent] = []
    /// The start under way.
    var start: Start?
    /// Those that run, as far as is known.
    var live: Set<ProcessToken> = []
    /// How those have ended whom nobody has asked about yet.
    var ends: [ProcessToken: ExitStatus] = [:]
    /// Whether a thread waits for the fork server. It alone drains: nothing that it waits for comes
    /// by any other way.
    var isWatched = false
    /// Whether news have not come in time since the last came: the fork server was stopped, or
    /// hangs. Nobody waits for them again.
    var isLate = false
    /// Where the others wait, for that thread to have news or to go.
    var waiters: [Parker] = []

    init(server: ForkServer) {
      self.server = server
    }

    /// When the fork server is to be looked at, even if it has nothing to tell: it may hang.
    func nextLook(before deadline: Deadline) -> Deadline {
      if server.timePassed(at: Deadline.clock) { return .now }
      guard let due = server.nextDeadline, due < deadline.nanoseconds ?? .max else {
        return deadline
      }
      return Deadline(nanoseconds: due)
    }

    func replace() throws(StartFailure) {
      do throws(SystemCallError) {
        try server.replace()
      } catch {
        throw StartFailure(stage: .forkServerLost, errorNumber: error.number)
      }
    }

    /// Takes in what has happened.
    mutating func drain() {
      server.drain(into: &events)
      // Whoever does not wait looks as well, and may be the only one. Behind what was there to be
      // read: an answer may have been there for long.
      _ = server.timePassed(at: Deadline.clock)
      if !events.isEmpty { isLate = false }
      for event in events {
        switch event {
        case .started(let token, let process, let sentinel):
          precondition(token == start?.token, "a process was started that nobody asked for")
          let answer = take(token, process, sentinel)
          start?.answer = answer
        // A process that is said to have started without a sentinel is so again when it is lost.
        case .startFailed(let token, let reason):
          if token == start?.token, start?.answer == nil { start?.answer = .failure(reason) }
        case .exited(let token, let status, _):
          // Of one whose start failed here nobody will ask.
          if live.remove(token) != nil { ends[token] = status }
        case .lost: break
        }
      }
      events.removeAll(keepingCapacity: true)
      server.closeSpent()
    }

    private mutating func take(
      _ token: ProcessToken, _ process: Int32, _ sentinel: Int32
    ) -> Result<Started, StartFailure> {
      // The fork server's own is closed when the process has ended. There is none if this process
      // had no descriptor left for it.
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
  }
}
