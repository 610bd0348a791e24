internal import CPlatform
import Glibc

/// The process itself, and its children.
extension ProgramRuntime {
  /// Who this process is.
  static func identity() -> ProcessIdentity {
    state.withLock { state in
      let identity = state.identity ?? .main()
      state.identity = identity
      return identity
    }
  }

  /// Where this process is; `/` if the folder is gone.
  static func workingFolder() -> String {
    guard let path = getcwd(nil, 0) else { return "/" }
    defer { free(path) }
    return String(cString: path)
  }

  /// Counts one more child.
  static func makeChild() -> (maker: ProcessIdentity, count: UInt32) {
    let maker = identity()
    return state.withLock { state in
      state.childrenMade += 1
      return (maker, state.childrenMade)
    }
  }

  /// What starts processes other than by fork.
  static func starter() throws(ProgramError) -> ProcessStarter {
    // Made under the lock: two would be one too many.
    try state.withLock { (state) throws(ProgramError) in
      if let starter = state.starter { return starter }
      guard state.registry != nil else { throw ProgramError(.notBootstrapped) }
      let server: ForkServer
      do throws(SystemCallError) {
        server = try ForkServer.execute()
      } catch {
        throw ProgramError(.noForkServer("\(error)"))
      }
      let starter = ProcessStarter(server)
      state.starter = starter
      return starter
    }
  }

  /// A child was started.
  static func noteChild(_ process: Process) {
    EndOfMain.arrange()
    // Nobody has to join the others for them to be reaped. (CPython looks at all of them, each
    // time.)
    let others = state.withLock { state in (0..<2).compactMap { _ in state.children.takeTurn() } }
    for other in others { _ = other.isRunning }
    state.withLock { $0.children.append(process) }
    // Another thread may have seen its end already.
    if !process.isRunning { forgetChild(process) }
  }

  /// A child has ended.
  static func forgetChild(_ process: Process) {
    state.withLock { $0.children.remove(process) }
  }

  /// This process is a fork: what its parent had started is not this one's.
  static func leaveStarter() {
    let (starter, children) = state.withLock { state in
      defer {
        state.starter = nil
        state.children = ChildList()
        state.childrenMade = 0
      }
      return (state.starter, state.children)
    }
    // Closed even if somebody still has one of the children, and through it the starter: the fork
    // server ends when nobody holds its socket any more.
    starter?.abandon()
    withExtendedLifetime(children) {}  // Let go of here, and not under the lock.
  }

  /// This process is a pool's worker.
  static func becomeWorker() {
    state.withLock { state in
      var identity = state.identity ?? .main()
      identity.name = "PoolWorker"
      state.identity = identity
    }
    lido_end_before_parents { EndOfMain.run() }
  }

  /// The pool that this process works for is of this process's, and so of its program.
  static func becomeWorker(of owner: PoolOwner) {
    state.withLock { state in
      if let method = owner.startMethod { state.startMethod = method }
      var identity = state.identity ?? .main()
      identity.authenticationKey = owner.authenticationKey
      identity.parent = ProcessIdentity.Parent(
        name: owner.name, process: owner.process, sentinel: owner.sentinel)
      state.identity = identity
    }
  }

  /// This process was forked, as `process`: it has no children, and a parent.
  static func becomeChild(_ process: Process, of parent: OwnedDescriptor) {
    let maker = identity()
    let parent = ProcessIdentity.Parent(
      name: maker.name, process: process.maker, sentinel: parent)
    leaveStarter()
    state.withLock { state in
      state.startMethod = .fork
      state.identity = ProcessIdentity(
        name: process.name, place: process.place, isDaemon: process.isDaemon,
        authenticationKey: maker.authenticationKey, parent: parent)
    }
    lido_end_before_parents { EndOfMain.run() }
  }
}
