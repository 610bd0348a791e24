import JobCore
import JobStorage
import Multiprocessing

/// What the server asks of a pool, whatever runs its calls: kept workers, or a program for each
/// call. A driver translates between its pool and the engine and decides nothing.
protocol PoolDriver: AnyObject {
  /// Which pool it is; its position is part of every slot's name.
  var id: PoolID { get }
  /// What it was made with; of a created pool what its template and its client make together.
  var configured: Settings.Pool { get }
  /// How many calls it runs at a time.
  var processes: Int { get }
  /// Why it runs nothing any more.
  var brokenReason: String? { get }
  /// Why its last start of a process failed, while it is tried again; nil once one has succeeded.
  var startTrouble: String? { get }
  /// Whether all its processes are gone for good.
  var isEnded: Bool { get }
  /// Whether it can run calls, or never will.
  var isSettled: Bool { get }

  /// Whether the system has killed for want of memory since it was last asked; asked when a
  /// SIGKILL that nobody here sent has ended a process.
  var isOutOfMemory: () -> Bool { get set }

  // What happens.
  func start(at instant: Instant)
  func handle(_ event: ForkServerEvent, at instant: Instant)
  func passTime(at instant: Instant)
  /// In nanoseconds of the monotonic clock.
  var nextDeadline: UInt64? { get }
  /// Whether events wait that no descriptor announces.
  var hasEvents: Bool { get }
  /// Hands over what happened since the last time, in order.
  func drainEvents(_ body: (Event) -> Void)
  /// Takes the workers that ended since the last time.
  func takeExits() -> [WorkerExit]

  // What is to be done.
  /// Hands a call to its slot. If it cannot run there any more, it comes back as not started.
  func assign(_ assignment: Assignment, at instant: Instant)
  func end(_ call: CallID, graceMilliseconds: JobCore.Milliseconds, at instant: Instant)
  /// Writes what was assigned.
  func flush()
  /// Runs so many calls at a time from now on; what runs beyond goes on to its end.
  func resize(to processes: Int, at instant: Instant)
  /// Ends once what runs is over; to be called when nothing else is owed.
  func close(at instant: Instant)
  /// Ends everything: SIGTERM now, SIGKILL after a second.
  func terminate(at instant: Instant)

  /// The process that a slot's call runs in; 0 while there is none.
  func process(of slot: Int) -> Int32

  // For people.
  /// Workers by state.
  var workerCounts: [(state: String, count: Int)] { get }
  /// The workers, and the last ones that are gone.
  var workers: [WorkerSummary] { get }
}

extension PoolDriver {
  var index: Int { id.index }

  var name: String { configured.name }

  /// `starting`, `running` or `broken`.
  var condition: String {
    if brokenReason != nil { return "broken" }
    return isSettled ? "running" : "starting"
  }

  /// The same for people who look for what is wrong: with the reason why no process starts.
  var conditionInWords: String {
    guard brokenReason == nil, let startTrouble else { return condition }
    return "\(condition): \(startTrouble)"
  }
}

/// A pool whose calls write logs.
protocol LoggingPoolDriver: PoolDriver {
  /// Told of calls while events are drained.
  var observe: ((CallObservation) -> Void)? { get set }
  /// What a running call has written to a stream so far; nil if there is no such call, or if that
  /// is its result.
  func log(of call: CallID, _ stream: JobLog.Stream) -> ProgramLog?
}

/// What happened to a call besides its end.
enum CallObservation {
  /// Its program runs, as this process.
  case began(CallID, process: Int32)
  /// It wrote to stdout or stderr.
  case logGrew(CallID)
  /// It told how far it is; the engine hears of it, too.
  case progressed(CallID, Progress)
  /// It made a value, JSON text, before its end.
  case item(CallID, value: String)
  /// It is over: what is to be kept of what it wrote.
  case ended(CallID, stdout: ProgramLog, stderr: ProgramLog)
}

/// A call that is handed to a slot: an attempt of a job.
struct Assignment {
  /// What is to be run.
  enum Kind: Equatable {
    /// The task once.
    case call
    /// The task for each element of `args`, in order; if it is `star`, each is an array of
    /// arguments.
    case chunk(star: Bool)
  }

  let call: CallID
  let job: JobID
  /// From 1.
  let attempt: Int
  let task: String
  /// A JSON array.
  let args: String
  /// A JSON object, or nothing.
  let kwargs: String
  var kind = Kind.call
  /// How values travel.
  var encoding = Encoding.json
  /// The path of the script that the task is in.
  var main: String?
}

extension Loss {
  /// Why a call of a worker that stays is lost.
  init(
    _ status: ExitStatus, started: Bool, reason: String?, isOutOfMemory: () -> Bool
  ) {
    guard started else {
      self = .notStarted
      return
    }
    if let reason {
      self = .protocolBroken(reason)
      return
    }
    self =
      switch status {
      case .unknown: .interrupted
      case .signalled(9) where isOutOfMemory(): .outOfMemory(exitcode: -9)
      case .exited, .signalled: .workerExited(exitcode: status.exitcode)
      }
  }
}

extension WorkerExit {
  /// The end of a worker that stays, as its pool knows it.
  init(_ gone: WorkerSummary, _ status: ExitStatus, poolIsEnding: Bool) {
    reason =
      switch status {
      case .unknown: "lost"
      case .exited where gone.isEndedByPool, .signalled where gone.isEndedByPool: "ended"
      case .exited(0): "retired"
      case .exited: "exited"
      case .signalled: "signalled"
      }
    pid = gone.process
    exitcode = status == .unknown ? nil : status.exitcode
    slot = gone.slot
    call = gone.call.map(CallID.init(rawValue:))
    isExpected = reason == "ended" || reason == "retired" || poolIsEnding
    fault = gone.fault
  }
}

/// A worker that has ended, for the log and the metrics.
struct WorkerExit {
  let pid: Int32
  /// Python's; nil where nobody knows it.
  let exitcode: Int32?
  /// `retired`, `ended` (by its pool, as it was asked to), `exited`, `signalled`, or `lost` with
  /// the fork server.
  let reason: String
  /// The slot that it worked for.
  let slot: Int
  /// The call that it had begun and did not answer.
  let call: CallID?
  /// Whether it ended as it was told to.
  let isExpected: Bool
  /// What it did for which the service has ended it, or why it was never ready.
  var fault: String?
}
