import Glibc
import Multiprocessing
import Synchronization
import TestSupport

/// Rows L1 to L11 and L18 to L27: one task for one argument and for many.
enum CallScenarios {
  static let squares = (0..<10).map { $0 * $0 }
  static let manySquares = (0..<100).map { $0 * $0 }

  static let all: [String: @Sendable () throws -> Void] = [
    "L1": apply, "L2": map, "L3": starmap, "L4": starmapAsync, "L5": mapAsync, "L6": callbacks,
    "L7": unencodable, "L8": mapChunkSize, "L9": failingInput, "L10": async, "L11": timeout,
    "L18": empty, "L20": traceback, "L21": typedError, "L22": noFailFast, "L23": releases,
    "L26": errorCallback, "L27": unencodableResult, "L37": failingCallback,
    "chunks": chunks, "unknown-task": unknownTask, "broken-argument": brokenArgument,
    "one-way-error": oneWayError, "large": large, "first-order": firstOrder,
  ]

  static func apply() throws {
    try Pool.with(processes: 2) { pool in
      try check(try pool.apply(Tasks.square, 5), equals: 25)
      try check(try pool.apply(Tasks.mul, 5, 3), equals: 15)
      try check(try pool.apply(Tasks.nothing), equals: NoResult())
    }
  }

  static func map() throws {
    try Pool.with(processes: 3) { pool in
      try check(try pool.map(Tasks.square, 0..<10), equals: squares)
      try check(try pool.map(Tasks.square, 0..<100, chunkSize: 20), equals: manySquares)
      try check(try pool.map(Tasks.square, 0..<100, chunkSize: 33), equals: manySquares)
    }
  }

  static func starmap() throws {
    try Pool.with(processes: 2) { pool in
      let pairs = Array(zip(0..<100, 1..<101))
      try check(try pool.starmap(Tasks.mul, pairs), equals: pairs.map { $0 * $1 })
      try check(try pool.starmap(Tasks.mul, pairs, chunkSize: 7), equals: pairs.map { $0 * $1 })
      try check(try pool.starmap(Tasks.mul, [(2, 3), (4, 5)]), equals: [6, 20])
    }
  }

  static func starmapAsync() throws {
    try Pool.with(processes: 2) { pool in
      let result = try pool.starmapAsync(Tasks.mul, zip(0..<100, 1..<101))
      try check(try result.get(), equals: zip(0..<100, 1..<101).map { $0 * $1 })
    }
  }

  static func mapAsync() throws {
    try Pool.with(processes: 2) { pool in
      let result = try pool.mapAsync(Tasks.square, 0..<100)
      try check(try result.get(), equals: manySquares)
      try check(try result.get(), equals: manySquares)
      try check(try result.successful(), equals: true)
    }
  }

  static func callbacks() throws {
    let calls = Mutex<[String]>([])
    try Pool.with(processes: 2) { pool in
      let good = try pool.mapAsync(
        Tasks.number, ["1"], callback: { values in calls.withLock { $0.append("\(values)") } },
        errorCallback: { error in calls.withLock { $0.append("\(error)") } })
      check(good.wait(timeout: .seconds(10)), equals: true)
      check(calls.withLock { $0 }, equals: ["[1]"])
      let bad = try pool.mapAsync(
        Tasks.number, ["a"], callback: { values in calls.withLock { $0.append("\(values)") } },
        errorCallback: { error in
          calls.withLock { $0.append((error as? Tasks.ValueError)?.text ?? "\(error)") }
        })
      bad.wait()
      check(calls.withLock { $0 }, equals: ["[1]", "invalid literal: 'a'"])
      // In a callback its own result is not ready, and other results of the pool still come.
      let seen = Mutex<[Bool]>([])
      let box = Mutex<AsyncResult<Int>?>(nil)
      let gate = try pool.applyAsync(Tasks.wait, 50)
      let late = try pool.applyAsync(
        Tasks.wait, 100,
        callback: { _ in
          let isReady = box.withLock { $0?.isReady ?? true }
          let other = try pool.apply(Tasks.square, 3)
          seen.withLock { $0 = [isReady, other == 9] }
        })
      box.withLock { $0 = late }
      try check(try gate.get(), equals: 50)
      try check(try late.get(), equals: 100)
      check(seen.withLock { $0 }, equals: [false, true])
      box.withLock { $0 = nil }
    }
  }

  static func unencodable() throws {
    try Pool.with(processes: 2) { pool in
      for _ in 0..<3 {
        let error = thrown(PoolError.self) {
          try pool.map(Tasks.locked, [Tasks.Locked(), Tasks.Locked()])
        }
        guard case .argumentEncoding(let reason) = error.code else { fail("\(error)") }
        check(reason.contains("locked"), reason)
      }
      try check(try pool.apply(Tasks.square, 5), equals: 25)
    }
  }

