/// Something that happens once, and that any number of threads wait for.
final class Completion: Sendable {
  private struct State {
    var isSet = false
    var waiters: [Parker] = []
  }

  private let state = Mutex(State())

  /// Whether it has happened.
  var isSet: Bool { state.withLock { $0.isSet } }

  /// It has happened.
  func set() {
    let waiters = state.withLock { state in
      state.isSet = true
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.unpark() }
  }

  /// Waits until it has happened; returns false if `deadline` was first.
  func wait(until deadline: Deadline = .never) -> Bool {
    let parker: Parker? = state.withLock { state in
      if state.isSet { return nil }
      let parker = Parker()
      state.waiters.append(parker)
      return parker
    }
    guard let parker else { return true }
    if parker.park(until: deadline) { return true }
    return state.withLock { state in
      state.waiters.removeAll { $0 === parker }
      return state.isSet
    }
  }
}
