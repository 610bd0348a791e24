import Glibc
internal import Synchronization

/// The pools of this process that have not ended.
enum LivePools {
  private struct WeakCore: Sendable {
    weak let core: PoolCore?
  }

  private struct State {
    var cores: [ObjectIdentifier: WeakCore] = [:]
    var isRegistered = false
  }

  private static let state = Mutex(State())

  /// Notes a pool. With the first, the end of the program is arranged for.
  static func add(_ core: PoolCore) {
    let isFirst = state.withLock { state in
      state.cores[ObjectIdentifier(core)] = WeakCore(core: core)
      defer { state.isRegistered = true }
      return !state.isRegistered
    }
    if isFirst { atexit { Pool.endAll(grace: .seconds(1)) } }
  }

  /// The pool has ended.
  static func remove(_ core: PoolCore) {
    state.withLock { $0.cores[ObjectIdentifier(core)] = nil }
  }

  /// All of them that this process has made; a fork has inherited the list, but not the threads.
  static var all: [PoolCore] {
    state.withLock { $0.cores.values.compactMap(\.core) }.filter(\.isOurs)
  }
}
