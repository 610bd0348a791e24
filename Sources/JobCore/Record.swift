/// A fact to make durable. Only records change jobs: live operation and recovery both come down to
/// `JobStore.apply(_:)`.
public enum Record: Equatable, Sendable {
  /// A submission was accepted.
  case jobSubmitted(JobSubmitted)
  /// A slot took the job; written before the worker hears of it.
  case attemptStarted(JobNumber, attempt: Int, at: Timestamp)
  /// The slot gave the job back and it waits again; the attempt does not count.
  case attemptRevoked(JobNumber, Revocation)
  /// The attempt failed; the next is due at `retryAt`. Boxed, as it is rare and large.
  indirect case attemptFailed(JobNumber, JobError, retryAt: Timestamp)
  /// The moment that a scheduled job waited for has come.
  case jobQueued(JobNumber)
  /// A client asked to cancel a running job; it must not run again, whatever happens.
  case cancelRequested(JobNumber)
  /// The job is final.
  case jobEnded(JobNumber, Outcome, at: Timestamp)
  /// The job, its result and its key are dropped.
  case jobForgotten(JobNumber)
  /// The submission could not be written, and its client was refused: there is no such job. One
  /// record, as of two the first could outlive a crash alone, and show a job that nobody knows.
  case jobWithdrawn(JobNumber)

  /// A map was accepted; its items follow as the jobs of its chunks.
  indirect case mapCreated(MapCreated)
  /// No more items follow; the error says why some are missing.
  case mapInputEnded(MapNumber, InputError?, at: Timestamp)
  /// A client asked to cancel a map: no chunk of it is to run again, whatever happens.
  case mapCancelRequested(MapNumber)
  /// A chunk whose results a reader has taken is dropped; its map counts its items on.
  case chunkReleased(JobNumber)
  /// The map, all its chunks and its key are dropped.
  case mapForgotten(MapNumber)
  /// The map could not be written whole, and its client was refused, or heard nothing: there is no
  /// such map, and none of its chunks. One record, as `jobWithdrawn`.
  case mapWithdrawn(MapNumber)

  /// A client created a pool, and all its workers are ready.
  indirect case poolCreated(PoolSpecification, at: Timestamp)
  /// A created pool keeps another number of workers.
  case poolResized(String, processes: Int)
  /// A created pool starts no more jobs for the time being.
  case poolPaused(String)
  /// It starts jobs again.
  case poolResumed(String)
  /// A created pool takes no more jobs.
  case poolClosed(String)
  /// A created pool takes no more jobs, and those that it has end; `cause` says why if nobody asked
  /// for it.
  case poolTerminated(String, cause: String?)
  /// A created pool is dropped: it has no open job.
  case poolRemoved(String)

  /// The job, or the map, that it is about; 0, which is none, if it is about a pool.
  public var job: JobNumber {
    switch self {
    case .poolCreated, .poolResized, .poolPaused, .poolResumed, .poolClosed, .poolTerminated,
      .poolRemoved:
      0
    case .jobSubmitted(let submitted): submitted.number
    case .mapCreated(let created): created.number
    case .mapInputEnded(let number, _, _), .mapCancelRequested(let number),
      .chunkReleased(let number), .mapForgotten(let number), .mapWithdrawn(let number):
      number
    case .attemptStarted(let number, _, _), .attemptRevoked(let number, _),
      .attemptFailed(let number, _, _), .jobQueued(let number), .cancelRequested(let number),
      .jobEnded(let number, _, _), .jobForgotten(let number), .jobWithdrawn(let number):
      number
    }
  }
}

/// An accepted submission. Nobody changes one, so its members are constants.
public struct JobSubmitted: Equatable, Sendable {
  /// The place in the order of submission; one more than that of the submission before.
  public let number: JobNumber
  /// The job's id.
  public let id: JobID
  /// The task's name.
  public let task: String
  /// The pool's name.
  public let pool: String
  /// Positional arguments: the text of a JSON array.
  public let args: String
  /// Everything else; nil: all defaults.
  public let options: JobOptions?
  /// When it was accepted.
  public let at: Timestamp

  /// Makes the record of a submission.
  public init(
    number: JobNumber, id: JobID, task: String, pool: String, args: String, options: JobOptions?,
    at: Timestamp
  ) {
    self.number = number
    self.id = id
    self.task = task
    self.pool = pool
    self.args = args
    self.options = options
    self.at = at
  }

  /// Bytes of payload; see `Job.submittedBytes`.
  var bytes: Int { args.utf8.count + (options?.bytes ?? 0) }
}

/// An accepted map.
public struct MapCreated: Equatable, Sendable {
  /// The place in the order of submission.
  public var number: MapNumber
  /// The map's id.
  public var id: JobID
  /// The task's name.
  public var task: String
  /// The pool's name.
  public var pool: String
  /// Whether each item is an array of arguments.
  public var isStar: Bool
  /// Items of a chunk at most; 0 for a map without items.
  public var chunkSize: Int
  /// How many items follow; nil: nobody knows yet.
  public var total: Int?
  /// What each chunk's job is given, and the client's key; nil: all defaults.
  public var options: JobOptions?
  /// When it was accepted.
  public var at: Timestamp

  /// Makes the record of a map.
  public init(
    number: MapNumber, id: JobID, task: String, pool: String, isStar: Bool = false,
    chunkSize: Int, total: Int?, options: JobOptions? = nil, at: Timestamp
  ) {
    self.number = number
    self.id = id
    self.task = task
    self.pool = pool
    self.isStar = isStar
    self.chunkSize = chunkSize
    self.total = total
    self.options = options
    self.at = at
  }
}

/// Why a slot gave a job back.
public enum Revocation: String, CaseIterable, Sendable {
  /// It was next in line at a worker that ended; it had not begun.
  case notStarted = "not_started"
  /// It was cut off by a crash: of the service, or of its fork server. Counted as a loss.
  case interrupted
  /// It was cut off by an orderly shutdown whose grace was over. Not counted.
  case shutdown
}

/// How a job ended.
public enum Outcome: Equatable, Sendable {
  /// With a value: minified JSON text.
  case succeeded(String)
  /// With bytes of a media type; boxed, as they are rare.
  indirect case succeededWithBytes(BytesResult)
  /// With an error; boxed, as it is rare and large.
  indirect case failed(JobError)
  /// By request.
  case cancelled

  /// The move that this outcome makes.
  var move: Move {
    switch self {
    case .succeeded, .succeededWithBytes: .succeeded
    case .failed: .failed
    case .cancelled: .cancelled
    }
  }
}
