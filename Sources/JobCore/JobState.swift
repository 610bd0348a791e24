/// Where a job is in its life.
///
/// Six words, used in the API, the logs and the code alike. The last three are final.
public enum JobState: String, CaseIterable, Sendable {
  /// Waits for a moment: today, for the next attempt after a failed one.
  case scheduled
  /// Waits for a slot.
  case queued
  /// Held by a slot: running, or next in line at a worker that ends its calls in microseconds.
  case running
  /// Ended with a result.
  case succeeded
  /// Ended with an error.
  case failed
  /// Ended by a cancel request.
  case cancelled

  /// Whether a job in this state will never leave it.
  public var isFinal: Bool {
    switch self {
    case .scheduled, .queued, .running: false
    case .succeeded, .failed, .cancelled: true
    }
  }
}

/// What moves a job from one state to another: one per kind of record that can.
public enum Move: String, CaseIterable, Sendable {
  /// A slot took the job.
  case attemptStarted
  /// The slot gave it back: it had not begun, or was cut off through no fault of the job.
  case attemptRevoked
  /// The attempt failed and another follows, later.
  case attemptFailed
  /// The moment that it waited for has come.
  case jobQueued
  /// A cancel request reached a running job; its worker is being ended.
  case cancelRequested
  /// The end, with a result.
  case succeeded
  /// The end, with an error.
  case failed
  /// The end, by request.
  case cancelled
}

extension JobState {
  /// Every legal move; a pair that is not here cannot happen. A test walks all pairs.
  public static let moves: [(from: JobState, move: Move, to: JobState)] = [
    (.scheduled, .jobQueued, .queued),
    (.scheduled, .cancelled, .cancelled),
    (.queued, .attemptStarted, .running),
    (.queued, .cancelled, .cancelled),
    (.queued, .failed, .failed),
    (.running, .attemptRevoked, .queued),
    (.running, .attemptFailed, .scheduled),
    (.running, .cancelRequested, .running),
    (.running, .succeeded, .succeeded),
    (.running, .failed, .failed),
    (.running, .cancelled, .cancelled),
  ]

  /// The state after `move`, or nil when the move is not legal from here.
  public func after(_ move: Move) -> JobState? {
    JobState.table[Int(index) * Move.allCases.count + Int(move.index)]
  }

  /// `moves` by position, so that the hot path looks up instead of searching.
  private static let table: [JobState?] = {
    var table = [JobState?](
      repeating: nil, count: JobState.allCases.count * Move.allCases.count)
    for (from, move, to) in moves {
      table[Int(from.index) * Move.allCases.count + Int(move.index)] = to
    }
    return table
  }()

  /// The position of the state in `allCases`.
  public var index: UInt8 {
    switch self {
    case .scheduled: 0
    case .queued: 1
    case .running: 2
    case .succeeded: 3
    case .failed: 4
    case .cancelled: 5
    }
  }
}

extension Move {
  /// The position of the move in `allCases`.
  var index: UInt8 {
    switch self {
    case .attemptStarted: 0
    case .attemptRevoked: 1
    case .attemptFailed: 2
    case .jobQueued: 3
    case .cancelRequested: 4
    case .succeeded: 5
    case .failed: 6
    case .cancelled: 7
    }
  }
}
