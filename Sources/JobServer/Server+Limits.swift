import JobCore
import Multiprocessing

/// What attempts use, where their task has limits. A call that passes one is ended by the engine.
extension Server {
  /// An attempt begins, in a process of its own (`isFresh`) or in a worker.
  func watchUsage(of call: CallID, task: String, process: Int32, isFresh: Bool) {
    guard let limits = taskSettings[task]?.limits.usage else { return }
    usage.begin(
      call: call.rawValue, process: process, limits: limits, isFresh: isFresh,
      at: now.instant.nanoseconds)
  }

  /// Reads what is due.
  func passUsageTime() {
    let nanoseconds = now.instant.nanoseconds
    guard let due = usage.nextDeadline, due <= nanoseconds else { return }
    for passed in usage.deadlineReached(at: nanoseconds) {
      guard let limit = JobCore.PassedLimit(passed.limit) else { continue }
      decide(.callPassedLimit(CallID(rawValue: passed.call), limit))
    }
  }

  /// A call is over.
  func endUsage(with event: Event) {
    switch event {
    case .callReturned(let call, _), .callReturnedBytes(let call, _), .callRaised(let call, _),
      .callLost(let call, _):
      usage.end(call: call.rawValue)
    default: break
    }
  }
}

extension JobCore.PassedLimit {
  /// In the engine's words; nil for what is not watched.
  fileprivate init?(_ passed: Multiprocessing.PassedLimit) {
    switch passed.kind {
    case .cpuTime: self = .cpu(limit: passed.max, used: passed.used ?? passed.max)
    case .memory: self = .memory(limit: passed.max, used: passed.used ?? passed.max)
    case .fileSize: return nil
    }
  }
}
