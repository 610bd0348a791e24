@testable import JobCore

/// What a bookkeeper outside the engine knows of a job.
struct JobModel {
  let submission: Submission
  let pool: Int
  let id: JobID
  var state = JobState.queued
  var attempt = 0
  var losses = 0
  var isCancelRequested = false
  /// Its time limit has passed and its worker was told to end.
  var isOvertime = false
  var dueAt: Timestamp = 0
  var finishedAt: Timestamp = 0
  /// Bytes that retention counts for it, once it is final.
  var retainedBytes = 0
  var isForgotten = false

  var options: JobOptions { submission.options ?? JobOptions() }

  /// Bytes that it brought with it, counted here.
  var bytes: Int { JobModel.bytes(of: submission) }

  static func bytes(of submission: Submission) -> Int {
    let options = submission.options ?? JobOptions()
    return submission.args.utf8.count + options.kwargs.utf8.count
      + options.tags.joined().utf8.count + (options.idempotencyKey ?? "").utf8.count
  }

  /// Whether a repeat asks for the same; what it leaves out of names does not count.
  func isSame(as other: Submission) -> Bool {
    let mine = options
    let its = other.options ?? JobOptions()
    let keys = Set([mine.idempotencyKey, its.idempotencyKey].compactMap { $0 })
    return submission.task == other.task && submission.args == other.args
      && mine.kwargs == its.kwargs && mine.timeout == its.timeout
      && mine.attemptsMax == its.attemptsMax && mine.onInterrupt == its.onInterrupt
      && mine.tags == its.tags && keys.count < 2
      && (other.pool == nil || other.pool == History.pools[pool])
      && (other.id == nil || other.id == id)
  }

  /// How the call that holds it ended.
  enum CallEnd {
    case returned
    case raised(JobError.Code)
    case lost(Loss)
  }

  /// The record that must follow, in words.
  func verdict(on end: CallEnd, lossesMax: Int, isGraceOver: Bool) -> String {
    if isCancelRequested { return "ended(cancelled)" }
    if isOvertime { return failing(.timedOut) }
    switch end {
    case .returned: return "ended(succeeded)"
    case .raised(let code): return failing(code)
    case .lost(.notStarted): return "revoked(not_started)"
    case .lost where isGraceOver: return cutOff(.shutdown, lossesMax)
    case .lost(.interrupted): return cutOff(.interrupted, lossesMax)
    case .lost(.workerExited(let exitcode)): return failing(exitcode < 0 ? .signalled : .exited)
    case .lost(.outOfMemory): return failing(.oomKilled)
    case .lost(.programFailed(let raised)): return failing(raised.code)
    case .lost(.protocolBroken): return failing(.workerLost)
    }
  }

  /// The record that a start must write when it finds the job running, in words.
  func verdictOfRecovery(lossesMax: Int) -> String {
    isCancelRequested ? "ended(cancelled)" : cutOff(.interrupted, lossesMax)
  }

  private func failing(_ code: JobError.Code) -> String {
    let isRetried =
      [.raised, .exited, .signalled, .timedOut, .workerLost].contains(code)
      && attempt < options.attemptsMax
    return isRetried ? "attemptFailed(\(code.rawValue))" : "ended(\(code.rawValue))"
  }

  /// Whether one more interruption ends it.
  func isOnLastChance(_ lossesMax: Int) -> Bool {
    losses > 0 && losses + 1 >= lossesMax
  }

  private func cutOff(_ revocation: Revocation, _ lossesMax: Int) -> String {
    let losses = losses + (revocation == .interrupted ? 1 : 0)
    let isEnd = options.onInterrupt == .fail || losses >= lossesMax
    return isEnd ? "ended(interrupted)" : "revoked(\(revocation.rawValue))"
  }
}

/// What a bookkeeper knows of a slot.
struct SlotModel {
  var credit = 0
  /// The calls that it holds; the first one runs.
  var calls: [(id: CallID, job: JobNumber)] = []
  /// When the first one came to the front.
  var frontSince = Instant(nanoseconds: 0)
}
