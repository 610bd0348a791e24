import JobCore

/// How long a lost fork server is waited for to be replaced: not at all after one that lived for a
/// while, and ever longer while each dies as soon as it is there. A pure value.
struct ReplacementPause: Equatable {
  /// One that lived for so long, in milliseconds, was lost by chance.
  static let livedMin: Milliseconds = 1_000
  /// The first pause and the longest, in milliseconds.
  static let pauseMin: Milliseconds = 50
  static let pauseMax: Milliseconds = 5_000

  private var startedAt: Instant
  private var failuresInARow = 0

  /// There is a fork server, since then.
  init(startedAt: Instant) {
    self.startedAt = startedAt
  }

  /// Another one was started.
  mutating func replaced(at instant: Instant) {
    startedAt = instant
  }

  /// It is gone. Returns after how many milliseconds it is to be replaced.
  mutating func lost(at instant: Instant) -> Milliseconds {
    guard instant < startedAt.advanced(byMilliseconds: Self.livedMin) else {
      failuresInARow = 0
      return 0
    }
    return failed()
  }

  /// It could not be replaced. Returns after how many milliseconds that is to be tried again.
  mutating func failed() -> Milliseconds {
    let doublings = min(failuresInARow, 20)
    failuresInARow += 1
    return min(Self.pauseMin << doublings, Self.pauseMax)
  }
}
