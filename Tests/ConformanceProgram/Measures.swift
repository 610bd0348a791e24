import Glibc
import Multiprocessing

/// Figures rather than rows: run by hand, of a release build.
enum Measures {
  static let all: [String: ConformanceProgram.Row] = ["thousand": thousand]

  /// 1,000 processes, ten at a time, started and joined.
  private static func thousand(_ context: Context) throws {
    let begin = clock()
    for _ in 0..<100 {
      let processes = (0..<10).map { _ in Process(ProcessTasks.leave, 0) }
      for process in processes { try process.start() }
      for process in processes { try process.join() }
      try check(processes.map { try $0.exitcode! } == .init(repeating: 0, count: 10), "exit codes")
    }
    let rate = Int(1_000 / (clock() - begin))
    print("1,000 processes by \(context.startMethod.rawValue): \(rate) a second")
  }

  /// Seconds of the monotonic clock.
  private static func clock() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
