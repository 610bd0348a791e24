/// What a pool tells whoever assigns calls to it.
public enum PoolReport: Equatable, Sendable {
  /// From now on at most `credit` calls may be in flight in `slot`; 0: none may be assigned. Sent
  /// whenever that number changes.
  case slotReady(slot: Int, credit: Int)
  /// All workers of a pool that `startsWhole` are ready for the first time.
  case poolStarted
  /// The slot is no more: the pool got smaller or ended. If it grows again, it may come back.
  case slotGone(slot: Int)
  /// The worker answered the call.
  case callEnded(call: UInt64, outcome: CallOutcome)
  /// The call will not be answered. Its slot's credit was told before, so that it is not assigned
  /// to a worker that is gone or about to be ended.
  ///
  /// If it was `started`, the worker ended with `exitStatus` while it ran it, and `reason` says why
  /// if the pool itself had a reason to end that worker; if not, no line of it has run, and it may
  /// be assigned again as if it never had been.
  case callLost(call: UInt64, exitStatus: ExitStatus, started: Bool, reason: String?)
  /// No worker can be made ready, for this reason; the pool has given up and ends its workers.
  case poolBroke(reason: String)
  /// The last worker of a pool that was closed, terminated or broken is gone.
  case poolEnded
}

/// How a call was answered.
public enum CallOutcome: Equatable, Sendable {
  /// Its result, as JSON text.
  case returned(String)
  /// Its error `{"code":…,"type":…,"message":…}`, as JSON text.
  case raised(String)
}
