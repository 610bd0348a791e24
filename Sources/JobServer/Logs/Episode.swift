import JobCore

/// Something that happens again and again for a while, and is told twice: when it begins, and how
/// often it was when it is over.
struct Episode: Equatable {
  /// How long after the last time it may be over, in milliseconds.
  private static let calm: Milliseconds = 1_000

  /// When it was the first time.
  let begunAt: Instant
  /// How often it was.
  private(set) var count = 1
  private var lastAt: Instant

  /// The first time.
  init(at instant: Instant) {
    begunAt = instant
    lastAt = instant
  }

  /// Once more.
  mutating func again(at instant: Instant) {
    count += 1
    lastAt = instant
  }

  /// When it may be over, if it is not once more until then.
  var calmAt: Instant { lastAt.advanced(byMilliseconds: Episode.calm) }

  /// The deadline to look again; nil once that has passed: what ends it then comes with a turn.
  func deadline(at instant: Instant) -> Instant? { instant < calmAt ? calmAt : nil }
}

/// Something that anybody can make happen as often as they like, and is told at most once a second,
/// with how often it was since the last time.
struct Throttle: Equatable {
  /// Between two tellings, in milliseconds.
  private static let pause: Milliseconds = 1_000

  /// How often it was and has not been told.
  private(set) var untold = 0
  private var nextAt: Instant?

  /// It was once more. Answers how often it was since it was last told, if it is to be told now.
  mutating func note(at instant: Instant) -> Int? {
    untold += 1
    return nextAt == nil ? tell(at: instant) : nil
  }

  /// Time has passed. Answers what is to be told now.
  mutating func timePassed(at instant: Instant) -> Int? {
    guard let nextAt, nextAt <= instant else { return nil }
    self.nextAt = nil
    return untold > 0 ? tell(at: instant) : nil
  }

  /// When `timePassed` has something to do.
  var deadline: Instant? { nextAt }

  private mutating func tell(at instant: Instant) -> Int {
    nextAt = instant.advanced(byMilliseconds: Throttle.pause)
    defer { untold = 0 }
    return untold
  }
}
