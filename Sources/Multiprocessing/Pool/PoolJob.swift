/// What a pool runs for one call to it, in one chunk or several. Who conforms knows the types.
protocol PoolJob: AnyObject, Sendable {
  /// A chunk has ended. Called once for each, by the supervisor, and with an error for what is left
  /// when the pool ends. Returns whether `runCallbacks` is to be called, once, by another thread.
  func chunkEnded(_ chunk: Int, _ outcome: ChunkOutcome) -> Bool

  /// Calls the callback that is due, and then has the job end. Of one that has callbacks.
  func runCallbacks()

  /// Has the job end with an error, unless it has ended.
  func abandon(_ error: any Error)
}

extension PoolJob {
  func runCallbacks() {}
}

/// How a chunk ended.
enum ChunkOutcome: Sendable {
  /// Its results, a JSON array.
  case returned(String)
  /// The error of one of its items, as a worker writes it; which items it had, see `PoolCall`.
  case raised(String, items: Range<Int>?)
  /// It was not answered.
  case failed(any Error)

  /// The error, in the types of this process; nil for results.
  func error(_ coders: [ErrorCoder]) -> (any Error)? {
    switch self {
    case .returned: nil
    case .raised(let text, let items): RemoteError.read(text, coders, items: items)
    case .failed(let error): error
    }
  }
}

/// One chunk on its way to a worker.
struct PoolCall {
  let job: any PoolJob
  let chunk: Int
  let task: String
  /// Which of the job's arguments they are; nil for the only one of `apply`.
  let items: Range<Int>?
  /// A JSON array.
  let arguments: [UInt8]
  /// The pool's calls are counted as they are given to workers for the first time; 0 before.
  var serial: UInt64 = 0
}
