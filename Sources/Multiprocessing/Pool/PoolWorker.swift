internal import DequeModule

/// One worker process as `PoolState` knows it.
struct PoolWorker: Equatable {
  /// Where it is in its life. Moves only forward.
  enum Phase: Int, Comparable {
    /// Asked for; its initializer may be running.
    case starting
    /// Takes calls.
    case ready
    /// Takes no more calls, ends by itself when those in flight are answered.
    case leaving
    /// SIGTERM was sent to its group.
    case terminated
    /// SIGKILL was sent to its group.
    case killed

    static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
  }

  /// A call that was written to the channel and is not answered.
  struct InFlight: Equatable {
    var call: UInt64
    var ordinal: UInt32
    /// How long its worker has between SIGTERM and SIGKILL, if it is to be ended; nil if not.
    var endGrace: UInt64?
  }

  let id: PoolWorkerID
  let slot: Int
  var phase = Phase.starting
  /// In the order in which they were written, which is that of the answers.
  var inFlight = Deque<InFlight>()
  /// The ordinal of the last call written.
  var lastOrdinal: UInt32 = 0
  /// How many calls it has answered.
  var answered = 0
  /// How many calls may be in flight, from how long the last ones took.
  var credit = 1
  /// Since when the first call in flight may have been running.
  var headSince: UInt64 = 0
  /// When `phase` has lasted too long; nil: never.
  var deadline: UInt64?
  /// Why the pool ends it, for those who lose a call by it.
  var reason: String?
  var hasSaidHello = false
  /// Whether its channel has ended: it cannot be given calls. It may answer those that it has
  /// claimed, where that is another end.
  var hasHungUp = false
  /// Whether it is known to have claimed the first call in flight.
  var isHeadClaimed = false

  /// Puts a call in flight. Returns its ordinal, and how many calls are in flight now.
  mutating func take(_ call: UInt64, at now: UInt64) -> (ordinal: UInt32, inFlight: Int) {
    if inFlight.isEmpty { beginHead(at: now) }
    lastOrdinal += 1
    inFlight.append(InFlight(call: call, ordinal: lastOrdinal))
    return (lastOrdinal, inFlight.count)
  }

  /// Another call is the first in flight.
  mutating func beginHead(at now: UInt64) {
    headSince = now
    isHeadClaimed = false
  }

  /// How its way out begins, or ends.
  enum Step {
    case retire
    case leave
    case stop
    case terminate(grace: UInt64)
  }

  /// What follows when a call is no longer in flight; nil: it goes on.
  ///
  /// Changes nothing. It is `mutating`, as is `callsAtOnce`, because the worker is then asked where
  /// it is: a copy of it, two for every call, counts references.
  mutating func step(isRetiring: Bool, _ settings: PoolSettings) -> Step? {
    guard phase == .ready || phase == .leaving else { return nil }
    if isRetiring { return .retire }
    // It has run out of calls, or of ordinals, without knowing it.
    if phase == .ready, inFlight.isEmpty, callsLeft(of: settings) <= 0 { return .leave }
    if phase == .leaving, inFlight.isEmpty, deadline == nil { return .stop }
    guard !settings.hasClaims, let grace = inFlight.first?.endGrace else { return nil }
    return .terminate(grace: grace)
  }

  /// How many calls it may have in flight now.
  mutating func callsAtOnce(_ settings: PoolSettings) -> Int {
    guard phase == .ready, !hasHungUp else { return 0 }
    return min(credit, inFlight.count + callsLeft(of: settings))
  }

  /// How many calls it may still be given, of those that a worker runs in its life.
  func callsLeft(of settings: PoolSettings) -> Int {
    let most = min(settings.callsPerWorkerMax ?? .max, PoolSettings.ordinalsMax)
    // Revoked calls used up ordinals but did not run.
    return min(most - answered - inFlight.count, PoolSettings.ordinalsMax - Int(lastOrdinal))
  }

  /// When it must have claimed the first call in flight; nil: it has, or there is none.
  func claimDue(_ settings: PoolSettings) -> UInt64? {
    guard settings.hasClaims, phase <= .leaving, !isHeadClaimed, !inFlight.isEmpty else {
      return nil
    }
    return headSince + settings.claimMax
  }

  /// When the calls behind the first are to be taken back; nil: there are none.
  func recallDue(_ settings: PoolSettings) -> UInt64? {
    guard settings.hasClaims, phase == .ready, inFlight.count > 1 else { return nil }
    return headSince + settings.recallAfter
  }
}
