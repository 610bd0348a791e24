import JobCore
import Multiprocessing

/// A driver of a pool whose workers stay, in whatever language: what does not depend on that.
protocol KeptPoolDriver: PoolDriver {
  associatedtype Workers: KeptWorkerPool
  var pool: Workers { get }
  var books: KeptPoolBooks { get set }
}

/// What such a driver knows beside its pool, and how it tells the engine what the pool reports.
struct KeptPoolBooks {
  let id: PoolID
  let configured: Settings.Pool
  /// Why the pool runs nothing any more.
  private(set) var brokenReason: String?
  /// Whether all its workers are gone for good.
  private(set) var isEnded = false
  /// Whether it has had a worker that takes calls.
  private(set) var hasHadReadyWorker = false
  /// Whether its workers are to end, and whether at once.
  var isEnding = false
  var isTerminating = false
  /// What no report tells: calls that come back without having been assigned.
  var events: [Event] = []
  fileprivate var exits: [WorkerExit] = []
  /// The largest result of a task that has a bound of its own, and of its calls in flight.
  private var outputMaxByTask: [String: Int] = [:]
  private var outputMaxByCall: [UInt64: Int] = [:]

  init(_ id: PoolID, _ configured: Settings.Pool, _ settings: Settings) {
    self.id = id
    self.configured = configured
    for task in settings.tasks { outputMaxByTask[task.name] = task.outputBytesMax }
  }

  /// Notes that a call was assigned.
  @inline(__always)
  mutating func noteAssigned(_ assignment: Assignment) {
    if !outputMaxByTask.isEmpty, let bytesMax = outputMaxByTask[assignment.task] {
      outputMaxByCall[assignment.call.rawValue] = bytesMax
    }
  }

  /// What the engine is to hear of a report.
  mutating func event(
    of report: PoolReport, _ pool: some KeptWorkerPool, isOutOfMemory: () -> Bool
  ) -> Event? {
    switch report {
    case .slotReady(let slot, let credit):
      if credit > 0 { hasHadReadyWorker = true }
      return .slotReady(
        SlotID(pool: id.index, index: slot), credit: credit, pid: pool.process(of: slot))
    case .slotGone(let slot):
      return .slotGone(SlotID(pool: id.index, index: slot))
    case .callEnded(let call, .returned(let text)):
      return returned(CallID(rawValue: call), text)
    case .callEnded(let call, .raised(let text)):
      outputMaxByCall[call] = nil
      return .callRaised(CallID(rawValue: call), RaisedErrorReader.read(text))
    case .callLost(let call, let status, let started, let reason):
      outputMaxByCall[call] = nil
      return .callLost(
        CallID(rawValue: call),
        Loss(status, started: started, reason: reason, isOutOfMemory: isOutOfMemory))
    case .poolBroke(let reason):
      brokenReason = reason
      return .poolBroke(pool: id, reason: reason)
    case .poolStarted:
      return .poolStarted(pool: id)
    case .poolEnded:
      isEnded = true
      return .poolEnded(pool: id)
    }
  }

  private mutating func returned(_ call: CallID, _ text: String) -> Event {
    guard !outputMaxByCall.isEmpty,
      let bytesMax = outputMaxByCall.removeValue(forKey: call.rawValue),
      text.utf8.count > bytesMax
    else { return .callReturned(call, result: text) }
    return .callRaised(
      call,
      RaisedError(
        code: .outputLimit, type: "OutputLimitPassed",
        message: "the result has \(text.utf8.count) bytes; its task may answer \(bytesMax)"))
  }

  /// Takes what no report tells. To be handed over last: a call comes back because its slot lost
  /// its credit, which a report has told.
  mutating func takeEvents() -> [Event] {
    guard !events.isEmpty else { return [] }
    defer { events.removeAll(keepingCapacity: true) }
    return events
  }
}

extension KeptPoolDriver {
  var id: PoolID { books.id }
  var configured: Settings.Pool { books.configured }
  var processes: Int { pool.processes }
  var brokenReason: String? { books.brokenReason }
  var startTrouble: String? { pool.startTrouble }
  var isEnded: Bool { books.isEnded }

  // MARK: What happens

  func start(at instant: Instant) {
    pool.start(at: instant.nanoseconds)
  }

  func handle(_ event: ForkServerEvent, at instant: Instant) {
    let isOurs = pool.forkServerEvent(event, at: instant.nanoseconds)
    guard isOurs, case .exited(_, let status, _) = event, let gone = pool.goneWorkers.last else {
      return
    }
    books.exits.append(WorkerExit(gone, status, poolIsEnding: books.isEnding))
  }

  func passTime(at instant: Instant) {
    guard let due = pool.nextDeadline, due <= instant.nanoseconds else { return }
    pool.deadlineReached(at: instant.nanoseconds)
  }

  var nextDeadline: UInt64? { pool.nextDeadline }

  /// Whether events wait that no descriptor announces.
  var hasEvents: Bool { !books.events.isEmpty || pool.hasReports }

  func takeExits() -> [WorkerExit] {
    guard !books.exits.isEmpty else { return [] }
    defer { books.exits.removeAll() }
    return books.exits
  }

  // MARK: What is to be done

  func end(_ call: CallID, graceMilliseconds: JobCore.Milliseconds, at instant: Instant) {
    pool.end(
      call.rawValue, grace: UInt64(graceMilliseconds) * 1_000_000, at: instant.nanoseconds)
  }

  func flush() {
    pool.flush()
  }

  func resize(to processes: Int, at instant: Instant) {
    pool.resize(to: processes, at: instant.nanoseconds)
  }

  func close(at instant: Instant) {
    books.isEnding = true
    pool.close(at: instant.nanoseconds)
  }

  func terminate(at instant: Instant) {
    guard !books.isTerminating else { return }
    books.isTerminating = true
    books.isEnding = true
    pool.terminate(grace: 1_000_000_000, at: instant.nanoseconds)
  }

  func process(of slot: Int) -> Int32 { pool.process(of: slot) }

  // MARK: For people

  var workerCounts: [(state: String, count: Int)] {
    let workers = pool.workers
    return ["starting", "idle", "busy", "ending"].map { state in
      (state, workers.count { $0.state.rawValue == state })
    }
  }

  /// The workers, and the last ones that are gone.
  var workers: [WorkerSummary] {
    pool.workers.sorted { $0.slot < $1.slot } + pool.goneWorkers
  }
}
