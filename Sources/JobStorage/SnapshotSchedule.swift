public import JobCore

/// When the next snapshot is due: a pure value; time comes in and a deadline goes out.
///
/// A snapshot is due when
/// - the journal since the last one exceeds 16 MiB and half of the last snapshot (so that recovery
///   stays in proportion to the state, and writing stays within a few times what jobs write), or
/// - something was appended and the interval since the last one was begun has passed;
///
/// but never while one is being written, nor, after the end of the last one, sooner than 20 times
/// its CPU time (so that snapshots cost at most 5 % of one core), nor sooner than it took (so that
/// they leave a slow disk to others half of the time). Beside a load that keeps all CPUs busy a
/// snapshot takes long and costs no more, as it yields: so 20 times what it took would be too long.
public struct SnapshotSchedule: Equatable, Sendable {
  /// Bytes of journal below which size alone is no reason.
  public static let journalBytesMin = 16 << 20
  /// How many times the CPU time of the last one must pass before the next.
  public static let restFactor: UInt64 = 20

  /// The interval, in milliseconds.
  public let interval: Milliseconds
  /// Bytes appended since the state that the last finished snapshot holds.
  public private(set) var journalBytes: Int
  /// The size of the last finished snapshot.
  public private(set) var snapshotBytes: Int
  /// Whether one is being written.
  public private(set) var isRunning = false

  private var sealedBytes = 0
  private var lastBegun: Instant
  private var restUntil = Instant(nanoseconds: 0)

  /// The schedule after recovery: `journalBytes` were replayed on top of a snapshot of
  /// `snapshotBytes` (0: of none).
  public init(
    interval: Milliseconds = 60_000, journalBytes: Int = 0, snapshotBytes: Int = 0,
    at instant: Instant
  ) {
    precondition(interval > 0, "the snapshot interval is \(interval) ms")
    self.interval = interval
    self.journalBytes = journalBytes
    self.snapshotBytes = snapshotBytes
    lastBegun = instant
  }

  // MARK: Events

  /// The journal has grown.
  public mutating func appended(bytes: Int) {
    journalBytes += bytes
  }

  /// A snapshot was begun of everything appended so far but the last `laterBytes`.
  public mutating func begun(at instant: Instant, leaving laterBytes: Int = 0) {
    precondition(!isRunning, "one snapshot at a time")
    isRunning = true
    sealedBytes = max(journalBytes - laterBytes, 0)
    lastBegun = instant
  }

  /// The snapshot that was begun is in place; `cpuTime` in nanoseconds.
  public mutating func finished(bytes: Int, used cpuTime: UInt64, at instant: Instant) {
    journalBytes -= sealedBytes
    snapshotBytes = bytes
    ended(used: cpuTime, at: instant)
  }

  /// The snapshot that was begun came to nothing. What it was to hold is still to be held; the next
  /// try waits for the interval whatever the size, so that a folder that takes no snapshot is not
  /// tried without pause.
  public mutating func failed(used cpuTime: UInt64, at instant: Instant) {
    ended(used: cpuTime, at: instant)
    restUntil = max(restUntil, lastBegun.advanced(byMilliseconds: interval))
  }

  private mutating func ended(used cpuTime: UInt64, at instant: Instant) {
    precondition(isRunning, "no snapshot was begun")
    isRunning = false
    sealedBytes = 0
    let (work, overflow) = cpuTime.multipliedReportingOverflow(by: Self.restFactor)
    let took = instant.nanoseconds - min(lastBegun.nanoseconds, instant.nanoseconds)
    let (sum, carry) = instant.nanoseconds.addingReportingOverflow(max(work, took))
    restUntil = Instant(nanoseconds: overflow || carry ? .max : sum)
  }

  // MARK: Queries

  /// When the next one is due if nothing more is appended; nil: not at all. A moment in the past
  /// means at once.
  public var nextDeadline: Instant? {
    guard !isRunning, journalBytes > 0 else { return nil }
    let isLong = journalBytes > max(Self.journalBytesMin, snapshotBytes / 2)
    return isLong ? restUntil : max(restUntil, lastBegun.advanced(byMilliseconds: interval))
  }

  /// Whether one is due.
  public func isDue(at instant: Instant) -> Bool {
    nextDeadline.map { $0 <= instant } ?? false
  }
}
