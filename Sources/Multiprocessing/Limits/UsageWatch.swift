/// Watches what one call uses. A value that decides: whoever owns it does the readings.
///
/// There is no interval. Each reading tells the earliest moment at which a limit could be passed,
/// and that is when the next one is due: CPU time grows by no more than the number of CPUs for each
/// second, memory by no more than pages can be made. So a call far below its limits costs a reading
/// now and then, and one that is about to pass them is read every `intervalMin`.
public struct UsageWatch: Equatable, Sendable {
  /// What a reading says.
  public enum Verdict: Equatable, Sendable {
    /// No limit has been passed, nor can one be before this moment, or not by much.
    case within(nextReadingAt: UInt64)
    /// The call has used this many microseconds, more than it may.
    case cpuPassed(used: UInt64)
    /// The call holds this many bytes, more than it may.
    case memoryPassed(used: UInt64)
  }

  /// The shortest time between two readings, in nanoseconds: 5 ms. Shorter would tell little more:
  /// the kernel adds a running thread's time to its account every 1 to 10 ms.
  public static let intervalMin: UInt64 = 5_000_000
  /// The longest time until the next reading for a limit on memory, in nanoseconds: 1 s. The
  /// growth below is an estimate; this bounds what a wrong one costs.
  public static let memoryIntervalMax: UInt64 = 1_000_000_000
  /// How fast memory may grow, in bytes for each microsecond: 8 GiB/s. Measured here, one thread
  /// touches fresh pages at 1 GiB/s, has them made at 1.7 GiB/s (`MADV_POPULATE_WRITE`) and, as
  /// huge pages, at 6 GiB/s.
  static let growthBytesPerMicrosecond: UInt64 = 8590

  /// What is allowed.
  public let limits: UsageLimits
  /// When the next reading is due.
  public private(set) var nextReadingAt: UInt64
  private var baseline: ResourceReading
  private let cpuCount: UInt64
  /// The most that any reading has shown: one that misses a process gives nothing back.
  private var cpuMicroseconds: UInt64 = 0

  /// A watch for a call that begins now, in a process that has used `baseline` before: that is not
  /// the call's. For a process that is there for this call only, it is `.zero`. `now` is in
  /// nanoseconds of the monotonic clock, as all moments here; `cpuCount` says how many CPUs the
  /// call can keep busy.
  public init(
    _ limits: UsageLimits, baseline: ResourceReading, cpuCount: Int, at now: UInt64
  ) {
    precondition(cpuCount > 0)
    self.limits = limits
    self.baseline = baseline
    self.cpuCount = UInt64(cpuCount)
    nextReadingAt = 0
    nextReadingAt = nextReading(cpuMicroseconds: 0, memoryBytes: 0, at: now)
  }

  /// Takes a reading that was made now. A limit itself may be used up; beyond it the verdict is the
  /// same at every reading. Memory goes first if both are passed, as it is what hurts others.
  ///
  /// A reading of another process, which has been given the number of one that is gone, is ignored.
  public mutating func read(_ reading: ResourceReading, at now: UInt64) -> Verdict {
    if baseline.startedAt == 0 { baseline.startedAt = reading.startedAt }
    guard reading.startedAt == baseline.startedAt else {
      nextReadingAt = now &+ Self.memoryIntervalMax
      return .within(nextReadingAt: nextReadingAt)
    }
    let memory = reading.memoryBytes - min(reading.memoryBytes, baseline.memoryBytes)
    let cpu = reading.cpuMicroseconds - min(reading.cpuMicroseconds, baseline.cpuMicroseconds)
    cpuMicroseconds = max(cpuMicroseconds, cpu)
    if let most = limits.memoryBytes, memory > most { return .memoryPassed(used: memory) }
    if let most = limits.cpuMicroseconds, cpuMicroseconds > most {
      return .cpuPassed(used: cpuMicroseconds)
    }
    nextReadingAt = nextReading(cpuMicroseconds: cpuMicroseconds, memoryBytes: memory, at: now)
    return .within(nextReadingAt: nextReadingAt)
  }

  /// The earliest moment at which a limit could be passed, from what is used now.
  private func nextReading(
    cpuMicroseconds: UInt64, memoryBytes: UInt64, at now: UInt64
  ) -> UInt64 {
    var wait = UInt64.max
    if let most = limits.cpuMicroseconds {
      let (nanoseconds, overflows) =
        ((most - cpuMicroseconds) / cpuCount).multipliedReportingOverflow(by: 1000)
      wait = overflows ? .max : nanoseconds
    }
    if let most = limits.memoryBytes {
      let nanoseconds = (most - memoryBytes) / Self.growthBytesPerMicrosecond * 1000
      wait = min(wait, nanoseconds, Self.memoryIntervalMax)
    }
    let (moment, overflows) = now.addingReportingOverflow(max(wait, Self.intervalMin))
    return overflows ? .max : moment
  }
}
