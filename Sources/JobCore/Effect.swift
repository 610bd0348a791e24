/// Something that the shell is to do, after the turn's records are durable, in the given order.
public enum Effect: Equatable, Sendable {
  /// Answer a request.
  case answer(RequestID, Answer)
  /// Hand a job to the worker of the call's slot.
  case dispatch(CallID, JobNumber)
  /// End a call: SIGTERM to its worker's group, SIGKILL after `grace` milliseconds.
  case endCall(CallID, grace: Milliseconds)
  /// The handle of a job, or of a map, changed: wake whoever waits for it. That the job of a chunk
  /// changed says that its map did.
  case jobChanged(JobNumber)
  /// The same, as the job or the map has become final: it is the next completion of its pool. Once
  /// for each, in the order of the records; a chunk is none, it is told of by `jobChanged`.
  case jobEnded(JobNumber)
  /// Nothing runs any more: the drain is complete.
  case finishDrain

  // Pools. What becomes of it is told by `poolStarted`, `poolEnded`.
  /// Start the workers of a pool that was created; see `Engine.specification(ofPool:)`.
  case startPool(PoolID)
  /// Keep so many workers.
  case resizePool(PoolID, processes: Int)
  /// End the workers once they have done what they have.
  case closePool(PoolID)
  /// End the workers: SIGTERM now, SIGKILL after a second.
  case terminatePool(PoolID)
  /// The pool of this name is no more, and its position may be another's by now.
  case dropPool(PoolID, name: String)
  /// What a handle of a pool shows changed.
  case poolChanged(PoolID)
  /// The pool is joined: wake whoever waits for that.
  case poolJoined(PoolID)
}

/// What a request hears.
public enum Answer: Equatable, Sendable {
  /// The submission is a job, or a map, now, or was one before (`isReplay`).
  case accepted(JobNumber, isReplay: Bool)
  /// The map is there, and its items may come.
  case opened(MapNumber)
  /// The items of the map are there, as far as they came.
  case taken(MapNumber)
  /// The job, or the map, is cancelled, or will be when its worker has ended.
  case cancelled(JobNumber)
  /// The job is dropped.
  case forgotten
  /// The pool is as it was asked to be.
  case pool(PoolID)
  /// The pool is there and all its workers are ready, or it was there before
  /// (`isReplay`).
  case poolCreated(PoolID, isReplay: Bool)
  /// It can't be done.
  case refused(Refusal)
}

/// Why a request can't be done.
public enum Refusal: Equatable, Sendable {
  /// No pool knows this task.
  case unknownTask(String)
  /// Several pools know this task, none of them is named `default`, and the client named none.
  case ambiguousTask(String, pools: [String])
  /// The pool that the client named does not exist.
  case unknownPool(String)
  /// The pool that the client named does not know the task.
  case taskNotInPool(task: String, pool: String)
  /// The pool takes no values in the pickle of Python.
  case pickleNotAllowed(pool: String)
  /// The pool loads no script of a submitter's.
  case mainNotAllowed(pool: String)
  /// The pool takes no job with so many bytes of arguments.
  case argumentsTooLarge(pool: String, bytesMax: Int)
  /// The pool takes no jobs any more: it broke, for this reason.
  case poolNotRunning(pool: String, reason: String)
  /// The pool takes no jobs yet: it has not told its tasks, as none of its workers was ever ready.
  case poolNotReady(pool: String)
  /// A bound on open jobs or their bytes is met; room is expected after so many seconds.
  case queueFull(retryAfter: Int)
  /// The submission alone has more bytes than all open jobs together may have: it never fits.
  case payloadTooLarge(bytesMax: Int)
  /// The map alone has more chunks than there may be open jobs: it never fits.
  case tooManyChunks(jobsMax: Int)
  /// The id or key belongs to a job, or to a map, with another payload.
  case idempotencyMismatch(JobID)
  /// The service is about to end.
  case draining
  /// The journal takes no records at the moment.
  case readOnly
  /// A final job cannot be cancelled.
  case notCancellable(JobState)
  /// Only a final job can be dropped.
  case notFinal(JobState)
  /// The job, or the map, is not held (any more).
  case unknownJob
  /// The job is a chunk of a map, and goes with that.
  case chunkOfMap(JobID)
  /// There is a pool of this name.
  case poolExists(String)
  /// The key belongs to the pool of this name, which was created with another payload.
  case poolMismatch(String)
  /// There are so many created pools already.
  case tooManyPools(Int)
  /// The pool was created, and is gone again: a worker could not be made ready, for this reason.
  case poolNotStarted(reason: String)
  /// There is no pool of this name (any more).
  case noSuchPool(String)
  /// So many different names of tasks and pools are held that none comes in any more.
  case tooManyNames
}

/// What follows from the events of a turn: facts to make durable first, then things to do.
///
/// The order between the two lists is the contract of the service: *persist, then speak*.
public struct Turn: Equatable, Sendable {
  /// Facts to make durable, in order.
  public var records: [Record] = []
  /// Things to do once the records are durable, in order.
  public var effects: [Effect] = []

  /// A turn in which nothing happened yet.
  public init() {}

  /// Whether there is nothing to persist and nothing to do.
  public var isEmpty: Bool { records.isEmpty && effects.isEmpty }

  /// Empties both lists for the next turn and keeps their memory.
  public mutating func reset() {
    records.removeAll(keepingCapacity: true)
    effects.removeAll(keepingCapacity: true)
  }
}
