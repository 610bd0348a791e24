import Glibc
import Multiprocessing
import TestSupport

/// Pools of a program that is short of something.
enum ScarcityScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "few-descriptors": fewDescriptors, "no-thread": noThread,
  ]

  /// Does `body` with another limit of this process.
  private static func limited<Value>(
    _ resource: __rlimit_resource, to count: UInt, _ body: () throws -> Value
  ) rethrows -> Value {
    let resource = __rlimit_resource_t(resource.rawValue)
    var limit = rlimit()
    getrlimit(resource, &limit)
    let before = limit.rlim_cur
    limit.rlim_cur = count
    check(setrlimit(resource, &limit), equals: 0)
    defer {
      limit.rlim_cur = before
      setrlimit(resource, &limit)
    }
    return try body()
  }

  /// Seconds of a processor that this process has used.
  private static var processorTime: Double {
    var use = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &use)
    let microseconds = use.ru_utime.tv_usec + use.ru_stime.tv_usec
    return Double(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + Double(microseconds) / 1e6
  }

  /// The program may have fewer descriptors open than its pool watches: poll(2) refuses them. The
  /// pool goes on, and does not spin.
  static func fewDescriptors() throws {
    try Pool.with(processes: 4) { pool in
      try check(try pool.map(Tasks.square, 0..<10), equals: CallScenarios.squares)
      try limited(RLIMIT_NOFILE, to: 4) {
        let before = processorTime
        let times = [Int](repeating: 500, count: 4)
        try check(try pool.map(Tasks.wait, times, chunkSize: 1), equals: times)
        check(processorTime - before < 0.1, "it used \(processorTime - before) s")
      }
    }
  }

  /// Who passes a callback hears that there is no thread for it.
  static func noThread() throws {
    try Pool.with(processes: 1) { pool in
      // The supervisor's first memory: while glibc makes an arena, more is mapped than stays.
      try check(try pool.apply(Tasks.square, 1), equals: 1)
      let size = ProcessFiles.contents(of: "/proc/self/statm")?.split(separator: " ").first
      let bytes = (size.flatMap { UInt($0) } ?? 0) * UInt(sysconf(Int32(_SC_PAGESIZE)))
      try limited(RLIMIT_AS, to: bytes + 4 << 20) {
        let error = thrown(SystemCallError.self) {
          try pool.applyAsync(Tasks.square, 2, callback: { _ in fail("a callback") })
        }
        check(error, equals: SystemCallError("pthread_create", number: EAGAIN))
        try check(try pool.apply(Tasks.square, 3), equals: 9)
      }
      let result = try pool.applyAsync(
        Tasks.square, 2, callback: { _ in try check(try pool.apply(Tasks.square, 3), equals: 9) })
      try check(try result.get(), equals: 4)
    }
  }
}
