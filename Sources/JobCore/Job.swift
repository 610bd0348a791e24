/// A job's place in the order of submission, from 1; the name of a job inside the service.
public typealias JobNumber = UInt64

/// One submitted call of a task: what the client gave and what has become of it.
///
/// Everything here is durable: it changes only by applying a record.
public struct Job: Equatable, Sendable {
  /// How the job ended, or how its last attempt failed while another is to come.
  public enum Ending: Equatable, Sendable {
    /// Nothing has ended yet.
    case none
    /// A value: minified JSON text.
    case result(String)
    /// Bytes of a media type; boxed, as they are rare.
    indirect case bytes(BytesResult)
    /// An error; boxed, as it is rare and large.
    indirect case error(JobError)
  }

  // Identity.
  /// Its place in the order of submission.
  public let number: JobNumber
  /// Its name in URLs.
  public let id: JobID

  // What the client gave.
  /// The task's name, interned.
  public let task: Name
  /// The pool's name, interned.
  public let pool: Name
  /// Positional arguments: the text of a JSON array.
  public let args: String
  /// Everything else; nil: all defaults.
  public let options: JobOptions?
  /// When it was accepted.
  public let createdAt: Timestamp

  // What the service knows.
  /// Where it is in its life; moves by `JobState.moves` only.
  public internal(set) var state: JobState = .queued
  /// Whether a cancel request waits for its worker to end.
  public internal(set) var isCancelRequested = false
  /// Crashes, of the service or of its fork server, that cut it off; counted apart from its
  /// attempts.
  public internal(set) var losses: UInt8 = 0
  /// The number of the attempt that runs or ran last; 0 before the first.
  public internal(set) var attempt: UInt16 = 0
  /// Grows by one with every change that a client can see.
  public internal(set) var version: UInt32 = 1
  /// When its last attempt was handed to a worker; 0 before the first.
  public internal(set) var startedAt: Timestamp = 0
  /// When it became final; while it is `scheduled`, the moment it waits for; 0 otherwise.
  public internal(set) var endedOrDueAt: Timestamp = 0
  /// Its result or error.
  public internal(set) var ending: Ending = .none

  /// Makes a job as it is when it has just been accepted.
  public init(
    number: JobNumber, id: JobID, task: Name, pool: Name, args: String, options: JobOptions?,
    createdAt: Timestamp
  ) {
    self.number = number
    self.id = id
    self.task = task
    self.pool = pool
    self.args = args
    self.options = options
    self.createdAt = createdAt
  }

  /// Its options, spelt out.
  public var effectiveOptions: JobOptions { options ?? .defaults }

  /// When it became final; nil before.
  public var finishedAt: Timestamp? { state.isFinal ? endedOrDueAt : nil }

  /// The moment that a scheduled job waits for; nil in every other state.
  public var runAt: Timestamp? { state == .scheduled ? endedOrDueAt : nil }

  /// Bytes of payload that it brought with it: what the bound on queued bytes counts.
  public var submittedBytes: Int {
    args.utf8.count + (options?.bytes ?? 0)
  }

  /// Bytes of payload that it holds: what retention counts.
  public var retainedBytes: Int {
    switch ending {
    case .none: submittedBytes
    case .result(let text): submittedBytes + text.utf8.count
    case .bytes(let bytes): submittedBytes + bytes.retainedBytes
    case .error(let error): submittedBytes + error.bytes
    }
  }
}
