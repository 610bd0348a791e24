/// What to do with a job that was running when the service was cut off.
public enum OnInterrupt: String, CaseIterable, Sendable {
  /// Run it again (at-least-once), apart from its attempts.
  case requeue
  /// Fail it with code `interrupted` (at-most-once).
  case fail
}

/// How the values of a job travel.
public enum Encoding: String, CaseIterable, Sendable {
  /// As JSON.
  case json
  /// As JSON, in which `{"pickle":"…"}` stands for what only Python can read: its pickle in base64.
  case pickle
}

/// The parts of a submission that most jobs leave at their defaults; nil stands for all defaults,
/// so that a plain job carries one word for them.
public final class JobOptions: Equatable, Sendable {
  /// Keyword arguments as the text of a JSON object; empty when there are none.
  public let kwargs: String
  /// The longest that one attempt may run, in milliseconds; nil: no limit.
  public let timeout: Milliseconds?
  /// How many attempts the job has, from 1.
  public let attemptsMax: Int
  /// What a crash of the service does to it.
  public let onInterrupt: OnInterrupt
  /// Words to find it by.
  public let tags: [String]
  /// The client's key for "the same submission", unique among the jobs that are kept.
  public let idempotencyKey: String?
  /// How arguments and result travel.
  public let encoding: Encoding
  /// The path of the script that the task is in, for a task of the submitter's `__main__`.
  public let main: String?
  /// The items that the job runs its task on, if it is a chunk of a map; nil for any other.
  public let chunk: ChunkPlace?

  /// Makes options; what is left out has the API's default.
  public init(
    kwargs: String = "", timeout: Milliseconds? = nil, attemptsMax: Int = 1,
    onInterrupt: OnInterrupt = .requeue, tags: [String] = [], idempotencyKey: String? = nil,
    encoding: Encoding = .json, main: String? = nil, chunk: ChunkPlace? = nil
  ) {
    self.kwargs = kwargs
    self.timeout = timeout
    self.attemptsMax = attemptsMax
    self.onInterrupt = onInterrupt
    self.tags = tags
    self.idempotencyKey = idempotencyKey
    self.encoding = encoding
    self.main = main
    self.chunk = chunk
  }

  /// The same for a chunk of a map that was given these, the key of which names the map.
  func ofChunk(_ chunk: ChunkPlace) -> JobOptions {
    JobOptions(
      kwargs: kwargs, timeout: timeout, attemptsMax: attemptsMax, onInterrupt: onInterrupt,
      tags: tags, encoding: encoding, main: main, chunk: chunk)
  }

  /// All defaults, for reading what a job without options has.
  public static let defaults = JobOptions()

  /// Whether both say the same.
  public static func == (lhs: JobOptions, rhs: JobOptions) -> Bool {
    lhs === rhs
      || lhs.isSamePayload(as: rhs) && lhs.idempotencyKey == rhs.idempotencyKey
        && lhs.chunk == rhs.chunk
  }

  /// Whether both ask for the same, the key aside (it names the submission, it is not part of it).
  func isSamePayload(as other: JobOptions) -> Bool {
    kwargs == other.kwargs && timeout == other.timeout && attemptsMax == other.attemptsMax
      && onInterrupt == other.onInterrupt && tags == other.tags && encoding == other.encoding
      && main == other.main
  }

  /// Bytes of text held, as the queue's and retention's bounds count them.
  var bytes: Int {
    kwargs.utf8.count + tags.reduce(0) { $0 + $1.utf8.count } + (idempotencyKey?.utf8.count ?? 0)
      + (main?.utf8.count ?? 0)
  }
}

/// A call of a task, as a client asks for it. Its JSON texts are valid and minified.
public struct Submission: Equatable, Sendable {
  /// The client's own id; nil: the engine makes one.
  public var id: JobID?
  /// The task's name.
  public var task: String
  /// The pool's name; nil: the one that announced the task.
  public var pool: String?
  /// Positional arguments: the text of a JSON array.
  public var args: String
  /// Everything else; nil: all defaults.
  public var options: JobOptions?

  /// Makes a submission.
  public init(
    task: String, args: String = "[]", id: JobID? = nil, pool: String? = nil,
    options: JobOptions? = nil
  ) {
    self.id = id
    self.task = task
    self.pool = pool
    self.args = args
    self.options = options
  }
}
