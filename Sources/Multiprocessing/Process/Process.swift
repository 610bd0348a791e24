internal import CPlatform
import Glibc

/// A process of this program that runs one task, CPython's `multiprocessing.Process`.
///
///     let process = Process(square, 3)
///     try process.start()
///     try process.join()
///
/// Belongs to the process that made it, and there to any number of threads. Unlike CPython's it
/// cannot be inherited from: what would be `run()` is the task's function. Foundation has a
/// `Process` as well; a file that imports both says `Multiprocessing.Process`.
public final class Process: Sendable {
  /// Where it is in its life; moves only forward.
  private enum Stage {
    case made
    /// A thread is starting it.
    case starting
    /// It runs, as far as is known.
    case started(ChildProcess)
    case ended(ChildProcess, exitcode: Int32)
    case closed
  }

  /// The name, for people: `Process-1` if none was given.
  public let name: String
  /// Whether it is ended when `main` ends, instead of being waited for. A daemonic process may not
  /// have children.
  public let isDaemon: Bool
  /// How it comes into being; nil: as the program has it when it is started.
  let context: Context?
  let place: [UInt32]
  /// The process that made it.
  let maker: Int32
  /// Guards all that follows.
  private let lock = Mutex(())
  private nonisolated(unsafe) var stage = Stage.made  // reason: touched under `lock` only.
  /// What it runs; nil once it has been started, so that nothing of it is kept.
  // reason: touched under `lock` only; and its closure, which need not be Sendable, is called once,
  // by the thread that starts the process.
  private nonisolated(unsafe) var target: ProcessTarget?

  init(name: String?, daemon: Bool?, context: Context?, target: ProcessTarget) {
    let (identity, count) = ProgramRuntime.makeChild()
    place = identity.place + [count]
    self.name = name ?? identity.childName(count)
    isDaemon = daemon ?? identity.isDaemon
    self.context = context
    self.target = target
    maker = getpid()
  }

