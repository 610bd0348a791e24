import Glibc
import Multiprocessing
import Testing

/// K1 to K5 within one process; with several, and their deaths: `SharedScenarioTests`.
@Suite struct LockTests {
  @Test func `K1 a Lock is held by one, once`() throws {
    let lock = try Lock()
    #expect(!lock.isLocked)
    #expect(try lock.acquire())
    #expect(lock.isLocked)
    #expect(try !lock.acquire(block: false))
    #expect(try !lock.acquire(block: false, timeout: .seconds(100)))
    try lock.release()
    #expect(!lock.isLocked)
    #expect(throws: LockError(.notLocked)) { try lock.release() }
    #expect(try lock.acquire(timeout: .zero))
    try lock.release()
  }

  @Test func `K2 an RLock is released as often as it was acquired`() throws {
    let lock = try RLock()
    for _ in 0..<3 { #expect(try lock.acquire()) }
    #expect(try lock.acquire(block: false))
    #expect(try lock.acquire(timeout: .seconds(1)))
    for _ in 0..<5 {
      #expect(lock.isLocked)
      try lock.release()
    }
    #expect(!lock.isLocked)
    #expect(throws: LockError(.notLocked)) { try lock.release() }
  }

  struct Expected: Error, Equatable {}

  @Test func `K3 withLock holds the lock for its body, however that ends`() throws {
    for lock in [try Lock() as any ProcessLock, try RLock()] {
      #expect(try lock.withLock { lock.isLocked })
      #expect(!lock.isLocked)
      #expect(throws: Expected()) { try lock.withLock { throw Expected() } }
      #expect(!lock.isLocked)
      #expect(throws: LockError(.notLocked)) { try lock.withLock { try lock.release() } }
      #expect(throws: Expected()) {
        try lock.withLock {
          try lock.release()
          throw Expected()
        }
      }
      #expect(try lock.acquire(block: false))
      try lock.release()
    }
  }

  @Test func `a Lock that its holder waits for says so, or waits in vain`() throws {
    let lock = try Lock()
    try lock.withLock {
      #expect(throws: LockError(.wouldDeadlock)) { try lock.acquire() }
      #expect(throws: LockError(.wouldDeadlock)) { try lock.withLock {} }
      #expect(lock.isLocked)
      var got = true
      let took = try ContinuousClock().measure {
        got = try lock.acquire(timeout: .milliseconds(50))
      }
      #expect(!got)
      #expect(took >= .milliseconds(50) && took < .seconds(5))
      #expect(try !lock.acquire(timeout: .seconds(-1)))
    }
  }

  @Test func `another thread waits as long as it said, and not less`() throws {
    for lock in [try Lock() as any ProcessLock, try RLock()] {
      try lock.withLock {
        for timeout in [Duration.milliseconds(60), .milliseconds(1), .zero, .seconds(-5)] {
          let (got, took) = try inThread {
            var got = true
            let took = try ContinuousClock().measure { got = try lock.acquire(timeout: timeout) }
            return (got, took)
          }
          #expect(!got)
          #expect(took >= timeout && took < max(timeout, .zero) + .seconds(5))
        }
        #expect(try inThread { try lock.acquire(block: false) } == false)
      }
      #expect(try inThread { try lock.withLock { true } })
    }
  }

  @Test func `a bound beyond all clocks is none`() throws {
    let lock = try Lock()
    for timeout in [Duration.seconds(Int64.max), .seconds(9_000_000_000), .seconds(1_000_000)] {
      #expect(try lock.acquire(timeout: timeout))
      try lock.release()
    }
  }

  @Test func `what another thread holds is not released`() throws {
    for lock in [try Lock() as any ProcessLock, try RLock()] {
      try lock.withLock {
        let error = try inThread { #expect(throws: LockError.self) { try lock.release() } }
        #expect(error == LockError(.notOwner, owner: getpid()))
        #expect(lock.isLocked)
      }
    }
  }

  @Test func `a thread that ended while it held the lock is reported once`() throws {
    for lock in [try Lock() as any ProcessLock, try RLock()] {
      _ = try inThread { try lock.acquire() }
      #expect(throws: LockError(.lockOwnerDied, owner: getpid())) { try lock.acquire() }
      try lock.withLock {}
    }
  }

  @Test func `threads of one process exclude one another`() throws {
    let lock = try Lock()
    let counter = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    defer { counter.deallocate() }
    counter.pointee = 0
    nonisolated(unsafe) let shared = counter
    let threads = try (0..<4).map { _ in
      try TestThread { for _ in 0..<10_000 { try lock.withLock { shared.pointee += 1 } } }
    }
    for thread in threads { try thread.join() }
    #expect(counter.pointee == 40_000)
  }

  @Test func `K5 a description tells the owner`() throws {
    let (lock, nested) = (try Lock(), try RLock())
    #expect(lock.description == "Lock(owner: none)")
    #expect(nested.description == "RLock(owner: none, count: 0)")
    try lock.acquire()
    try nested.acquire()
    try nested.acquire()
    #expect(lock.description == "Lock(owner: this thread)")
    #expect(nested.description == "RLock(owner: this thread, count: 2)")
    #expect(try inThread { lock.description } == "Lock(owner: another thread)")
    #expect(try inThread { nested.description } == "RLock(owner: another thread, count: 2)")
    try nested.release()
    #expect(nested.description == "RLock(owner: this thread, count: 1)")
    try nested.release()
    try lock.release()
    #expect(nested.description == "RLock(owner: none, count: 0)")
  }

  @Test func `errors say what happened`() {
    #expect(LockError(.lockOwnerDied, owner: 4711).description.hasPrefix("process 4711 ended"))
    #expect(LockError(.notOwner, owner: 4711).description.contains("process 4711"))
    #expect(LockError(.system(EMFILE)).description == "no lock: Too many open files")
  }
}