  static func mapChunkSize() throws {
    try Pool.with(processes: 2) { pool in
      let calls = Mutex(0)
      let result = try pool.mapAsync(
        Tasks.square, [], chunkSize: 1, callback: { _ in calls.withLock { $0 += 1 } })
      try check(try result.get(timeout: .milliseconds(100)), equals: [])
      check(calls.withLock { $0 }, equals: 0)
      for size in [0, -1] {
        expect(.invalidArgument("Chunksize must be 1+, not \(size)")) {
          try pool.map(Tasks.square, [1, 2, 3], chunkSize: size)
        }
        expect(.invalidArgument("Chunksize must be 1+, not \(size)")) {
          try pool.imap(Tasks.square, [1, 2, 3], chunkSize: size)
        }
      }
    }
  }

  static func failingInput() throws {
    try Pool.with(processes: 2) { pool in
      for place in [0, 3] {
        var next = 0
        let error = thrown(Tasks.PlainError.self) {
          try pool.map(Tasks.square) { () throws -> Int? in
            if next == place { throw Tasks.PlainError(text: "at \(place)") }
            next += 1
            return next
          }
        }
        check(error.text, equals: "at \(place)")
      }
      try check(try pool.map(Tasks.square, 0..<10), equals: squares)
    }
  }

  static func async() throws {
    try Pool.with(processes: 2) { pool in
      let began = now()
      try check(try pool.applyAsync(Tasks.wait, 100).get(), equals: 100)
      check(now() - began >= 0.09, "too fast")
    }
  }

  static func timeout() throws {
    let pool = try Pool(processes: 2)
    let result = try pool.applyAsync(Tasks.wait, 30_000)
    for time in [Duration.milliseconds(100), .zero, .seconds(-1)] {
      check(thrown(TimeoutError.self) { try result.get(timeout: time) }, equals: TimeoutError())
      check(result.wait(timeout: time), equals: false)
    }
    check(result.ready(), equals: false)
    expect(.notReady) { try result.successful() }
    let began = now()
    pool.terminate()
    check(now() - began < 1, "terminate took \(now() - began) s")
    try pool.join()
    check(now() - began < 3, "join took \(now() - began) s")
    expect(.terminated) { try result.get() }
  }

  static func empty() throws {
    let pool = try Pool(processes: 2)
    try check(try pool.map(Tasks.square, []), equals: [])
    try check(try pool.imap(Tasks.square, []).map { try $0.get() }, equals: [])
    try check(try pool.imapUnordered(Tasks.square, []).map { try $0.get() }, equals: [])
    try check(try pool.mapAsync(Tasks.square, []).get(), equals: [])
    pool.close()
    try pool.join()
  }

  static func traceback() throws {
    try Pool.with(processes: 1) { pool in
      let pid = try pool.apply(Tasks.pid, 0)
      let error = thrown(RemoteError.self) { try pool.map(Tasks.plain, [7]) }
      check(error.code, equals: .raised)
      check(error.type, equals: "PlainError")
      check(error.message, equals: "PlainError(text: \"number 7\")")
      check(error.pid, equals: pid)
      for part in ["task 'plain'", "PoolTestProgram/Tasks.swift:", "item 0", "\(pid)"] {
        check(error.traceback.contains(part), error.traceback)
      }
    }
  }

  static func typedError() throws {
    try Pool.with(processes: 2) { pool in
      let result = try pool.applyAsync(Tasks.number, "a")
      for _ in 0..<2 {
        let error = thrown(Tasks.ValueError.self) { try result.get() }
        check(error, equals: Tasks.ValueError(text: "invalid literal: 'a'"))
      }
      try check(try result.successful(), equals: false)
    }
  }

  static func noFailFast() throws {
    let pool = try Pool(processes: 2)
    let began = now()
    let error = thrown(RemoteError.self) { try pool.map(Tasks.failFast, [-1, 500], chunkSize: 1) }
    check(now() - began > 0.45, "it did not wait")
    // An error of more than 64 KiB travels cut, and so not whole.
    check(error.type, equals: "ValueError")
    check(error.message.utf8.count < 70_000, "\(error.message.utf8.count)")
    pool.close()
    try pool.join()
  }

  static func releases() throws {
    try Pool.with(processes: 2) { pool in
      var things = (0..<10).map(Tasks.Thing.init)
      let before = things.map { Weak($0) }
      var results = try pool.map(Tasks.thing, things)
      let after = results.map { Weak($0) }
      check(results.map(\.number), equals: Array(0..<10))
      things = []
      results = []
      check(before.allSatisfy { $0.thing == nil }, "an argument lives on")
      check(after.allSatisfy { $0.thing == nil }, "a result lives on")
    }
  }

  private struct Weak {
    weak var thing: Tasks.Thing?
    init(_ thing: Tasks.Thing) { self.thing = thing }
  }

  static func errorCallback() throws {
    try Pool.with(processes: 2) { pool in
      let told = Mutex<[String]>([])
      let result = try pool.applyAsync(
        Tasks.number, "b", callback: { _ in told.withLock { $0.append("callback") } },
        errorCallback: { error in
          told.withLock { $0.append((error as? Tasks.ValueError)?.text ?? "\(error)") }
        })
      _ = thrown(Tasks.ValueError.self) { try result.get() }
      check(told.withLock { $0 }, equals: ["invalid literal: 'b'"])
    }
  }

