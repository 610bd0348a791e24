import Glibc

/// The pools of this process that have not ended.
enum LivePools {
  private struct WeakCore: Sendable {
    weak let core: PoolCore?
  }

  private static let cores = Mutex<[ObjectIdentifier: WeakCore]>([:])

  /// Notes a pool, which the end of main ends.
  static func add(_ core: PoolCore) {
    EndOfMain.arrange()
    cores.withLock { $0[ObjectIdentifier(core)] = WeakCore(core: core) }
  }

  /// The pool has ended.
  static func remove(_ core: PoolCore) {
    cores.withLock { $0[ObjectIdentifier(core)] = nil }
  }

  /// All of them that this process has made; a fork has inherited the list, but not the threads.
  static var all: [PoolCore] {
    cores.withLock { $0.values.compactMap(\.core) }.filter(\.isOurs)
  }
}
