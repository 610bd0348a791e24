import Glibc

/// What a program that uses this library knows of itself, once for the process.
enum ProgramRuntime {
  /// All that changes.
  struct State {
    /// What `bootstrap` was given; nil before.
    var registry: TaskRegistry?
    /// As set for the program; nil while nobody has set or asked for it.
    var startMethod: StartMethod?
    /// Who this process is; nil while nobody has asked in the main one.
    var identity: ProcessIdentity?
    /// How many children it has made.
    var childrenMade: UInt32 = 0
    /// Those that were started and are not known to have ended.
    var children = ChildList<Process>()
    /// What starts them, but for those that are forked; nil before the first.
    var starter: ProcessStarter?
    /// Whether `EndOfMain` runs at the end.
    var endsByRun = false
  }

  /// A forked child inherits it unlocked: only a process with one thread is forked.
  static let state = Mutex(State())

  /// The tasks of the program.
  static func registry() throws(ProgramError) -> TaskRegistry {
    guard let registry = state.withLock({ $0.registry }) else {
      throw ProgramError(.notBootstrapped)
    }
    return registry
  }

  /// The context that is meant by `context`: nil means that of the program.
  static func context(_ context: Context?) -> Context {
    context ?? Context(startMethod())
  }

  /// Starts a fork server for the exclusive use of one pool, which owns it from here on: for `fork`
  /// one that is a fork of this process (which must have one thread), and otherwise one that has
  /// executed this program anew.
  static func makeForkServer(for context: Context) throws(ProgramError) -> ForkServer {
    _ = try registry()
    if context.startMethod == .fork {
      let threads = Bootstrap.settledThreadCount()
      guard threads == 1 else { throw ProgramError(.severalThreads(threads)) }
    }
    do throws(SystemCallError) {
      return context.startMethod == .fork
        ? try ForkServer.start(leaving: leaveStarter, entries: enter) : try ForkServer.execute()
    } catch {
      throw ProgramError(.noForkServer("\(error)"))
    }
  }

  /// What a process that the library has started does, by the code of its entry.
  static func enter(_ entry: EntryPoint) -> Never {
    guard let registry = state.withLock({ $0.registry }) else {
      Bootstrap.stop("a process was started before bootstrap")
    }
    switch entry.code {
    case EntryPoint.worker:
      becomeWorker()
      WorkerLoop.run(tasks: registry, as: entry)
    case EntryPoint.process: ChildMain.serve(registry, as: entry)
    default: Bootstrap.stop("a process was started for an unknown purpose: \(entry.code)")
    }
  }
}
