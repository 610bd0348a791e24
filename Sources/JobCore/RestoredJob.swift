/// A job as a snapshot holds it.
public struct RestoredJob: Equatable, Sendable {
  /// What was accepted.
  public var submitted: JobSubmitted
  /// Its state; the other members are those of `Job`.
  public var state: JobState
  /// See `Job.isCancelRequested`.
  public var isCancelRequested = false
  /// See `Job.losses`.
  public var losses = 0
  /// See `Job.attempt`.
  public var attempt = 0
  /// See `Job.version`.
  public var version: UInt32 = 1
  /// See `Job.startedAt`.
  public var startedAt: Timestamp = 0
  /// See `Job.endedOrDueAt`.
  public var endedOrDueAt: Timestamp = 0
  /// See `Job.ending`.
  public var ending: Job.Ending = .none
  /// Of an ended chunk: the items of its map that ended before it.
  public var line: Int?

  /// A job that waits in the queue.
  public init(submitted: JobSubmitted, state: JobState) {
    self.submitted = submitted
    self.state = state
  }

  /// A job of a store.
  public init(_ job: Job, names: NameTable) {
    submitted = JobSubmitted(
      number: job.number, id: job.id, task: names[job.task], pool: names[job.pool],
      args: job.args, options: job.options, at: job.createdAt)
    state = job.state
    isCancelRequested = job.isCancelRequested
    losses = Int(job.losses)
    attempt = Int(job.attempt)
    version = job.version
    startedAt = job.startedAt
    endedOrDueAt = job.endedOrDueAt
    ending = job.ending
  }
}

/// A map as a snapshot holds it: what does not follow from its chunks.
public struct RestoredMap: Equatable, Sendable {
  /// What was accepted.
  public var created: MapCreated
  /// See `JobMap.inputEndedAt`; so for all that is named as there.
  public var inputEndedAt: Timestamp = 0
  /// See `inputEndedAt`.
  public var inputError: InputError?
  /// See `inputEndedAt`.
  public var isCancelRequested = false
  /// See `inputEndedAt`.
  public var finishedAt: Timestamp = 0
  /// See `inputEndedAt`.
  public var version: UInt32 = 1
  /// See `inputEndedAt`.
  public var releasedItems = ItemCounts()
  /// See `inputEndedAt`.
  public var releasedChunks = 0
  /// See `inputEndedAt`.
  public var releasedError: ChunkError?

  /// A map that was just accepted.
  public init(created: MapCreated) {
    self.created = created
  }

  /// A map of a store.
  public init(_ map: JobMap, names: NameTable) {
    created = MapCreated(
      number: map.number, id: map.id, task: names[map.task], pool: names[map.pool],
      isStar: map.isStar, chunkSize: map.chunkSize, total: map.statedTotal, options: map.options,
      at: map.createdAt)
    inputEndedAt = map.inputEndedAt
    inputError = map.inputError
    isCancelRequested = map.isCancelRequested
    finishedAt = map.finishedAt
    version = map.version
    releasedItems = map.releasedItems
    releasedChunks = map.releasedChunks
    releasedError = map.releasedError
  }
}