  /// A process that runs `task`, which must be one of those given to `bootstrap`, with `argument`;
  /// what it returns is dropped. `name` is for people; `daemon` is that of this process if nil;
  /// `context` is the program's if nil.
  public convenience init<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, _ argument: Argument, name: String? = nil,
    daemon: Bool? = nil, context: Context? = nil
  ) {
    let target = ProcessTarget(task, argument)
    self.init(name: name, daemon: daemon, context: context, target: target)
  }

  /// A process that runs `task`, which takes no argument.
  public convenience init<Output>(
    _ task: TaskDefinition<NoArgument, Output>, name: String? = nil, daemon: Bool? = nil,
    context: Context? = nil
  ) {
    self.init(task, NoArgument(), name: name, daemon: daemon, context: context)
  }

  /// A process that runs a closure, which can only be a fork of this one (`Context.fork`): it has
  /// all that this process has at that moment.
  public convenience init(
    name: String? = nil, daemon: Bool? = nil, _ body: @escaping () throws -> Void
  ) {
    self.init(name: name, daemon: daemon, context: .fork, target: ProcessTarget(body))
  }

  // MARK: Its life

  /// Starts it, once, and returns when its program runs. What this process has printed so far is
  /// flushed.
  ///
  /// Throws, and then it has not been started: `startedTwice`, `closed`, `daemonHasNoChildren`,
  /// `notParent`, `argumentEncoding`, `program` (no `bootstrap`; threads, by `fork`), and
  /// `startFailed` with what the system lacks. By `fork` it does not return in the child.
  public func start() throws(ProcessError) {
    try requireMaker()
    if currentProcess().isDaemon { throw error(.daemonHasNoChildren) }
    let target = try lock.withLock { _ throws(ProcessError) in
      switch stage {
      case .made: break
      case .closed: throw error(.closed)
      case .starting, .started, .ended: throw error(.startedTwice)
      }
      stage = .starting
      defer { self.target = nil }
      return self.target
    }
    guard let target else { preconditionFailure("\(name) has nothing to run") }
    // Not under the lock, which a forked child would have for ever.
    do throws(ProcessError) {
      let child = try target.start(self)
      lock.withLock { _ in stage = .started(child) }
    } catch {
      lock.withLock { _ in
        stage = .made
        self.target = target
      }
      throw error
    }
    ProgramRuntime.noteChild(self)
  }

  /// Waits until it has ended, for `timeout` at most, and says whether it has. May be called again
  /// and again, by several threads.
  @discardableResult
  public func join(timeout: Duration? = nil) throws(ProcessError) -> Bool {
    try requireMaker()
    let child = try child()
    guard child.hasEnded(by: Deadline(after: timeout)) else { return false }
    noteEnd(of: child)
    return true
  }

  /// Sends SIGTERM. Nothing happens if it has ended.
  public func terminate() throws(ProcessError) { try send(SIGTERM) }

  /// Sends SIGKILL. Nothing happens if it has ended.
  public func kill() throws(ProcessError) { try send(SIGKILL) }

  /// Sends SIGINT, which ends a process that does nothing about it. Nothing happens if it has
  /// ended.
  public func interrupt() throws(ProcessError) { try send(SIGINT) }

  /// Gives back what this object holds; from then on it only has a name. Throws `stillRunning`
  /// while the process runs. Idempotent.
  public func close() throws(ProcessError) {
    try requireMaker()
    _ = isRunning  // Notes its end.
    try lock.withLock { _ throws(ProcessError) in
      switch stage {
      case .starting, .started: throw error(.stillRunning)
      case .made, .ended, .closed: stage = .closed
      }
      target = nil
    }
  }

  // MARK: What is known of it

  /// Its process id; nil before it is started.
  public var pid: Int32? {
    get throws(ProcessError) { try openChild()?.process }
  }

  /// Whether it runs.
  public var isAlive: Bool {
    get throws(ProcessError) {
      try requireMaker()
      _ = try openChild()
      return isRunning
    }
  }

  /// How it ended, nil while it has not: what it passed to `exit`, 0 when its task returned, 1 when
  /// that threw; `-N` if signal `N` ended it; 255 if nobody can know, because the process that
  /// starts all others was killed, or was stopped for 5 s after the end, or because something else
  /// in this program has waited for a child by `fork` (wait(2) for any child, SIGCHLD ignored). It
  /// never changes.
  public var exitcode: Int32? {
    get throws(ProcessError) {
      _ = try openChild()
      _ = isRunning
      return lock.withLock { _ in
        if case .ended(_, let exitcode) = stage { exitcode } else { nil }
      }
    }
  }

  /// A pidfd, readable once it has ended: for `wait(for:)`, poll(2) and the like. This object's,
  /// not to be closed; valid until `close`. Throws `notStarted` before the start.
  public var sentinel: Int32 {
    get throws(ProcessError) { try child().sentinel.number }
  }

  /// Whether it runs; notes its end.
  var isRunning: Bool {
    guard maker == getpid() else { return false }
    let child: ChildProcess? = lock.withLock { _ in
      if case .started(let child) = stage { child } else { nil }
    }
    guard let child else { return false }
    guard child.hasEnded(by: .now) else { return true }
    noteEnd(of: child)
    return false
  }

  // MARK: Within

  private func noteEnd(of child: ChildProcess) {
    // Outside of the lock: it may have to wait for the news.
    let status = child.end()
    lock.withLock { _ in
      if case .started = stage { stage = .ended(child, exitcode: status.exitcode) }
    }
    ProgramRuntime.forgetChild(self)
  }

  private func send(_ signal: Int32) throws(ProcessError) {
    try requireMaker()
    try child().send(signal)
  }

  private func error(_ code: ProcessError.Code) -> ProcessError { ProcessError(code, name) }

  private func requireMaker() throws(ProcessError) {
    if maker != getpid() { throw error(.notParent) }
  }

  /// nil before the start.
  private func openChild() throws(ProcessError) -> ChildProcess? {
    try lock.withLock { _ throws(ProcessError) in
      switch stage {
      case .made, .starting: nil
      case .started(let child), .ended(let child, _): child
      case .closed: throw error(.closed)
      }
    }
  }

  private func child() throws(ProcessError) -> ChildProcess {
    guard let child = try openChild() else { throw error(.notStarted) }
    return child
  }
}

extension Process: CustomStringConvertible {
  /// `<Process Process-1 pid=4711 started>`.
  public var description: String {
    let state = lock.withLock { _ in
      switch stage {
      case .made, .starting: "initial"
      case .started(let child): "pid=\(child.process) started"
      case .ended(let child, let exitcode): "pid=\(child.process) stopped exitcode=\(exitcode)"
      case .closed: "closed"
      }
    }
    return "<Process \(name) \(state)\(isDaemon ? " daemon" : "")>"
  }
}
