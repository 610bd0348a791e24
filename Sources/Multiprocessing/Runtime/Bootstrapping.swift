import Glibc

/// A task, its types forgotten or not: what `bootstrap` takes.
public protocol RegistrableTask: Sendable {
  /// The task without its types.
  var erased: AnyTask { get }
}

extension TaskDefinition: RegistrableTask {}

extension AnyTask: RegistrableTask {
  /// Itself.
  public var erased: AnyTask { self }
}

/// The main guard, to be the first statement of a synchronous `main`: CPython's
/// `if __name__ == "__main__"`, which this replaces.
///
/// `tasks` are all that processes and pools of this program may run, and that pools may have as
/// their initializer. Returns in the program itself. A process that the library started goes its
/// own way here and never returns: what comes before this call runs in it once more.
///
/// Descriptors 0, 1 and 2 are /dev/null from here on if they were closed, so that nothing that is
/// opened later is taken for stdout.
///
/// `preload` runs once in each fork server, the program's and those of its pools, before it forks
/// for the first time: what it sets up (tables, caches), every process by `forkserver` has from its
/// beginning, files that it opens as well. It must leave no thread behind. CPython's
/// `set_forkserver_preload`.
///
/// A process that has threads at this point could not start others; that is said, and ends it with
/// 70 (EX_SOFTWARE): an `async` main may have some before its first statement. Two tasks of one
/// name end it in the same way; a second call is a programming error.
public func bootstrap(_ tasks: [any RegistrableTask], preload: (() -> Void)? = nil) {
  let erased = tasks.map(\.erased)
  let registry = TaskRegistry(erased, initializers: erased)
  let isFirst = ProgramRuntime.state.withLock { state in
    guard state.registry == nil else { return false }
    state.registry = registry
    return true
  }
  precondition(isFirst, "bootstrap is called once")
  Bootstrap.takeRole(preload: preload, bequeaths: true, entries: ProgramRuntime.enter)
  Bootstrap.requireOneThread("bootstrap is called")
}
