/// How a job failed, as its handle shows it.
public struct JobError: Equatable, Sendable {
  /// The closed set of reasons; the words are stable, clients may act on them.
  public enum Code: String, CaseIterable, Sendable {
    /// The task threw an error.
    case raised
    /// The worker ended with an exit status of its own while it ran the job.
    case exited
    /// The worker was ended by a signal while it ran the job, whoever sent it.
    case signalled
    /// The attempt passed the job's `timeout`.
    case timedOut = "timed_out"
    /// The attempt passed its task's limit of memory.
    case memoryLimit = "memory_limit"
    /// The attempt passed its task's limit of CPU time.
    case cpuLimit = "cpu_limit"
    /// The system killed the worker because the machine, or the container, ran out of memory.
    case oomKilled = "oom_killed"
    /// The arguments do not decode as the task's argument type.
    case argumentDecoding = "argument_decoding"
    /// The task's value does not encode as JSON.
    case resultEncoding = "result_encoding"
    /// The task's value, or what it printed, is larger than it may be.
    case outputLimit = "output_limit"
    /// The worker is gone and nobody knows how.
    case workerLost = "worker_lost"
    /// The pool broke: its workers' initializer kept failing.
    case initializerFailed = "initializer_failed"
    /// The pool was terminated with the job still open.
    case poolTerminated = "pool_terminated"
    /// The service was cut off while the job ran, and the job is not to run again.
    case interrupted

    /// Whether another attempt could end differently.
    public var isWorthRetrying: Bool {
      switch self {
      case .raised, .exited, .signalled, .timedOut, .oomKilled, .workerLost: true
      case .argumentDecoding, .resultEncoding, .outputLimit, .memoryLimit, .cpuLimit,
        .initializerFailed, .poolTerminated, .interrupted:
        false
      }
    }
  }

  /// Why, in one stable word.
  public var code: Code
  /// The type of the error in the task's language, or the name of the fact (`"WorkerExited"`).
  public var type: String
  /// A sentence for people.
  public var message: String
  /// Where it was raised, if the worker could tell.
  public var traceback: String?
  /// What the error was made with, where its language has that: the text of a JSON array.
  public var args: String?
  /// Where its type is defined, if the worker could tell.
  public var module: String?
  /// The error itself in the pickle of Python, in base64; nobody here opens it.
  public var pickle: String?
  /// Python's `exitcode` of the worker: n, or -N for a death by signal N.
  public var exitcode: Int32?
  /// The attempt that failed, from 1.
  public var attempt: Int
  /// Of a chunk: which of its items failed, from 0; nil where nobody knows.
  public var item: Int?
  /// Of a chunk: the values of the items before that one, as the text of a JSON array.
  public var values: String?

  /// Makes an error; `attempt` counts from 1.
  public init(
    code: Code, type: String, message: String, traceback: String? = nil, args: String? = nil,
    module: String? = nil, pickle: String? = nil, exitcode: Int32? = nil, attempt: Int,
    item: Int? = nil, values: String? = nil
  ) {
    self.code = code
    self.type = type
    self.message = message
    self.traceback = traceback
    self.args = args
    self.module = module
    self.pickle = pickle
    self.exitcode = exitcode
    self.attempt = attempt
    self.item = item
    self.values = values
  }

  /// The signal that ended the worker, if one did.
  public var signal: Int32? {
    exitcode.flatMap { $0 < 0 ? -$0 : nil }
  }

  /// Bytes of text that the error holds, as retention counts them.
  public var bytes: Int {
    [message, traceback, args, module, pickle, values].reduce(type.utf8.count) {
      $0 + ($1?.utf8.count ?? 0)
    }
  }
}
