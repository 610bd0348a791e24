/// When the process that removes working folders is to be started: at once when there is something
/// to remove, but not again and again while programs end in quick succession, and with growing
/// pauses while it fails. A pure value; times are in nanoseconds.
struct SweepSchedule: Equatable {
  /// What lies between the starts of two sweepers: one removes what has come together.
  static let pauseMin: UInt64 = 50_000_000
  /// The longest pause after failures.
  static let pauseMax: UInt64 = 60_000_000_000
  /// After so many failures in a row it is left to the next folder, or the next start.
  static let failuresMax = 12

  /// Whether something waits to be removed that no sweeper that runs was started for.
  private(set) var isDue = false
  /// Whether a sweeper runs.
  private(set) var isRunning = false
  private var notBefore: UInt64 = 0
  private var failuresInARow = 0

  /// Whether there is anything left to remove, as far as it is known.
  var isPending: Bool { isDue || isRunning }

  /// When `begin` has something to do; nil: not before something happens.
  var nextDeadline: UInt64? { isDue && !isRunning ? notBefore : nil }

  /// A folder waits to be removed.
  mutating func leftoverFound() {
    isDue = true
  }

  /// Returns whether a sweeper is to be started now. If that fails, it has `ended`.
  mutating func begin(at now: UInt64) -> Bool {
    guard isDue, !isRunning, notBefore <= now else { return false }
    isDue = false
    isRunning = true
    notBefore = now + Self.pauseMin
    return true
  }

  /// The sweeper is gone. If it `hasFailed`, something is left.
  mutating func ended(hasFailed: Bool, at now: UInt64) {
    isRunning = false
    guard hasFailed else {
      failuresInARow = 0
      return
    }
    failuresInARow += 1
    if failuresInARow >= Self.failuresMax {
      failuresInARow = 0
      return
    }
    isDue = true
    notBefore = now + min(Self.pauseMin << UInt64(failuresInARow), Self.pauseMax)
  }
}
