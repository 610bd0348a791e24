import Glibc
import Multiprocessing
import Synchronization
import TestSupport

/// Rows L12 to L15 and L36: results one by one.
enum StreamScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "L12": imap, "L13": failingInput, "L14": imapUnordered, "L15": failingInputUnordered,
    "L36": bounded, "imap-timeout": timeout, "imap-errors": errors, "imap-closed": closed,
    "imap-terminated": terminated, "imap-dropped": dropped, "imap-feedback": feedback,
    "imap-endless-join": endlessJoin, "imap-input-waits": inputWaits,
  ]

  static func imap() throws {
    try Pool.with(processes: 2) { pool in
      try check(
        try pool.imap(Tasks.square, 0..<10).map { try $0.get() }, equals: CallScenarios.squares)
      let iterator = try pool.imap(Tasks.square, 0..<10)
      for number in 0..<10 { try check(try iterator.next(timeout: nil), equals: number * number) }
      try check(try iterator.next(timeout: nil), equals: nil)
      try check(try iterator.next(timeout: .zero), equals: nil)
      try check(
        try pool.imap(Tasks.square, 0..<1000, chunkSize: 100).map { try $0.get() },
        equals: (0..<1000).map { $0 * $0 })
    }
  }

  /// Counts up from 0 and throws at `place`.
  private static func failing(at place: Int) -> () throws -> Int? {
    var next = 0
    return {
      if next == place { throw Tasks.PlainError(text: "at \(place)") }
      defer { next += 1 }
      return next
    }
  }

  static func failingInput() throws {
    try Pool.with(processes: 2) { pool in
      for (place, size, count) in [(0, 1, 0), (3, 1, 3), (7, 2, 6), (7, 4, 4)] {
        let iterator = try pool.imap(Tasks.square, chunkSize: size, next: failing(at: place))
        for number in 0..<count {
          try check(try iterator.next(timeout: nil), equals: number * number)
        }
        let error = thrown(Tasks.PlainError.self) { try iterator.next(timeout: nil) }
        check(error.text, equals: "at \(place)")
        try check(try iterator.next(timeout: nil), equals: nil)
      }
    }
  }

  static func imapUnordered() throws {
    try Pool.with(processes: 3) { pool in
      for size in [1, 100] {
        let results = try pool.imapUnordered(Tasks.square, 0..<1000, chunkSize: size)
        try check(try results.map { try $0.get() }.sorted(), equals: (0..<1000).map { $0 * $0 })
      }
      // In the order of arrival.
      let times = try pool.imapUnordered(Tasks.wait, [400, 10]).map { try $0.get() }
      check(times, equals: [10, 400])
    }
  }

  static func failingInputUnordered() throws {
    try Pool.with(processes: 2) { pool in
      for place in [0, 3, 30] {
        var numbers: Set<Int> = []
        var errors = 0
        for result in try pool.imapUnordered(Tasks.square, next: failing(at: place)) {
          switch result {
          case .success(let number): check(numbers.insert(number).inserted, "\(number) twice")
          case .failure: errors += 1
          }
        }
        check(numbers, equals: Set((0..<place).map { $0 * $0 }))
        check(errors, equals: 1)
      }
    }
  }

  /// No more is taken in than the window, from an input without end.
  static func bounded() throws {
    var pipes: [BytePipe] = []  // The inputs use them until the pool has ended.
    defer {
      for pipe in pipes {
        pipe.end()
        pipe.endReading()
      }
    }
    try Pool.with(processes: 2) { pool in
      var iterators: [PoolIterator<Int>] = []
      for (buffer, size) in [(0, 1), (3, 1), (0, 5)] {
        let taken = Mutex(0)
        let told = BytePipe()
        let iterator = try pool.imap(
          Tasks.square, chunkSize: size, bufferSize: buffer,
          next: {
            taken.withLock { count in
              count += 1
              told.say(1)
              return count
            }
          })
        let window = (4 + buffer) * size
        for _ in 0..<window { check(told.hear(), equals: 1) }
        for number in 1...50 {
          try check(try iterator.next(timeout: nil), equals: number * number)
          // With its first result the whole chunk is handed on.
          let ahead = taken.withLock { $0 } - (number + size - 1) / size * size
          check(ahead <= window, "\(ahead) ahead")
        }
        iterators.append(iterator)
        pipes.append(told)
      }
      var sum = 0
      for result in try pool.imap(Tasks.square, 0...) {
        sum += try result.get()
        if sum > 1000 { break }
      }
      check(sum, equals: (0...14).map { $0 * $0 }.reduce(0, +))
    }
  }

  static func timeout() throws {
    try Pool.with(processes: 1) { pool in
      let iterator = try pool.imap(Tasks.wait, [200, 1])
      for time in [Duration.milliseconds(10), .zero, .seconds(-1)] {
        _ = thrown(TimeoutError.self) { try iterator.next(timeout: time) }
      }
      try check(try iterator.next(timeout: .seconds(10)), equals: 200)
      try check(try iterator.next(timeout: .seconds(10)), equals: 1)
      // The input is asked for more once there is room, and only then found to be at its end.
      try check(try iterator.next(timeout: .seconds(10)), equals: nil)
    }
  }

  /// The failure of an item, or its worker, does not end the others.
  static func errors() throws {
    try Pool.with(processes: 2) { pool in
      let iterator = try pool.imap(Tasks.number, ["1", "a", "3", "b", "5"])
      try check(try iterator.next(timeout: nil), equals: 1)
      _ = thrown(Tasks.ValueError.self) { try iterator.next(timeout: nil) }
      try check(try iterator.next(timeout: nil), equals: 3)
      check(iterator.map { (try? $0.get()) ?? -1 }, equals: [-1, 5])
      let chunks = try pool.imap(Tasks.number, ["1", "a", "3", "4"], chunkSize: 2)
      check(chunks.map { (try? $0.get()) ?? -1 }, equals: [-1, 3, 4])
      let dying = try pool.imap(Tasks.die, [SIGKILL, SIGTERM])
      for result in dying {
        guard case .failure(let error as PoolError) = result, case .workerLost = error.code else {
          fail("\(result)")
        }
      }
    }
  }

  /// What began before `close` goes on after it, even if nobody asks until the pool is joined.
  static func closed() throws {
    let pool = try Pool(processes: 2)
    let first = try pool.imap(Tasks.square, 0..<100)
    pool.close()
    expect(.notRunning) { try pool.imap(Tasks.square, [1]) }
    try check(try first.map { try $0.get() }, equals: CallScenarios.manySquares)
    try pool.join()

    let other = try Pool(processes: 2)
    let second = try other.imapUnordered(Tasks.square, 0..<100)
    other.close()
    try other.join(timeout: .seconds(10))
    try check(try second.map { try $0.get() }.sorted(), equals: CallScenarios.manySquares)
  }

  static func terminated() throws {
    let pool = try Pool(processes: 2)
    let idle = try pool.imap(Tasks.square, 0...)
    let busy = try pool.imap(Tasks.wait, [30_000, 30_000, 30_000])
    let unordered = try pool.imapUnordered(Tasks.wait, [30_000, 30_000, 30_000])
    pool.terminate()
    var results = 0
    while let result = idle.next() {
      if case .failure(let error as PoolError) = result {
        check(error.code, equals: .terminated)
      }
      results += 1
      check(results < 10, "it goes on")
    }
    // One for each chunk that was taken in, and one for the rest of the input.
    for iterator in [busy, unordered] {
      let errors = iterator.map { result -> PoolError.Code? in
        if case .failure(let error as PoolError) = result { error.code } else { nil }
      }
      check((1...4).contains(errors.count) && errors.allSatisfy { $0 == .terminated }, "\(errors)")
    }
    try pool.join()
  }

  /// An iterator that is dropped does not keep a closed pool from ending.
  static func dropped() throws {
    let pool = try Pool(processes: 2)
    _ = try pool.imap(Tasks.square, 0...)
    pool.close()
    try pool.join(timeout: .seconds(10))
  }

  /// The input waits for what is done with the result before: as when results lead to more items.
  static func feedback() throws {
    try Pool.with(processes: 2) { pool in
      for isOrdered in [true, false] {
        let items = BytePipe()
        let next: @Sendable () -> Int? = { items.hear().map { Int($0) } }
        items.say(1)
        let iterator =
          try isOrdered
          ? pool.imap(Tasks.square, next: next) : pool.imapUnordered(Tasks.square, next: next)
        for number in 1...20 {
          try check(try iterator.next(timeout: .seconds(10)), equals: number * number)
          // It does not wait for the input longer than it is told to.
          let began = now()
          _ = thrown(TimeoutError.self) { try iterator.next(timeout: .milliseconds(1)) }
          check(now() - began < 5, "it took \(now() - began) s")
          items.say(UInt8(number + 1))
        }
        try check(try iterator.next(timeout: .seconds(10)), equals: 21 * 21)
        items.end()
        try check(try iterator.next(timeout: .seconds(10)), equals: nil)
        items.endReading()
      }
    }
  }

  /// A time limit holds for an input without end as well.
  static func endlessJoin() throws {
    let pool = try Pool(processes: 2)
    let iterator = try pool.imap(Tasks.square, 0...)
    pool.close()
    let began = now()
    _ = thrown(TimeoutError.self) { try pool.join(timeout: .milliseconds(50)) }
    check(now() - began < 10, "it took \(now() - began) s")
    try check(try iterator.next(timeout: .seconds(10)), equals: 0)
    pool.terminate()
    try pool.join(timeout: .seconds(10))
  }

  /// A terminated pool does not wait for an input that waits.
  static func inputWaits() throws {
    let items = BytePipe()
    let ended = BytePipe()
    try Pool.with(processes: 2) { pool in
      items.say(3)
      let iterator = try pool.imap(
        Tasks.square,
        next: {
          let item = items.hear()
          if item == nil { ended.say(1) }
          return item.map { Int($0) }
        })
      try check(try iterator.next(timeout: nil), equals: 9)
    }
    items.end()
    check(ended.hear(), equals: 1)
    ended.end()
    for pipe in [items, ended] { pipe.endReading() }
  }
}
