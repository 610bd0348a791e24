@testable import JobCore

extension Turn {
  /// The records, then `>`, then the effects, a word each: for tables of expectations.
  var inWords: String {
    (records.map(\.word) + [">"] + effects.map(\.word)).joined(separator: " ")
  }
}

extension String {
  /// Without spaces at its ends.
  var trimmingSpaces: String {
    String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}

extension Record {
  /// The kind of fact, with what tells it from others of its kind.
  var word: String {
    switch self {
    case .jobSubmitted: "submitted"
    case .attemptStarted: "started"
    case .attemptRevoked(_, let revocation): "revoked(\(revocation.rawValue))"
    case .attemptFailed(_, let error, _): "attemptFailed(\(error.code.rawValue))"
    case .jobQueued: "queued"
    case .cancelRequested: "cancelRequested"
    case .jobEnded(_, .succeeded, _), .jobEnded(_, .succeededWithBytes, _): "ended(succeeded)"
    case .jobEnded(_, .failed(let error), _): "ended(\(error.code.rawValue))"
    case .jobEnded(_, .cancelled, _): "ended(cancelled)"
    case .jobForgotten: "forgotten"
    case .jobWithdrawn: "withdrawn"
    case .mapCreated: "mapCreated"
    case .mapInputEnded(_, let error, _):
      "inputEnded" + (error.map { "(\($0.code.rawValue))" } ?? "")
    case .mapCancelRequested: "mapCancelRequested"
    case .chunkReleased: "released"
    case .mapForgotten: "mapForgotten"
    case .mapWithdrawn: "mapWithdrawn"
    case .poolCreated: "poolCreated"
    case .poolResized(_, let processes): "poolResized(\(processes))"
    case .poolPaused: "poolPaused"
    case .poolResumed: "poolResumed"
    case .poolClosed: "poolClosed"
    case .poolTerminated: "poolTerminated"
    case .poolRemoved: "poolRemoved"
    }
  }
}

extension Effect {
  /// The kind of deed; for an answer, the answer.
  var word: String {
    switch self {
    case .answer(_, let answer): answer.word
    case .dispatch: "dispatch"
    case .endCall(_, let grace): "endCall(\(grace))"
    case .jobChanged: "changed"
    case .jobEnded: "ended"
    case .finishDrain: "finishDrain"
    case .startPool(let pool): "startPool(\(pool.index))"
    case .resizePool(let pool, let processes): "resizePool(\(pool.index),\(processes))"
    case .closePool(let pool): "closePool(\(pool.index))"
    case .terminatePool(let pool): "terminatePool(\(pool.index))"
    case .dropPool(let pool, _): "dropPool(\(pool.index))"
    case .poolChanged: "poolChanged"
    case .poolJoined: "poolJoined"
    }
  }
}

extension Answer {
  /// The kind of answer.
  var word: String {
    switch self {
    case .accepted(_, let isReplay): isReplay ? "replay" : "accepted"
    case .opened: "opened"
    case .taken: "taken"
    case .cancelled: "cancelled"
    case .forgotten: "forgotten"
    case .pool: "pool"
    case .poolCreated(_, let isReplay): isReplay ? "replay" : "created"
    case .refused(let refusal): "refused(\(refusal.word))"
    }
  }
}

extension Refusal {
  /// The kind of refusal.
  var word: String {
    switch self {
    case .unknownTask: "unknownTask"
    case .ambiguousTask: "ambiguousTask"
    case .unknownPool: "unknownPool"
    case .taskNotInPool: "taskNotInPool"
    case .pickleNotAllowed: "pickleNotAllowed"
    case .mainNotAllowed: "mainNotAllowed"
    case .argumentsTooLarge: "argumentsTooLarge"
    case .poolNotRunning: "poolNotRunning"
    case .poolNotReady: "poolNotReady"
    case .queueFull: "queueFull"
    case .payloadTooLarge: "payloadTooLarge"
    case .tooManyChunks: "tooManyChunks"
    case .idempotencyMismatch: "mismatch"
    case .draining: "draining"
    case .readOnly: "readOnly"
    case .notCancellable(let state): state.rawValue
    case .notFinal: "notFinal"
    case .unknownJob: "unknownJob"
    case .chunkOfMap: "chunkOfMap"
    case .poolExists: "poolExists"
    case .poolMismatch: "poolMismatch"
    case .tooManyPools: "tooManyPools"
    case .poolNotStarted: "poolNotStarted"
    case .noSuchPool: "noSuchPool"
    case .tooManyNames: "tooManyNames"
    }
  }
}
