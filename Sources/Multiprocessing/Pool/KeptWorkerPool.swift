/// What pools have in common whose workers stay: a driver needs no more to know of either.
///
/// Everything belongs to one thread and never waits. Times are nanoseconds of one monotonic clock,
/// the owner's.
public protocol KeptWorkerPool: AnyObject {
  /// Starts the workers.
  func start(at now: UInt64)
  /// Writes what was assigned: one system call for each worker that has something.
  func flush()
  /// See `PoolState.end`.
  func end(_ call: UInt64, grace: UInt64, at now: UInt64)
  /// See `PoolState.resize`.
  func resize(to processes: Int, at now: UInt64)
  /// See `PoolState.close`.
  func close(at now: UInt64)
  /// See `PoolState.terminate`.
  func terminate(grace: UInt64, at now: UInt64)

  /// The fork server told something. Returns false if it is about another's process.
  @discardableResult
  func forkServerEvent(_ event: ForkServerEvent, at now: UInt64) -> Bool
  /// It is `now`: what was due is done.
  func deadlineReached(at now: UInt64)
  /// The earliest time at which `deadlineReached` has something to do; nil: never.
  var nextDeadline: UInt64? { get }

  /// Whether it has reports that were not taken.
  var hasReports: Bool { get }

  /// How many further calls may be assigned to a slot at this moment.
  func room(in slot: Int) -> Int
  /// The process of a slot's worker; 0 while it has none.
  func process(of slot: Int) -> Int32
  /// The workers that live, in the order of their places.
  var workers: [WorkerSummary] { get }
  /// The last 16 workers that are gone, the latest last.
  var goneWorkers: [WorkerSummary] { get }
  /// Why the last start of a worker failed; nil once one is ready again.
  var startTrouble: String? { get }
  /// How many processes it is to have.
  var processes: Int { get }
}

extension WorkerPool: KeptWorkerPool {}
extension LineWorkerPool: KeptWorkerPool {}
