import Glibc

/// The calling process, as CPython's `multiprocessing.current_process()` gives it.
public struct CurrentProcess: Sendable {
  private let identity: ProcessIdentity

  init(_ identity: ProcessIdentity) {
    self.identity = identity
  }

  /// Its name: `MainProcess`, or what the one who made it has named it.
  public var name: String { identity.name }
  /// Its process id.
  public var pid: Int32 { getpid() }
  /// Whether it is ended when its parent's `main` ends, and may have no children of its own.
  public var isDaemon: Bool { identity.isDaemon }
  /// The same in all processes of a program, and unknown to others: 32 random bytes.
  public var authenticationKey: [UInt8] { identity.authenticationKey }
  /// It asks, and so it is.
  public var isAlive: Bool { true }
  /// It has not ended.
  public var exitcode: Int32? { nil }

  /// Refused with `joinsItself`: it would wait for ever.
  public func join(timeout: Duration? = nil) throws(ProcessError) {
    throw ProcessError(.joinsItself, name)
  }
}

/// The parent of the calling process, as CPython's `multiprocessing.parent_process()` gives it.
public struct ParentProcess: Sendable {
  private let parent: ProcessIdentity.Parent

  init(_ parent: ProcessIdentity.Parent) {
    self.parent = parent
  }

  /// Its name.
  public var name: String { parent.name }
  /// Its process id. By the start methods `forkserver` and `spawn` it is not what getppid(2) tells,
  /// which is the process that starts all others.
  public var pid: Int32 { parent.process }
  /// A pidfd: readable once it has ended. Not to be closed.
  public var sentinel: Int32 { parent.sentinel.number }
  /// Whether it has not ended.
  public var isAlive: Bool { !Deadline.now.poll(sentinel, for: POLLIN) }

  /// Waits until it has ended, for `timeout` at most, and says whether it has. A process whose
  /// parent has ended is killed 0.3 s later, unless it ends before.
  @discardableResult
  public func join(timeout: Duration? = nil) -> Bool {
    Deadline(after: timeout).poll(sentinel, for: POLLIN)
  }
}

/// The calling process.
public func currentProcess() -> CurrentProcess {
  CurrentProcess(ProgramRuntime.identity())
}

/// The parent of the calling process; nil in the main one, which is nobody's child.
public func parentProcess() -> ParentProcess? {
  ProgramRuntime.identity().parent.map(ParentProcess.init)
}

/// The children of the calling process that run, CPython's `multiprocessing.active_children()`.
/// Takes note of those that have ended.
public func activeChildren() -> [Process] {
  let children = ProgramRuntime.state.withLock(\.children.all)
  return children.filter(\.isRunning)
}

/// How many processors this process may use, CPython's `os.process_cpu_count()`: the size of its
/// affinity mask, at least 1.
public func cpuCount() -> Int { CPUCount.usable }
