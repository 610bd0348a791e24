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
