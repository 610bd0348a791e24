import Glibc
import Multiprocessing
import TestSupport

/// Tasks that reach for the channel of their worker.
enum ChannelScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "channel-busy": busy, "channel-returning": returning, "channel-idle": idle,
    "channel-replaced": replaced, "channel-held": held,
  ]

  static let andGoOn = TaskDefinition<ChannelDeed, Int>("deedAndOn") { deed in
    deed.perform()
    while true { pause() }
  }
  static let andReturn = TaskDefinition<ChannelDeed, Int>("deed") { deed in
    deed.perform()
    return 1
  }
  static let atSignal = TaskDefinition<ChannelDeed, Int32>("deedAtSignal") { deed in
    deed.performAtSignal()
    return getpid()
  }
  static let replaceAll = TaskDefinition<String, Int>("replaceAll") { path in
    ChannelDeed.replaceAll(by: path)
    return 1
  }
  /// Starts a process that has all that this one has, in a session of its own.
  static let fork = TaskDefinition<Int, Int32>("fork") { _ in
    let address = dlsym(nil, "fork")
    let process = unsafeBitCast(address, to: (@convention(c) () -> pid_t).self)()
    if process > 0 { return getpid() }
    setsid()
    while true { pause() }
  }
  static let length = TaskDefinition<String, Int>("length") { $0.utf8.count }

  static let registered: [any RegistrableTask] = [
    andGoOn, andReturn, atSignal, replaceAll, fork, length,
  ]

  /// The next worker takes calls, also one that a socket does not take at once; and nobody spins.
  private static func checkWorks(_ pool: Pool) throws {
    let text = String(repeating: "x", count: 300_000)
    try check(try pool.applyAsync(length, text).get(timeout: .seconds(10)), equals: 300_000)
    let before = clock()
    try check(try pool.apply(Tasks.wait, 300), equals: 300)
    let used = Double(clock() - before) / Double(CLOCKS_PER_SEC)
    check(used < 0.15, "\(used) s of CPU time in 0.3 s")
  }

  /// Workers that go on when they cannot be reached any more are killed.
  static func busy() throws {
    try Pool.with(processes: ChannelDeed.allCases.count) { pool in
      let began = now()
      let results = try ChannelDeed.allCases.map { try pool.applyAsync(andGoOn, $0) }
      for result in results {
        let error = thrown(PoolError.self) { try result.get(timeout: .seconds(10)) }
        guard case .workerLost(_, -SIGKILL, let reason?) = error.code else { fail("\(error)") }
        check(reason, equals: "the worker closed its channel and went on")
      }
      check(now() - began < 5, "it took \(now() - began) s")
      try checkWorks(pool)
    }
  }

  /// One that returns ends by itself; if its answer arrives, it counts.
  static func returning() throws {
    try Pool.with(processes: 1) { pool in
      for deed in ChannelDeed.allCases {
        let result = try pool.applyAsync(andReturn, deed)
        if deed.leavesAnswers {
          try check(try result.get(timeout: .seconds(5)), equals: 1)
        } else {
          let error = thrown(PoolError.self) { try result.get(timeout: .seconds(5)) }
          guard case .workerExited(_, 0) = error.code else { fail("\(error)") }
        }
        try checkWorks(pool)
      }
    }
  }

  /// What happens between two calls is noticed before there is another.
  static func idle() throws {
    try Pool.with(processes: 1) { pool in
      for deed in ChannelDeed.allCases {
        let process = try pool.apply(atSignal, deed)
        kill(process, SIGUSR1)
        waitForEnd(of: process)
        try checkWorks(pool)
      }
    }
  }

  /// Waits until a process that is not this one's child has ended.
  private static func waitForEnd(of process: Int32) {
    let began = now()
    while kill(process, 0) == 0 {
      check(now() - began < 5, "\(process) is still there")
      sched_yield()
    }
  }

  /// Nothing is written to what has the numbers of the channel by now.
  static func replaced() throws {
    let file = NamedPipe()
    try Pool.with(processes: 1) { pool in
      let result = try pool.applyAsync(replaceAll, file.path)
      let error = thrown(PoolError.self) { try result.get(timeout: .seconds(5)) }
      guard case .workerExited(_, 0) = error.code else { fail("\(error)") }
      check(file.isEmpty)
      try checkWorks(pool)
    }
  }

  /// A worker is gone when it has ended, whoever still holds its pipe.
  static func held() throws {
    try Pool.with(processes: 1) { pool in
      let process = try pool.apply(fork, 0)
      kill(process, SIGKILL)
      try checkWorks(pool)
    }
  }
}
