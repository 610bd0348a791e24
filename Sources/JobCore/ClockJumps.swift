/// How far the wall clock was set forward while the engine looked, so that no job counts as older
/// for that.
///
/// Ages of jobs are reckoned by the wall clock, as they must outlive the process. When somebody
/// sets it forward by a day, every job that had finished looks a day older than it is. What is
/// noted here is taken off again. A clock that is set back makes jobs look younger, which drops
/// none too early, so that is not noted.
///
/// This is forgotten at a restart: then the wall clock is all there is.
struct ClockJumps: Sendable {
  /// A difference between the clocks of as many milliseconds is a jump; less is how a clock is kept
  /// right while it runs, adjtimex(2).
  static let jumpMin: Milliseconds = 1_000
  /// The most that are kept apart.
  static let countMax = 16

  private struct Jump {
    /// What the clock showed before.
    var from: Timestamp
    var by: Milliseconds
  }

  private var jumps: [Jump] = []
  private var last: Moment?

  /// It is `moment`; both clocks were read together.
  mutating func pass(_ moment: Moment) {
    defer { last = moment }
    guard let last, moment.instant > last.instant || moment.timestamp != last.timestamp else {
      return
    }
    let elapsed = Milliseconds(
      (moment.instant.nanoseconds &- last.instant.nanoseconds) / 1_000_000)
    let (shown, overflow) = moment.timestamp.subtractingReportingOverflow(last.timestamp)
    guard !overflow, shown - elapsed >= Self.jumpMin else { return }
    jumps.append(Jump(from: last.timestamp, by: shown - elapsed))
    if jumps.count > Self.countMax { joinOldest() }
  }

  /// How much of the age that the wall clock gives to what happened at `timestamp` was never lived:
  /// of each leap the part that lies after it. Where the clock went back as well, this may be more
  /// than it was, and never less.
  func unlived(since timestamp: Timestamp) -> Milliseconds {
    jumps.reduce(0) { $0 + max($1.from + $1.by - max($1.from, timestamp), 0) }
  }

  /// Nothing older than `timestamp` will be asked for.
  mutating func forget(before timestamp: Timestamp) {
    if !jumps.isEmpty { jumps.removeAll { $0.from + $0.by < timestamp } }
  }

  /// Makes one of the two oldest, as if both had come at the later one: nothing gets older by that.
  private mutating func joinOldest() {
    let oldest = jumps.removeFirst()
    jumps[0].by += oldest.by
    jumps[0].from = max(jumps[0].from, oldest.from)
  }
}
