/// How fast jobs have been ending lately, so that a full queue can say when to come back.
struct DrainRate: Equatable, Sendable {
  private static let window: UInt64 = 1_000_000_000

  private var windowStart: Instant?
  private var endedInWindow = 0
  /// Jobs per second, smoothed over the last windows.
  private(set) var jobsPerSecond = 0.0

  /// Notes that a job ended.
  mutating func jobEnded(at instant: Instant) {
    guard let start = windowStart else {
      windowStart = instant
      endedInWindow = 1
      return
    }
    endedInWindow += 1
    let elapsed = instant.nanoseconds &- start.nanoseconds
    guard elapsed >= DrainRate.window else { return }
    let rate = Double(endedInWindow) * 1e9 / Double(elapsed)
    jobsPerSecond = jobsPerSecond == 0 ? rate : (jobsPerSecond + rate) / 2
    windowStart = instant
    endedInWindow = 0
  }

  /// Seconds until a hundredth of `count` jobs has ended at this rate: between 1 and 60.
  func secondsUntilRoom(of count: Int) -> Int {
    guard jobsPerSecond > 0 else { return 5 }
    return Int(min(max(Double(count) / 100 / jobsPerSecond, 1), 60).rounded(.up))
  }
}
