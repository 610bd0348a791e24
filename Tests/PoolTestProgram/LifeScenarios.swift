import Glibc
import Multiprocessing
import Synchronization
import TestSupport

/// Rows L16 to L19, L24, L25 and L28 to L35: pools and their workers.
enum LifeScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "L16": make, "L17": terminate, "L19": with, "L24": enter, "L25": dropped, "L28": lifetime,
    "L29": earlyClose, "L30": invalidLifetime, "L31": left, "L32": atomic, "L33": initializer,
    "L34": nested, "L35": manyWorkers, "states": states, "kept-alive": keptAlive,
    "join-in-callback": joinInCallback, "terminate-in-callback": terminateInCallback,
  ]

  static func make() throws {
    for count in [0, -1] {
      expect(.invalidArgument("Number of processes must be at least 1, not \(count)")) {
        try Pool(processes: count)
      }
    }
    try Pool.with(processes: 3) { pool in
      check(pool.processIDs.count, equals: 3)
      check(pool.processes, equals: 3)
      for pid in pool.processIDs { check(kill(pid, 0), equals: 0) }
    }
    try Pool.with { pool in check(pool.processes >= 1) }
  }

  static func terminate() throws {
    let pool = try Pool(processes: 3)
    let result = try pool.mapAsync(
      Tasks.wait, repeatElement(300_000, count: 10_000), chunkSize: 1)
    let began = now()
    pool.terminate()
    check(result.isReady, equals: true)
    try pool.join()
    check(now() - began < 3, "it took \(now() - began) s")
    expect(.terminated) { try result.get() }
  }

  static func with() throws {
    var left: Pool?
    try Pool.with(processes: 2) { pool in
      left = pool
      try check(try pool.mapAsync(Tasks.square, 0..<10).get(), equals: CallScenarios.squares)
    }
    expect(.notRunning) { try left?.mapAsync(Tasks.square, 0..<10) }
    check("\(PoolError.self)", equals: "PoolError")
  }

  static func enter() throws {
    let pool = try Pool(processes: 1)
    pool.close()
    expect(.notRunning) { try pool.use { _ in } }
    try pool.join()
  }

  static func dropped() throws {
    let text = try errorOutput {
      let pool = try Pool(processes: 2)
      check(pool.processIDs.count, equals: 2)
    }
    check(text.contains("a Pool was dropped while it was running"), text)
  }

  static func lifetime() throws {
    try Pool.with(processes: 3, maxTasksPerChild: 10) { pool in
      let results = try (0..<100).map { try pool.applyAsync(Tasks.pid, $0) }
      // Beside a load, one that starts late may find nothing left to do.
      let counts = try results.reduce(into: [Int32: Int]()) { counts, result in
        counts[try result.get(), default: 0] += 1
      }
      check(counts.count >= 10, "only \(counts.count) processes")
      check(counts.values.allSatisfy { $0 <= 10 }, "\(counts)")
      let spent = counts.keys.filter { counts[$0] == 10 }
      // One that has done its ten is being replaced, for a moment: then all are there and live.
      let end = now() + 10
      var ids: [Int32] = []
      repeat {
        check(now() < end, "of three workers there are \(ids)")
        try check(try pool.apply(Tasks.wait, 1), equals: 1)
        ids = pool.processIDs
      } while ids.count < 3 || ids.contains { kill($0, 0) != 0 }
      check(ids.count, equals: 3)
      check(Set(ids).isDisjoint(with: spent), "a worker outlived its ten jobs")
    }
  }

  static func earlyClose() throws {
    let pool = try Pool(processes: 3, maxTasksPerChild: 1)
    let results = try (0..<6).map { _ in try pool.applyAsync(Tasks.wait, 100) }
    pool.close()
    try pool.join()
    try check(try results.map { try $0.get() }, equals: [100, 100, 100, 100, 100, 100])
  }

  static func invalidLifetime() throws {
    for count in [0, -1] {
      let text = "maxTasksPerChild must be a positive number or nil, not \(count)"
      expect(.invalidArgument(text)) { try Pool(processes: 1, maxTasksPerChild: count) }
    }
  }

  nonisolated(unsafe) static var pool: Pool?

  static func left() throws {
    pool = try Pool(processes: 2)
    try check(try pool?.apply(Tasks.square, 5), equals: 25)
    _ = try pool?.applyAsync(Tasks.wait, 300_000)
  }

  static func atomic() throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let wanted = limit
    let before = ProcessFiles.openDescriptors
    // Each worker takes a socket, and two descriptors more for a moment.
    limit.rlim_cur = UInt((before.last ?? 2) + 9)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let error = thrown(PoolError.self) { try Pool(processes: 5) }
    limit = wanted
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    guard case .noWorkers(let reason) = error.code else { fail("\(error)") }
    check(reason.contains("Too many open files"), reason)
    check(waitpid(-1, nil, 0), equals: -1)
    check(ProcessFiles.openDescriptors, equals: before)
    try Pool.with(processes: 5) { pool in try check(try pool.apply(Tasks.square, 2), equals: 4) }
  }

  static func initializer() throws {
    let pool = try Pool(
      processes: 2, initializer: Tasks.warm, initArgument: "w", maxTasksPerChild: 3)
    let results = try pool.map(Tasks.warmed, 0..<20, chunkSize: 1)
    check(Set(results), equals: ["w"])
    pool.terminate()
    try pool.join()
    let error = thrown(ProgramError.self) {
      try Pool(
        initializer: TaskDefinition<NoArgument, NoResult>("strange") { _ in NoResult() })
    }
    check(error.code, equals: .unknownTask("strange"))
  }

  static func nested() throws {
    // A child of the program that is no worker.
    let process = Process(Tasks.nestedInProcess)
    try process.start()
    try process.join()
    try check(try process.exitcode, equals: 0)
    try Pool.with(processes: 2) { pool in
      // A worker whose start method is fork makes its own nursery: it has one thread.
      try check(try pool.apply(Tasks.nested, 5), equals: [0, 1, 4, 9, 16])
      try check(try pool.map(Tasks.nested, [1, 2, 3]), equals: [[0], [0, 1], [0, 1, 4]])
    }
  }

  static func manyWorkers() throws {
    let text = try errorOutput {
      try Pool.with(processes: 200) { pool in
        check(pool.processIDs.count, equals: 200)
        let results = try pool.map(Tasks.square, 0..<1000)
        check(results.reduce(0, +), equals: (0..<1000).map { $0 * $0 }.reduce(0, +))
      }
      write(2, "end\n", 4)
    }
    check(text, equals: "end\n")
  }

  static func states() throws {
    let closed = try Pool(processes: 1)
    expect(.stillRunning) { try closed.join() }
    closed.close()
    closed.close()
    expect(.notRunning) { try closed.apply(Tasks.square, 1) }
    expect(.notRunning) { try closed.map(Tasks.square, [1]) }
    expect(.notRunning) { try closed.imap(Tasks.square, [1]) }
    let error = thrown(PoolError.self) { try closed.apply(Tasks.square, 1) }
    check("\(error)", equals: "Pool not running")
    try closed.join()
    try closed.join()
    closed.terminate()
    closed.terminate()
    closed.close()
    try closed.join()
    check(closed.processIDs, equals: [])

    let pool = try Pool(processes: 1)
    let running = try pool.applyAsync(Tasks.wait, 200)
    pool.close()
    _ = thrown(TimeoutError.self) { try pool.join(timeout: .milliseconds(20)) }
    try pool.join()
    try check(try running.get(), equals: 200)
  }

  /// A result that is not there yet keeps the pool alive, one that is does not.
  static func keptAlive() throws {
    let text = try errorOutput {
      let results = try (0..<3).map { _ in
        try Pool(processes: 1, context: .spawn).applyAsync(Tasks.wait, 50)
      }
      for result in results { try check(try result.get(), equals: 50) }
      let iterator = try Pool(processes: 1, context: .spawn).imap(Tasks.square, 0..<100)
      try check(try iterator.map { try $0.get() }, equals: CallScenarios.manySquares)
    }
    check(text.contains("dropped"), text)
  }

  static func joinInCallback() throws {
    let pool = try Pool(processes: 1)
    let result = try pool.applyAsync(Tasks.square, 1, callback: { _ in try pool.join() })
    pool.close()
    expect(.joinInCallback) { try result.get() }
    try pool.join()
  }

  static func terminateInCallback() throws {
    let pool = try Pool(processes: 2)
    let other = try pool.applyAsync(Tasks.wait, 300_000)
    let result = try pool.applyAsync(Tasks.square, 1, callback: { _ in pool.terminate() })
    expect(.terminated) { try result.get() }
    expect(.terminated) { try other.get() }
    try pool.join(timeout: .seconds(10))
  }
}
