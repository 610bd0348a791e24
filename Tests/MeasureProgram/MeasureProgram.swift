import Glibc
import Multiprocessing

/// What the library takes for one thing, as one number; Tests/measure/peer.py does the same in
/// Python, and Tests/measure.sh sets both side by side.
///
///     MeasureProgram PART METHOD COUNT
@main
enum MeasureProgram {
  static let square = TaskDefinition<Int, Int>("square") { $0 * $0 }
  static let leave = TaskDefinition<NoArgument, NoResult>("leave") { _ in NoResult() }
  static let echo = TaskDefinition<Connection, NoResult>("echo") { connection in
    defer { connection.close() }
    do {
      while true { try connection.send(connection.receive(Int.self)) }
    } catch let error as ConnectionError where error.code == .endOfFile {
      return NoResult()
    }
  }
  static let fill = TaskDefinition<Arguments<Queue<Int>, Int>, NoResult>("fill") { queue, count in
    for number in 0..<count { try queue.put(number) }
    return NoResult()
  }

  static func main() throws {
    bootstrap([square, leave, echo, fill])
    let arguments = CommandLine.arguments
    guard arguments.count == 4, let part = parts[arguments[1]], let count = Int(arguments[3]),
      let method = StartMethod(rawValue: arguments[2])
    else {
      print("usage: MeasureProgram PART METHOD COUNT; PART: \(parts.keys.sorted())")
      exit(64)
    }
    try setStartMethod(method)
    print(try part(count))
  }

  /// Each answers seconds for `count` of what it does.
  static let parts: [String: @Sendable (Int) throws -> Double] = [
    "map": map, "apply-async": applyAsync, "apply": apply, "imap": imap,
    "imap-ahead": imapAhead, "processes": processes, "lifetime": lifetime, "large-pool": largePool,
    "pipe": pipe,
    "queue": queue, "lock": lock, "value": value,
  ]

  /// Seconds that `body` takes.
  static func time(_ body: () throws -> Void) rethrows -> Double {
    let begin = clock()
    try body()
    return clock() - begin
  }

  private static func clock() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  // MARK: Pools

  /// `count` squares by one `map`, with two workers that have run something before.
  static func map(_ count: Int) throws -> Double {
    try Pool.with(processes: 2) { pool in
      _ = try pool.map(square, 0..<100)
      return try time { _ = try pool.map(square, 0..<count) }
    }
  }

  static func applyAsync(_ count: Int) throws -> Double {
    try Pool.with(processes: 2) { pool in
      _ = try pool.map(square, 0..<100)
      return try time {
        let results = try (0..<count).map { try pool.applyAsync(square, $0) }
        for result in results { _ = try result.get() }
      }
    }
  }

  static func apply(_ count: Int) throws -> Double {
    try Pool.with(processes: 2) { pool in
      _ = try pool.map(square, 0..<100)
      return try time { for number in 0..<count { _ = try pool.apply(square, number) } }
    }
  }

  static func imap(_ count: Int) throws -> Double { try imap(count, bufferSize: 0) }

  /// As far ahead as Python's goes without being told.
  static func imapAhead(_ count: Int) throws -> Double { try imap(count, bufferSize: 1_000) }

  private static func imap(_ count: Int, bufferSize: Int) throws -> Double {
    try Pool.with(processes: 2) { pool in
      _ = try pool.map(square, 0..<100)
      return try time {
        for result in try pool.imap(square, 0..<count, bufferSize: bufferSize) {
          _ = try result.get()
        }
      }
    }
  }

  /// `count` tasks, each in a process of its own, with four at a time.
  static func lifetime(_ count: Int) throws -> Double {
    try time {
      try Pool.with(processes: 4, maxTasksPerChild: 1) { pool in
        _ = try pool.map(square, 0..<count, chunkSize: 1)
      }
    }
  }

  /// A pool of `count` workers: made, used by ten tasks each, ended.
  static func largePool(_ count: Int) throws -> Double {
    try time {
      try Pool.with(processes: count) { pool in
        _ = try pool.map(square, 0..<count * 10, chunkSize: 1)
      }
    }
  }

  // MARK: Processes

  /// `count` processes, ten at a time, started and joined.
  static func processes(_ count: Int) throws -> Double {
    try time {
      for _ in 0..<count / 10 {
        let processes = (0..<10).map { _ in Process(leave, NoArgument()) }
        for process in processes { try process.start() }
        for process in processes { try process.join() }
      }
    }
  }

  // MARK: Exchange and shared state

  /// `count` round trips through a pipe.
  static func pipe(_ count: Int) throws -> Double {
    let (ours, theirs) = try Pipe()
    let child = Process(echo, theirs)
    try child.start()
    theirs.close()
    try ours.send(0)
    _ = try ours.receive(Int.self)
    let taken = try time {
      for number in 0..<count {
        try ours.send(number)
        _ = try ours.receive(Int.self)
      }
    }
    try child.terminate()
    try child.join()
    return taken
  }

  /// `count` items from a child.
  static func queue(_ count: Int) throws -> Double {
    let queue = try Queue<Int>()
    let child = Process(fill, Arguments(queue, count))
    try child.start()
    _ = try queue.get()
    let taken = try time { for _ in 1..<count { _ = try queue.get() } }
    try child.join()
    return taken
  }

  /// `count` times taken and given back, by one process.
  static func lock(_ count: Int) throws -> Double {
    let lock = try Lock()
    return try time {
      for _ in 0..<count {
        _ = try lock.acquire()
        try lock.release()
      }
    }
  }

  /// `count` additions under the value's own lock, by one process.
  static func value(_ count: Int) throws -> Double {
    let value = try Shared.Value(0)
    return try time { for _ in 0..<count { try value.withLock { $0 += 1 } } }
  }
}
