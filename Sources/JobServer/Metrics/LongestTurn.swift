/// The longest turn of the loop in this minute and the one before, so that a page that is read
/// every minute or more often misses none, and one bad turn is not shown for ever.
struct LongestTurn {
  private static let minute: UInt64 = 60_000_000_000

  private var minuteIndex: UInt64 = 0
  private var before: UInt64 = 0
  private var current: UInt64 = 0

  /// Adds a turn of so many nanoseconds that began at `instant`, in nanoseconds.
  @inline(__always)
  mutating func observe(_ nanoseconds: UInt64, at instant: UInt64) {
    pass(to: instant)
    if nanoseconds > current { current = nanoseconds }
  }

  /// The longest, in nanoseconds; 0: there was none.
  mutating func nanoseconds(at instant: UInt64) -> UInt64 {
    pass(to: instant)
    return max(before, current)
  }

  @inline(__always)
  private mutating func pass(to instant: UInt64) {
    guard instant >= (minuteIndex + 1) * LongestTurn.minute else { return }
    let index = instant / LongestTurn.minute
    before = index == minuteIndex + 1 ? current : 0
    current = 0
    minuteIndex = index
  }
}
