import Glibc
import Multiprocessing
import TestSupport

/// Figures rather than rows: run by hand, of a release build.
enum Measures {
  static let all: [String: ConformanceProgram.Row] = ["thousand": thousand]

  /// 1,000 processes, ten at a time, started and joined; 100 by `spawn`, which takes longer.
  private static func thousand(_ context: Context) throws {
    let count = context == .spawn ? 100 : 1_000
    let begin = now()
    for _ in 0..<count / 10 {
      let processes = (0..<10).map { _ in Process(ProcessTasks.leave, 0) }
      for process in processes { try process.start() }
      for process in processes { try process.join() }
      try check(processes.map { try $0.exitcode! } == .init(repeating: 0, count: 10), "exit codes")
    }
    let rate = Int(Double(count) / (now() - begin))
    print("\(count) processes by \(context.startMethod.rawValue): \(rate) a second")
  }
}
