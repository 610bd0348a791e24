/// How fast jobs have been ending lately, so that a full queue can say when to come back.
struct DrainRate: Equatable, Sendable {
  private static let window: UInt64 = 1_000_000_000
  /// What is answered while nothing is known, in seconds.
  private static let secondsUnknown = 5
  /// The longest wait that is asked of a client, in seconds: what is estimated for longer is not
  /// worth much.
  private static let secondsMax = 60.0

  private var windowStart: Instant?
  private var endedInWindow = 0
  /// Jobs per second, as of the last window that is over; 0: none is.
  private(set) var jobsPerSecond = 0.0

  /// Notes that a job ended.
  mutating func jobEnded(at instant: Instant) {
    guard let start = windowStart else {
      windowStart = instant
      endedInWindow = 1
      return
    }
    endedInWindow += 1
    guard instant.nanoseconds &- start.nanoseconds >= DrainRate.window else { return }
    jobsPerSecond = rate(at: instant)
    windowStart = instant
    endedInWindow = 0
  }

  /// Jobs per second as of `instant`. What was before the window weighs as much as one second of
  /// it: the longer nothing ends, the less is left of a rate that once was.
  private func rate(at instant: Instant) -> Double {
    guard let start = windowStart, instant > start else { return jobsPerSecond }
    let elapsed = instant.nanoseconds - start.nanoseconds
    guard elapsed >= DrainRate.window else { return jobsPerSecond }
    let seconds = Double(elapsed) / 1e9
    if jobsPerSecond == 0 { return Double(endedInWindow) / seconds }
    return (jobsPerSecond + Double(endedInWindow)) / (1 + seconds)
  }

  /// Seconds until `needed` jobs, and a hundredth of `count` if that is more, have ended at this
  /// rate: between 1 and 60. The hundredth is for those who come back together.
  func secondsUntilRoom(of count: Int, needing needed: Double = 1, at instant: Instant) -> Int {
    let rate = rate(at: instant)
    guard rate > 0 else { return DrainRate.secondsUnknown }
    let seconds = max(needed, Double(count) / 100) / rate
    return Int(min(max(seconds, 1), DrainRate.secondsMax).rounded(.up))
  }
}
