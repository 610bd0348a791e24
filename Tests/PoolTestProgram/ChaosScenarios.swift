import Glibc
import Multiprocessing
import Synchronization
import TestSupport

/// Many threads, and workers that are killed all the while.
enum ChaosScenarios {
  static let all: [String: @Sendable () throws -> Void] = ["chaos": chaos]

  /// What the threads share.
  private final class Shared: Sendable {
    let pool: Pool
    let done = Mutex(0)
    let lost = Mutex(0)

    init(_ pool: Pool) { self.pool = pool }

    /// Counts a result that is right, or was lost with its worker.
    func note<Value: Equatable>(_ wanted: Value, _ body: () throws -> Value?) {
      do {
        try check(try body(), equals: wanted)
        done.withLock { $0 += 1 }
      } catch let error as PoolError {
        guard case .workerLost = error.code else { fail("\(error)") }
        lost.withLock { $0 += 1 }
      } catch {
        fail("\(error)")
      }
    }
  }

  /// Every result is there in the end, right or lost, whoever asked and however often workers and
  /// the fork server die.
  static func chaos() throws {
    let pool = try Pool(processes: 3, maxTasksPerChild: 50)
    let shared = Shared(pool)
    var threads: [pthread_t] = []
    for _ in 0..<4 {
      var thread = pthread_t()
      let start = Unmanaged.passRetained(shared)
      check(
        pthread_create(
          &thread, nil,
          { argument in
            guard let argument else { return nil }
            ChaosScenarios.work(Unmanaged<Shared>.fromOpaque(argument).takeRetainedValue())
            return nil
          }, start.toOpaque()), equals: 0)
      threads.append(thread)
    }
    for round in 0..<60 {
      // Whoever runs this call is the next to die.
      let pid = try? pool.apply(Tasks.pid, 0)
      if let pid { kill(pid, SIGKILL) }
      if round == 30, let server = FailureScenarios.children().first { kill(server, SIGKILL) }
    }
    for thread in threads { pthread_join(thread, nil) }
    check(shared.done.withLock { $0 } > 100, "\(shared.done.withLock { $0 }) done")
    pool.close()
    try pool.join(timeout: .seconds(20))
  }

  private static func work(_ shared: Shared) {
    for round in 0..<40 {
      let called = Mutex(0)
      let results = (0..<20).compactMap { number in
        try? shared.pool.applyAsync(
          Tasks.square, number, callback: { _ in called.withLock { $0 += 1 } },
          errorCallback: { _ in called.withLock { $0 += 1 } })
      }
      for (number, result) in results.enumerated() {
        shared.note(number * number) { try result.get(timeout: .seconds(30)) }
      }
      check(called.withLock { $0 }, equals: 20)
      shared.note(CallScenarios.manySquares) { try shared.pool.map(Tasks.square, 0..<100) }
      guard round % 8 == 0, let items = try? shared.pool.imapUnordered(Tasks.square, 0..<30) else {
        continue
      }
      var count = 0
      for _ in items { count += 1 }
      check(count, equals: 30)
    }
  }
}
