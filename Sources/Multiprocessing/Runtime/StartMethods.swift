/// The start methods that this system has, the default first, CPython's
/// `multiprocessing.get_all_start_methods()`.
public func allStartMethods() -> [StartMethod] { [.forkserver, .spawn, .fork] }

/// Sets how processes and pools are made that are given no context, CPython's
/// `multiprocessing.set_start_method(method, force)`. Children have the same method.
///
/// Throws `startMethodIsSet` if it was set, or asked for, before, unless `force` is true.
public func setStartMethod(_ method: StartMethod, force: Bool = false) throws(ProgramError) {
  let present: StartMethod? = ProgramRuntime.state.withLock { state in
    if let present = state.startMethod, !force { return present }
    state.startMethod = method
    return nil
  }
  if let present { throw ProgramError(.startMethodIsSet(present)) }
}

/// The program's start method, CPython's `multiprocessing.get_start_method()`: the default if none
/// was set, which from then on is as good as set.
public func startMethod() -> StartMethod {
  ProgramRuntime.state.withLock { state in
    let method = state.startMethod ?? allStartMethods()[0]
    state.startMethod = method
    return method
  }
}
