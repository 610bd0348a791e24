import Glibc
import Multiprocessing

/// Locks between processes.
enum LockScenarios {
  private static func died(_ child: Forked) -> LockError {
    LockError(.lockOwnerDied, owner: child.process)
  }

  /// A child that holds the lock, when this returns.
  private static func holder(of lock: any ProcessLock, times: Int = 1) -> Forked {
    let holds = Milestone()
    defer { holds.close() }
    let child = Forked {
      for _ in 0..<times { try lock.acquire() }
      holds.reach()
      waitToBeKilled()
    }
    holds.await()
    return child
  }

  /// Failure 2: a holder that is killed is reported to the next one, once and at once, however that
  /// one asks; then the lock is free.
  static func killed(_ forkServer: ForkServer) throws {
    let asks: [(any ProcessLock) throws -> Void] = [
      { try $0.acquire() },
      { try $0.acquire(block: false) },
      { try $0.acquire(timeout: .seconds(5)) },
      { try $0.acquire(timeout: .zero) },
      { try $0.withLock { check(false, "it holds the lock") } },
    ]
    for (lock, times) in [(try Lock() as any ProcessLock, 1), (try RLock(), 1), (try RLock(), 3)] {
      for ask in asks {
        let child = holder(of: lock, times: times)
        check(lock.isLocked, "K4: the holder is not seen")
        check(try !lock.acquire(block: false), "it got a lock that is held")
        child.end()
        check(!lock.isLocked, "a dead process holds it")
        let began = now()
        check(SharedScenarios.lockError { try ask(lock) }, equals: died(child))
        check(now() - began < 1_000_000_000, "it took \((now() - began) / 1_000_000) ms")
        check(!lock.isLocked, "it is held after the report")
        for _ in 0..<2 {
          check(try lock.acquire(block: false), "it is not free")
          check(lock.isLocked, "it is not held")
          try lock.release()
        }
        check(SharedScenarios.lockError { try lock.release() }, equals: .init(.notLocked))
      }
    }
  }

  /// Processes that wait already hear of the death, one of them of this one, and all go on.
  static func killedWhileOthersWait(_ forkServer: ForkServer) throws {
    let lock = try Lock()
    let reports = try Shared.Array<Int32>(count: 4)
    let gone = try Shared.Value(0)
    let child = holder(of: lock)
    let ready = Milestone()
    let waiters = (0..<4).map { number in
      Forked {
        ready.reach()
        do throws(LockError) {
          try lock.acquire()
        } catch {
          reports[number] = error.owner ?? -1
          try lock.acquire()
        }
        gone.value += 1  // Under the other lock.
        try lock.release()
      }
    }
    for _ in waiters { ready.await() }
    child.end()
    for waiter in waiters { check(waiter.wait(), equals: 0) }
    check(reports.filter { $0 != 0 }, equals: [child.process])
    check(gone.value, equals: 4)
  }

  /// Any end of a holder: `exit`, another program, a thread that ends, a mapping that is dropped.
  static func otherEnds(_ forkServer: ForkServer) throws {
    let lock = try Lock()
    for body: () -> Void in [{ exit(0) }, { raise(SIGTERM) }, execute] {
      let child = Forked {
        try lock.acquire()
        body()
      }
      _ = child.wait()
      check(SharedScenarios.lockError { try lock.acquire() }, equals: died(child))
      try lock.withLock {}
    }
    let nested = try RLock()
    onThread {
      check((try? lock.acquire()) == true, "not free")
      check((try? nested.acquire()) == true && (try? nested.acquire()) == true, "not free")
    }
    for lock in [lock, nested] as [any ProcessLock] {
      check(
        SharedScenarios.lockError { try lock.acquire() },
        equals: .init(.lockOwnerDied, owner: getpid()))
      try lock.withLock {}
    }
  }

  private static func execute() {
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
    execv("/bin/true", &arguments)
  }

  /// A read or write that cannot throw goes on, and leaves the report to the next who can be told.
  static func killedInAValue(_ forkServer: ForkServer) throws {
    for lock in [SharedLock.own, .shared(try Lock())] {
      let value = try Shared.Value(1, lock: lock)
      let inside = Milestone()
      let child = Forked {
        try value.withLock {
          $0 = 2
          inside.reach()
          waitToBeKilled()
        }
      }
      inside.await()
      child.end()
      check(value.value, equals: 1)
      value.value = 3
      check(Forked { check(value.value, equals: 3) }.wait(), equals: 0)
      check(SharedScenarios.lockError { try value.withLock { _ in } }, equals: died(child))
      check(try value.withLock { $0 }, equals: 3)
      inside.close()
    }
    let array = try Shared.Array<Int>(count: 3)
    let child = holder(of: try array.getLock())
    child.end()
    check(array.elements, equals: [0, 0, 0])
    check(SharedScenarios.lockError { try array.withLock { _ in } }, equals: died(child))
    try array.withLock { $0[0] = 1 }
  }

