import Glibc

/// What a pool cannot do, and what became of a job without its task having failed.
public struct PoolError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public enum Code: Equatable, Sendable {
    /// The pool was closed or terminated: it takes no more jobs. CPython: ValueError.
    case notRunning
    /// `join` before `close` or `terminate`. CPython: ValueError.
    case stillRunning
    /// The pool was terminated before the job was done.
    case terminated
    /// The worker that ran the job was ended by a signal (`exitcode` is -N then), or is gone with
    /// the fork server (255). The `reason` is the pool's own, if it was the one to end it.
    case workerLost(pid: Int32, exitcode: Int32, reason: String?)
    /// The task called `exit` with this code.
    case workerExited(pid: Int32, exitcode: Int32)
    /// The initializer failed too often, with no worker ready: the pool broke.
    case initializerFailed(String)
    /// No worker can be started or stays alive long enough to be ready: the pool broke, or was
    /// never made.
    case noWorkers(String)
    /// An argument of the call to the pool that it does not take. CPython: ValueError.
    case invalidArgument(String)
    /// The argument of a task cannot be encoded.
    case argumentEncoding(String)
    /// `successful` of a result that is not ready. CPython: ValueError.
    case notReady
    /// A callback waits for its own pool to end, which waits for the callback.
    case joinInCallback
    /// The pool belongs to the process that made it, of which this one is a fork.
    case otherProcess
  }

  /// What is wrong.
  public let code: Code
  /// The name of the task that a worker was lost with; nil with all other codes.
  public let task: String?
  /// Which of the arguments of `map`, `imap` and the like the worker had, one of which it was lost
  /// with; nil for that of `apply`, and with all other codes.
  public let items: Range<Int>?

  init(_ code: Code, of call: PoolCall? = nil) {
    self.code = code
    task = call?.task
    items = call?.items
  }

  /// What happened, and what would be right.
  public var description: String {
    switch code {
    case .notRunning: "Pool not running"
    case .stillRunning: "Pool is still running: close or terminate it before it is joined"
    case .terminated: "the pool was terminated before the job was done"
    case .workerLost(let pid, let exitcode, let reason):
      "worker \(pid) was lost while it ran \(job): "
        + (reason.map { "\($0), " } ?? "") + Self.describe(exitcode)
    case .workerExited(let pid, let exitcode):
      "\(job) ended its worker \(pid) with exit(\(exitcode))"
    case .initializerFailed(let reason), .noWorkers(let reason): "the pool is broken: \(reason)"
    case .invalidArgument(let text): text
    case .argumentEncoding(let reason): "the argument cannot be encoded: \(reason)"
    case .notReady: "the result is not ready"
    case .joinInCallback:
      "a callback cannot join its pool, which ends when its callbacks have returned"
    case .otherProcess:
      "the pool belongs to the process that made it; make one in this process"
    }
  }

  /// `task 'square', item 3`
  private var job: String {
    guard let task else { return "the job" }
    guard let items, let first = items.first else { return "task '\(task)'" }
    return items.count == 1
      ? "task '\(task)', item \(first)"
      : "task '\(task)', one of the items \(first) to \(items.upperBound - 1)"
  }

  private static func describe(_ exitcode: Int32) -> String {
    exitcode < 0 ? "ended by signal \(-exitcode)" : "exit code \(exitcode)"
  }
}

/// An error callback that failed itself, and the error of the job that it was told.
public struct CallbackError: Error, CustomStringConvertible {
  /// What the callback threw.
  public let error: any Error
  /// What it had been called with.
  public let original: any Error

  /// Both.
  public var description: String { "\(error) (in the error callback of: \(original))" }
}
