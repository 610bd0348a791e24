import Glibc
import Multiprocessing
import Synchronization
import TestSupport

/// The failures that CPython's pool has, by their number in section 3 of the specification.
enum FailureScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "F1": killed, "F2": killedIdle, "F3": exits, "F7": terminated, "F8": stubborn, "F9": cold,
    "F9-killed": deadly, "F10": oneTaskPerChild, "stopped": stopped,
    "F11": severalThreads, "F15": interrupted, "victim": victim,
    "waiting": waiting,
    "fork-server-killed": forkServerKilled, "inherited": InheritanceScenarios.inherited,
  ]

  static func killed() throws {
    try Pool.with(processes: 2) { pool in
      for signal in [SIGKILL, SIGUSR1, SIGTERM] {
        let began = now()
        let error = thrown(PoolError.self) { try pool.apply(Tasks.die, signal) }
        guard case .workerLost(let pid, -signal, nil) = error.code else { fail("\(error)") }
        check(pid > 0)
        check(now() - began < 1, "it took \(now() - began) s")
      }
      // Only the chunk that it ran is lost.
      let output = NamedPipe()
      let held = try pool.applyAsync(Tasks.hold, output.path)
      let pid = Int32(output.line()) ?? 0
      let others = try (0..<100).map { try pool.applyAsync(Tasks.square, $0) }
      kill(pid, SIGKILL)
      expect(.workerLost(pid: pid, exitcode: -SIGKILL, reason: nil)) { try held.get() }
      try check(try others.map { try $0.get() }, equals: CallScenarios.manySquares)
    }
  }

  static func killedIdle() throws {
    let pool = try Pool(processes: 2)
    for pid in pool.processIDs { kill(pid, SIGKILL) }
    try check(try pool.map(Tasks.square, 0..<10), equals: CallScenarios.squares)
    for pid in pool.processIDs { kill(pid, SIGKILL) }
    let began = now()
    pool.terminate()
    try pool.join()
    check(now() - began < 3, "it took \(now() - began) s")
  }

  static func exits() throws {
    try Pool.with(processes: 2) { pool in
      for code in [Int32(0), 3] {
        let error = thrown(PoolError.self) { try pool.apply(Tasks.leave, code) }
        guard case .workerExited(_, code) = error.code else { fail("\(error)") }
      }
      let error = thrown(PoolError.self) { try pool.apply(Tasks.trap, 0) }
      guard case .workerLost(_, let exitcode, nil) = error.code else { fail("\(error)") }
      check([-SIGILL, -SIGTRAP].contains(exitcode), "\(exitcode)")
      try check(try pool.apply(Tasks.square, 5), equals: 25)
    }
  }

  static func terminated() throws {
    let results = Mutex<[AsyncResult<Int>]>([])
    try Pool.with(processes: 1) { pool in
      for _ in 0..<3 {
        let result = try pool.applyAsync(
          Tasks.wait, 300_000, callback: { _ in fail("a callback") },
          errorCallback: { _ in fail("an error callback") })
        results.withLock { $0.append(result) }
      }
    }
    for result in results.withLock({ $0 }) { expect(.terminated) { try result.get() } }
  }

  /// A worker that hears no SIGTERM is killed five seconds later.
  static func stubborn() throws {
    let output = NamedPipe()
    let pool = try Pool(processes: 1)
    let result = try pool.applyAsync(Tasks.stubborn, output.path)
    let pid = Int32(output.line()) ?? 0
    let began = now()
    pool.terminate()
    check(now() - began < 1, "terminate took \(now() - began) s")
    expect(.terminated) { try result.get() }
    check(kill(pid, 0), equals: 0)
    try pool.join()
    check(now() - began > 4 && now() - began < 9, "join took \(now() - began) s")
    check(kill(pid, 0), equals: -1)
  }

  static func cold() throws {
    let pool = try Pool(processes: 2, initializer: Tasks.cold)
    let told = Mutex<[String]>([])
    let result = try? pool.applyAsync(
      Tasks.square, 1, errorCallback: { error in told.withLock { $0.append("\(error)") } })
    if let result {
      let error = thrown(PoolError.self) { try result.get(timeout: .seconds(20)) }
      guard case .initializerFailed(let reason) = error.code else { fail("\(error)") }
      check(reason.contains("PlainError") && reason.contains("too cold"), reason)
      check(told.withLock { $0.count }, equals: 1)
    }
    let error = thrown(PoolError.self) { try pool.apply(Tasks.square, 1) }
    guard case .initializerFailed = error.code else { fail("\(error)") }
    pool.close()
    try pool.join(timeout: .seconds(10))
  }

  static func deadly() throws {
    let pool = try Pool(processes: 1, initializer: Tasks.deadly)
    let error = thrown(PoolError.self) { try pool.apply(Tasks.square, 1) }
    guard case .noWorkers = error.code else { fail("\(error)") }
    pool.terminate()
    try pool.join(timeout: .seconds(10))
  }

  /// A fork of a process with threads is refused, and a pool has a thread.
  static func severalThreads() throws {
    try Pool.with(processes: 1) { _ in
      let error = thrown(ProgramError.self) { try Pool(processes: 1, context: .fork) }
      check(error.code, equals: .severalThreads(2))
    }
    try Pool.with(processes: 1, context: .fork) { pool in
      try check(try pool.apply(Tasks.square, 5), equals: 25)
    }
  }

  /// An interrupt from the terminal is for the program, not for what it has started.
  static func interrupted() throws {
    try Pool.with(processes: 2) { pool in
      let output = NamedPipe()
      let results = try (0..<2).map { _ in try pool.applyAsync(Tasks.saidWait, output.path) }
      for _ in results { _ = output.line() }
      for pid in pool.processIDs + children() { kill(pid, SIGINT) }
      for result in results { try check(try result.get(), equals: 100) }
    }
  }

  /// Is killed by its test.
  static func victim() throws {
    let output = NamedPipe()
    let pool = try Pool(processes: 2)
    _ = try pool.applyAsync(Tasks.stubborn, output.path)
    _ = output.line()
    unlink(output.path)  // Nobody will, afterwards.
    print("holding")
    fflush(nil)
    while true { pause() }
  }

  /// In `map`, with a process that is joined afterwards, until it is interrupted.
  static func waiting() throws {
    let pool = try Pool(processes: 2)
    print("waiting")
    fflush(nil)
    _ = try pool.map(Tasks.wait, [60_000, 60_000])
    fail("the tasks ended")
  }

  static func oneTaskPerChild() throws {
    let isSlow = startMethod() == .spawn
    let count =
      CommandLine.arguments.dropFirst(3).first.flatMap { Int($0) } ?? (isSlow ? 200 : 2_000)
    let pool = try Pool(processes: 4, maxTasksPerChild: 1)
    let pids = try pool.map(Tasks.pid, 0..<count, chunkSize: 1)
    // Each is one of its own, if the system does not use a number again.
    check(Set(pids).count >= min(count, 10_000) * 99 / 100, "\(Set(pids).count) processes")
    pool.close()
    try pool.join()
  }

  /// A worker that is stopped holds up its own job, and neither others nor the end.
  static func stopped() throws {
    let output = NamedPipe()
    let pool = try Pool(processes: 2)
    let held = try pool.applyAsync(Tasks.hold, output.path)
    let pid = Int32(output.line()) ?? 0
    kill(pid, SIGSTOP)
    try check(try pool.map(Tasks.square, 0..<100), equals: CallScenarios.manySquares)
    let began = now()
    pool.terminate()
    check(now() - began < 1, "terminate took \(now() - began) s")
    expect(.terminated) { try held.get() }
    try pool.join(timeout: .seconds(9))
  }

  static func forkServerKilled() throws {
    let output = NamedPipe()
    let pool = try Pool(processes: 2)
    let held = try pool.applyAsync(Tasks.hold, output.path)
    let pid = Int32(output.line()) ?? 0
    let queued = try (0..<3).map { _ in try pool.applyAsync(Tasks.hold, output.path) }
    _ = output.line()
    // The fork server is this process' only child.
    let server = children().first ?? 0
    check(server > 1 && server != pid, "\(server)")
    kill(server, SIGKILL)
    let error = thrown(PoolError.self) { try held.get(timeout: .seconds(10)) }
    guard case .workerLost(_, 255, _) = error.code else { fail("\(error)") }
    // One that was running is lost as well, and the queued ones go on.
    _ = thrown(PoolError.self) { try queued[0].get(timeout: .seconds(10)) }
    _ = output.line()
    _ = output.line()
    check(queued[1].isReady || queued[2].isReady, equals: false)
    pool.terminate()
    try pool.join(timeout: .seconds(10))
  }

  /// Of a pool's program the fork server is the only one.
  static func children() -> [Int32] { ProcessFiles.children ?? [] }
}
