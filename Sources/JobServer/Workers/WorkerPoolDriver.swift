import Glibc
import JobCore
import Multiprocessing
import Reactor

/// Joins a pool of kept workers to the engine and the reactor: reports become events, effects
/// become calls.
final class WorkerPoolDriver: PoolDriver {
  /// Its position among the configured pools; part of every slot's name.
  let index: Int
  let configured: Settings.Pool
  /// How many workers it keeps.
  let processes: Int
  /// Why it runs nothing any more.
  private(set) var brokenReason: String?
  /// Why the last start of a worker failed; nil once one is ready again.
  var startTrouble: String? { pool.startTrouble }
  /// Whether all its workers are gone for good.
  private(set) var isEnded = false

  private let pool: WorkerPool
  private let descriptors: PoolDescriptors
  private var events: [Event] = []
  private var exits: [WorkerExit] = []
  private var hasAnnounced = false
  private var hasHadReadyWorker = false
  private var isEnding = false
  /// The largest result of a task that has a bound of its own, and of its calls in flight.
  private var outputMaxByTask: [String: Int] = [:]
  private var outputMaxByCall: [UInt64: Int] = [:]

  /// Whether the system has killed for want of memory since it was last asked.
  var isOutOfMemory: () -> Bool = { false }

  init(
    index: Int, settings configuration: Settings, forkServer: ForkServer, reactor: Reactor
  ) throws {
    let configured = configuration.pools[index]
    self.index = index
    self.configured = configured
    for task in configuration.tasks { outputMaxByTask[task.name] = task.outputBytesMax }
    processes = configured.processes ?? CPUCount.usable
    var settings = PoolSettings(processes: processes)
    settings.callsPerWorkerMax = configured.maxTasksPerChild
    var workers = WorkerSettings()
    workers.startMethod = configured.startMethod
    workers.initializer = configured.initializer
    workers.initializerArguments = configured.initializerArguments
    workers.resultBytesMax = configuration.bodyBytesMax
    for task in configuration.tasks where task.program == nil {
      workers.openFilesMax[task.name] = task.openFilesMax.map { UInt32(clamping: $0) }
    }
    let descriptors = PoolDescriptors(reactor)
    self.descriptors = descriptors
    pool = try WorkerPool(
      settings, workers: workers, forkServer: forkServer, watch: descriptors.watch,
      unwatch: descriptors.unwatch)
    descriptors.ready = { [unowned self] descriptor, readable, writable, now in
      pool.descriptorReady(descriptor, readable: readable, writable: writable, at: now)
    }
  }

  // MARK: What happens

  func start(at instant: Instant) {
    pool.start(at: instant.nanoseconds)
  }

  func handle(_ event: ForkServerEvent, at instant: Instant) {
    let isOurs = pool.forkServerEvent(event, at: instant.nanoseconds)
    guard isOurs, case .exited(_, let status, _) = event, let gone = pool.goneWorkers.last else {
      return
    }
    exits.append(WorkerExit(gone, status, poolIsEnding: isEnding))
  }

  func passTime(at instant: Instant) {
    guard let due = pool.nextDeadline, due <= instant.nanoseconds else { return }
    pool.deadlineReached(at: instant.nanoseconds)
  }

  var nextDeadline: UInt64? { pool.nextDeadline }

  /// Hands over what happened since the last time, in order.
  func drainEvents(_ body: (Event) -> Void) {
    if !hasAnnounced, let tasks = pool.taskNames {
      hasAnnounced = true
      body(.poolAnnounced(pool: index, tasks: tasks))
    }
    pool.drainReports { report in
      if let event = event(of: report) { body(event) }
    }
    // Last: a call comes back because its slot lost its credit, which a report above has told.
    if !events.isEmpty {
      for event in events { body(event) }
      events.removeAll(keepingCapacity: true)
    }
  }

  /// Takes the workers that ended since the last time.
  func takeExits() -> [WorkerExit] {
    defer { exits.removeAll() }
    return exits
  }

  private func event(of report: PoolReport) -> Event? {
    switch report {
    case .slotReady(let slot, let credit):
      if credit > 0 { hasHadReadyWorker = true }
      return .slotReady(
        SlotID(pool: index, index: slot), credit: credit, pid: pool.process(of: slot))
    case .slotGone(let slot):
      return .slotGone(SlotID(pool: index, index: slot))
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
      return .poolBroke(pool: index, reason: reason)
    case .poolEnded:
      isEnded = true
      return nil
    }
  }

  private func returned(_ call: CallID, _ text: String) -> Event {
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

  // MARK: What is to be done

  /// Hands a call to its slot's worker; written by the next `flush`.
  ///
  /// The worker may have ended after the engine decided: then the call comes back as not started.
  func assign(_ assignment: Assignment, at instant: Instant) {
    let call = assignment.call
    guard pool.room(in: call.slot.index) > 0 else {
      events.append(.callLost(call, .notStarted))
      return
    }
    if !outputMaxByTask.isEmpty, let bytesMax = outputMaxByTask[assignment.task] {
      outputMaxByCall[call.rawValue] = bytesMax
    }
    if case .chunk(let isStar) = assignment.kind {
      return pool.assignChunk(
        call.rawValue, task: assignment.task, items: assignment.args, isStar: isStar,
        to: call.slot.index, at: instant.nanoseconds)
    }
    pool.assign(
      call.rawValue, attempt: UInt32(assignment.attempt), task: assignment.task,
      args: assignment.args, kwargs: assignment.kwargs, to: call.slot.index,
      at: instant.nanoseconds)
  }

  func end(_ call: CallID, graceMilliseconds: JobCore.Milliseconds, at instant: Instant) {
    pool.end(
      call.rawValue, grace: UInt64(graceMilliseconds) * 1_000_000, at: instant.nanoseconds)
  }

  func flush() {
    pool.flush()
  }

  func process(of slot: Int) -> Int32 { pool.process(of: slot) }

  /// Ends all workers: SIGTERM now, SIGKILL after a second.
  func terminate(at instant: Instant) {
    guard !isEnding else { return }
    isEnding = true
    pool.terminate(grace: 1_000_000_000, at: instant.nanoseconds)
  }

  /// Whether events wait that no descriptor announces.
  var hasEvents: Bool { !events.isEmpty }

  // MARK: For people

  /// Whether it has had a ready worker, or never will.
  var isSettled: Bool { (hasAnnounced && hasHadReadyWorker) || brokenReason != nil }

  /// Workers by state.
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
