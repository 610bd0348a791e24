/// The members of a job that hold no memory of their own: a copy costs next to nothing.
public struct JobBrief: Equatable, Sendable {
  /// See `Job.task`.
  public let task: Name
  /// See `Job.pool`.
  public let pool: Name
  /// See `Job.state`.
  public let state: JobState
  /// See `Job.version`.
  public let version: UInt32
  /// See `Job.createdAt`.
  public let createdAt: Timestamp
  /// See `Job.startedAt`.
  public let startedAt: Timestamp

  /// Of a job.
  @inline(__always)
  public init(_ job: borrowing Job) {
    task = job.task
    pool = job.pool
    state = job.state
    version = job.version
    createdAt = job.createdAt
    startedAt = job.startedAt
  }

  /// Of something that is no job.
  init(
    task: Name, pool: Name, state: JobState, version: UInt32, createdAt: Timestamp,
    startedAt: Timestamp
  ) {
    self.task = task
    self.pool = pool
    self.state = state
    self.version = version
    self.createdAt = createdAt
    self.startedAt = startedAt
  }
}