  static func unencodableResult() throws {
    try Pool.with(processes: 2) { pool in
      let pids = Set(pool.processIDs)
      for _ in 0..<20 {
        let error = thrown(RemoteError.self) { try pool.apply(Tasks.unencodable, 1) }
        check(error.code, equals: .resultEncoding)
        check(error.message.contains("locked"), error.message)
      }
      check(
        thrown(RemoteError.self) { try pool.apply(Tasks.infinite, 0) }.code,
        equals: .resultEncoding)
      check(Set(pool.processIDs), equals: pids)
    }
  }

  static func failingCallback() throws {
    try Pool.with(processes: 2) { pool in
      let first = try pool.applyAsync(
        Tasks.square, 2, callback: { _ in throw Tasks.PlainError(text: "callback") })
      check(thrown(Tasks.PlainError.self) { try first.get() }.text, equals: "callback")
      let second = try pool.applyAsync(
        Tasks.number, "c", errorCallback: { _ in throw Tasks.PlainError(text: "callback") })
      let error = thrown(CallbackError.self) { try second.get() }
      check(error.error as? Tasks.PlainError, equals: Tasks.PlainError(text: "callback"))
      check(
        error.original as? Tasks.ValueError,
        equals: Tasks.ValueError(text: "invalid literal: 'c'"))
      try check(try pool.apply(Tasks.square, 5), equals: 25)
    }
  }

  /// The first failing item ends its chunk, other chunks run, and one chunk is one call.
  static func chunks() throws {
    let output = NamedPipe()
    try Pool.with(processes: 1) { pool in
      let items = (0..<8).map { (output.path, $0, 1) }
      let error = thrown(Tasks.ValueError.self) {
        try pool.starmap(Tasks.noted, items, chunkSize: 4)
      }
      check(error.text, equals: "1")
      check((0..<6).map { _ in output.line() }, equals: ["0", "1", "4", "5", "6", "7"])
    }
    try Pool.with(processes: 2, maxTasksPerChild: 1) { pool in
      try check(Set(try pool.map(Tasks.pid, 0..<10, chunkSize: 5)).count, equals: 2)
      try check(Set(try pool.map(Tasks.pid, 0..<10, chunkSize: 1)).count, equals: 10)
    }
  }

  /// Calls that a worker has, and gives back because the one before takes its time, start in the
  /// order in which they were made.
  static func firstOrder() throws {
    let output = NamedPipe()
    try Pool.with(processes: 1) { pool in
      // After short calls a worker has many at a time.
      _ = try pool.map(Tasks.square, 0..<300, chunkSize: 1)
      let long = try pool.applyAsync(Tasks.wait, 100)
      let others = try (0..<60).map { try pool.applyAsync(Tasks.noted, output.path, $0, -1) }
      try check(try long.get(), equals: 100)
      try check(try others.map { try $0.get() }, equals: Array(0..<60))
      check((0..<60).map { _ in output.line() }, equals: (0..<60).map { "\($0)" })
      // The same when a worker dies that has them.
      let dying = try pool.applyAsync(Tasks.die, SIGKILL)
      let later = try (0..<30).map { try pool.applyAsync(Tasks.noted, output.path, $0, -1) }
      _ = thrown(PoolError.self) { try dying.get() }
      try check(try later.map { try $0.get() }, equals: Array(0..<30))
      check((0..<30).map { _ in output.line() }, equals: (0..<30).map { "\($0)" })
    }
  }

  static func unknownTask() throws {
    try Pool.with(processes: 1) { pool in
      let error = thrown(ProgramError.self) { try pool.apply(Tasks.unheard, 1) }
      check(error.code, equals: .unknownTask("unheard"))
      _ = thrown(ProgramError.self) { try pool.imap(Tasks.unheard, [1]) }
    }
  }

  static func brokenArgument() throws {
    try Pool.with(processes: 1) { pool in
      let pids = pool.processIDs
      let error = thrown(RemoteError.self) { try pool.apply(Tasks.broken, Tasks.Broken()) }
      check(error.code, equals: .argumentDecoding)
      check(error.message.contains("broken on arrival"), error.message)
      check(pool.processIDs, equals: pids)
    }
  }

  static func oneWayError() throws {
    try Pool.with(processes: 1) { pool in
      let error = thrown(RemoteError.self) { try pool.apply(Tasks.oneWay, 1) }
      check(error.type, equals: "OneWayError")
      try check(try pool.apply(Tasks.square, 5), equals: 25)
    }
  }

  static func large() throws {
    try Pool.with(processes: 2) { pool in
      let rows = (0..<4).map { row in (0..<500_000).map { $0 + row } }
      let things = rows.map { $0.map { $0 * $0 } }
      try check(try pool.map(Tasks.square, rows.flatMap { $0 }), equals: things.flatMap { $0 })
    }
  }
}