  /// A child of fork holds nothing of its parent's, and releases nothing of it; K4, K5.
  static func inherited(_ forkServer: ForkServer) throws {
    for lock in [try Lock() as any ProcessLock, try RLock()] {
      try lock.acquire()
      let parent = getpid()
      let child = Forked {
        check(lock.isLocked, "K4: the parent is not seen")
        check(lock.description.contains("process \(parent)"), lock.description)
        check(
          SharedScenarios.lockError { try lock.release() }, equals: .init(.notOwner, owner: parent))
        check(try !lock.acquire(block: false), "it got the parent's")
        check(try !lock.acquire(timeout: .milliseconds(20)), "it got the parent's")
        // A thread of its own, which asks before its first one does anything more.
        onThread { check((try? lock.acquire(block: false)) == false, "a thread got the parent's") }
        check(
          Forked { check(try !lock.acquire(block: false), "it got the grandparent's") }.wait(),
          equals: 0)
      }
      check(child.wait(), equals: 0)
      check(lock.isLocked, "the child has released it")
      check(lock.description.contains("this thread"), lock.description)
      let waits = Milestone()
      let waiter = Forked {
        waits.reach()
        try lock.withLock {}
      }
      waits.await()
      try lock.release()
      check(waiter.wait(), equals: 0)
    }
  }

  /// 4 processes, 10,000 times each: none is lost.
  static func counter(_ forkServer: ForkServer) throws {
    for lock in [SharedLock.own, .shared(try Lock())] {
      let count = try Shared.Value(0, lock: lock)
      let children = (0..<4).map { _ in
        Forked { for _ in 0..<10_000 { try count.withLock { $0 += 1 } } }
      }
      for child in children { check(child.wait(), equals: 0) }
      check(count.value, equals: 40_000)
    }
  }

  /// Killed at any instruction: what was half done is always reported before anyone sees it, and
  /// nobody ever waits for the dead. The readers cannot be told, so that the report is for this
  /// process, however many of them come first.
  static func chaos(_ forkServer: ForkServer) throws {
    let pair = try Shared.Array<Int>(count: 2)
    func write() {
      while true {
        // What this one hears of is a reader, which leaves nothing half done.
        try? pair.withLock { pair in
          pair[0] += 1
          pair[1] += 1
        }
      }
    }
    func read() {
      while true { _ = pair[0] }
    }
    var random = SplitMixForKills(state: 4)
    var (kills, reports, torn) = (0, 0, 0)
    let began = now()
    while now() - began < 3_000_000_000 {
      var workers = [Forked(write), Forked(read), Forked(read)]
      busy(for: random.next() % 3_000_000)
      while !workers.isEmpty {
        workers.remove(at: Int(random.next() % UInt64(workers.count))).end()
        kills += 1
      }
      do {
        try pair.withLock { check($0[0], equals: $0[1]) }
      } catch is LockError {
        reports += 1
        if pair[0] != pair[1] { torn += 1 }
        pair[1] = pair[0]
        try pair.withLock { _ in }
      }
      check(now() - began < 20_000_000_000, "it hangs")
    }
    print("\(kills) killed, \(pair[0]) steps, \(reports) reports, \(torn) half done")
    check(pair[0] > kills && reports > 0, "nobody died at work")
  }

  private static func busy(for nanoseconds: UInt64) {
    let end = now() + nanoseconds
    while now() < end {}
  }

  /// How long it takes, for a release build.
  static func measure(_ forkServer: ForkServer) throws {
    let (lock, nested, rounds) = (try Lock(), try RLock(), 2_000_000)
    func time(_ name: String, _ body: () throws -> Void) rethrows {
      let began = now()
      for _ in 0..<rounds { try body() }
      print("\(name): \((now() - began) / UInt64(rounds)) ns")
    }
    let (value, bare) = (try Shared.Value<Int32>(0), try Shared.Value<Int32>(0, lock: .none))
    let array = try Shared.Array<Double>(count: 100)
    try time("Lock acquire, release") {
      try lock.acquire()
      try lock.release()
    }
    try time("Lock acquire with a bound, release") {
      try lock.acquire(timeout: .seconds(1))
      try lock.release()
    }
    try time("RLock acquire, release") {
      try nested.acquire()
      try nested.release()
    }
    try time("Lock withLock") { try lock.withLock {} }
    time("Value get") { check(value.value >= 0, "") }
    time("Value set") { value.value = 1 }
    try time("Value withLock") { try value.withLock { $0 &+= 1 } }
    time("Value get, no lock") { check(bare.value >= 0, "") }
    time("Array get") { check(array[7] == 0, "") }
    time("Array set") { array[8] = 1 }
    try time("Array withLock of 100") { try array.withLock { for i in $0.indices { $0[i] += 1 } } }
    time("Array snapshot of 100") { check(array.elements.count == 100, "") }
  }
}

/// Numbers without rhyme but the same in every run.
private struct SplitMixForKills {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

/// Does `body` in a thread of its own, and waits for its end.
func onThread(_ body: @escaping () -> Void) {
  final class Box {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }
  var thread = pthread_t()
  let box = Unmanaged.passRetained(Box(body)).toOpaque()
  let failure = pthread_create(
    &thread, nil,
    { pointer in
      // reason: it is what was passed above.
      Unmanaged<Box>.fromOpaque(pointer!).takeRetainedValue().body()
      return nil
    }, box)
  check(failure, equals: 0)
  pthread_join(thread, nil)
}
