import Glibc

/// How a fork server that hangs, or was stopped, is told from one that has nothing to say. A pure
/// value; times are in nanoseconds of a monotonic clock.
///
/// Whoever has asked for something and hears nothing for a sixth of `silenceMax` sends a ping. The
/// ping stands behind the requests, so that its answer says that they were taken up; if none comes
/// for the rest of the time, nobody reads them.
struct Silence: Equatable {
  /// How long requests may go without a sign of life.
  var silenceMax: UInt64 = 30_000_000_000
  private var startsUnanswered = 0
  private var hasAsked = false
  private var askedAt: UInt64?
  private var pingedAt: UInt64?

  /// What is to be done.
  enum Verdict: Equatable {
    case none
    /// Ask for a sign of life.
    case ping
    /// It hangs.
    case hung
  }

  private var pingAfter: UInt64 { silenceMax / 6 }

  /// Something was asked for.
  mutating func asked(forStart: Bool) {
    hasAsked = true
    if forStart { startsUnanswered += 1 }
  }

  /// Something was heard: until then it lived.
  mutating func heard() {
    hasAsked = false
    askedAt = nil
  }

  /// What became of a start was heard.
  mutating func startAnswered() {
    startsUnanswered -= 1
  }

  /// The ping was answered.
  mutating func ponged() {
    pingedAt = nil
  }

  /// The fork server is gone, and all that was asked of it.
  mutating func lost() {
    self = Silence(silenceMax: silenceMax)
  }

  /// It is `now`.
  mutating func passed(at now: UInt64) -> Verdict {
    if let pingedAt {
      guard pingedAt + (silenceMax - pingAfter) <= now else { return .none }
      self.pingedAt = nil
      return .hung
    }
    guard hasAsked || startsUnanswered > 0 else { return .none }
    guard let askedAt else {
      askedAt = now
      return .none
    }
    guard askedAt + pingAfter <= now else { return .none }
    self.askedAt = nil
    hasAsked = false
    pingedAt = now
    return .ping
  }

  /// When `passed` has something to do; nil: not before something is asked for. To be called after
  /// `passed`, which takes note of the time.
  var nextDeadline: UInt64? {
    if let pingedAt { return pingedAt + (silenceMax - pingAfter) }
    return askedAt.map { $0 + pingAfter }
  }
}

extension ForkServer {
  /// How long it may leave requests unread before it counts as hung, in nanoseconds: 30 s. One that
  /// is slow with what it was asked for, but reads on, is not meant.
  public var silenceMax: UInt64 {
    get { silence.silenceMax }
    set { silence.silenceMax = newValue }
  }

  /// The owner waits for the fork server to tell something, which is as good as having asked.
  func expectNews() {
    if !isLost { silence.asked(forStart: false) }
  }

  /// It is `now`, in nanoseconds of the owner's monotonic clock: to be called once a turn. Kills a
  /// fork server that hangs, or was stopped, and answers whether it did; `lost` follows.
  public func timePassed(at now: UInt64) -> Bool {
    if unwatchedCount > 0, lookAt == nil { lookAt = now + Self.lookAfter }
    guard !isLost else { return false }
    switch silence.passed(at: now) {
    case .none: return false
    case .ping:
      // The only failure left is that it is lost, which `drain` finds out.
      isStartLast = false
      try? send(.ping, descriptors: [])
      return false
    case .hung:
      kill(process, SIGKILL)
      return true
    }
  }

  /// The earliest time at which `timePassed` has something to do, or a look is due; nil: never. To
  /// be asked after it.
  public var nextDeadline: UInt64? {
    // Nobody has told the time since the last look.
    guard unwatchedCount == 0 || lookAt != nil else { return 0 }
    return [silence.nextDeadline, lookAt].compactMap(\.self).min()
  }

  /// Whether `drain` is due though nothing is readable: there was no watch left for the sentinel of
  /// a process of a lost fork server.
  public func isLookDue(at now: UInt64) -> Bool {
    lookAt.map { $0 <= now } ?? false
  }

  /// How long after a look at sentinels that cannot be watched the next is due, in nanoseconds.
  private static let lookAfter: UInt64 = 20_000_000
}
