import JSON
import JobCore
import JobStorage
import Multiprocessing
import Reactor

/// Joins a pool whose workers are programs that stay to the engine and the reactor.
final class LineWorkerPoolDriver: LoggingPoolDriver {
  let index: Int
  let configured: Settings.Pool
  let processes: Int
  private(set) var brokenReason: String?
  var startTrouble: String? { pool.startTrouble }
  private(set) var isEnded = false

  /// Told of calls while events are drained.
  var observe: ((CallObservation) -> Void)?
  /// Told what a worker wrote while it ran nothing.
  var observeStray: ((_ process: Int32, _ text: [UInt8]) -> Void)?
  /// Whether the system has killed for want of memory since it was last asked.
  var isOutOfMemory: () -> Bool = { false }

  private let pool: LineWorkerPool
  private let allowsPickle: Bool
  private let allowsMain: Bool
  private let descriptors: PoolDescriptors
  private var events: [Event] = []
  private var exits: [WorkerExit] = []
  private var hasAnnounced = false
  private var isEnding = false
  /// The largest result of a task that has a bound of its own, and of its calls in flight.
  private var outputMaxByTask: [String: Int] = [:]
  private var outputMaxByCall: [UInt64: Int] = [:]

  /// Programs that the kernel is short of memory for go before the service.
  private static let outOfMemoryAdjustment: Int32 = 500

  init(
    index: Int, settings: Settings, _ program: WorkerProgramSettings,
    environment: [String: String], forkServer: ForkServer, reactor: Reactor
  ) {
    let configured = settings.pools[index]
    self.index = index
    self.configured = configured
    for task in settings.tasks { outputMaxByTask[task.name] = task.outputBytesMax }
    processes = configured.processes ?? CPUCount.usable
    var poolSettings = PoolSettings(processes: processes)
    poolSettings.callsPerWorkerMax = configured.maxTasksPerChild
    var workers = LineWorkerSettings(arguments: program.arguments)
    workers.name = configured.name
    workers.environment = program.environment(in: environment)
    workers.folder = program.directory
    workers.initializer = program.initializer
    workers.initializerArguments = program.initializerArguments
    workers.allowsPickle = program.allowsPickle && settings.allowsPickle
    workers.allowsMain = program.allowsMain
    workers.readyMax = UInt64(program.readyTimeout) * 1_000_000
    workers.resultBytesMax = program.outputBytesMax ?? settings.bodyBytesMax
    workers.logBytesMax = program.logBytesMax
    workers.outOfMemoryAdjustment = Self.outOfMemoryAdjustment
    allowsPickle = workers.allowsPickle
    allowsMain = workers.allowsMain
    let descriptors = PoolDescriptors(reactor)
    self.descriptors = descriptors
    pool = LineWorkerPool(
      poolSettings, workers: workers, forkServer: forkServer, watch: descriptors.watch,
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

  var hasEvents: Bool { !events.isEmpty || pool.hasReports }

  func drainEvents(_ body: (Event) -> Void) {
    pool.drainReports { report in
      if let event = event(of: report) { body(event) }
    }
    // Last: a call comes back because its slot lost its credit, which a report above has told.
    if !events.isEmpty {
      for event in events { body(event) }
      events.removeAll(keepingCapacity: true)
    }
  }

  func takeExits() -> [WorkerExit] {
    defer { exits.removeAll() }
    return exits
  }

  private func event(of report: LineWorkerReport) -> Event? {
    switch report {
    case .pool(let report): return event(of: report)
    case .announced(let tasks, let isDynamic):
      hasAnnounced = true
      return .poolAnnounced(pool: index, tasks: tasks, isDynamic: isDynamic)
    case .progressed(let number, let value, let message):
      let call = CallID(rawValue: number)
      let progress = Progress(value: value, message: message)
      observe?(.progressed(call, progress))
      return .callProgressed(call, progress)
    case .item(let call, let value): observe?(.item(CallID(rawValue: call), value: value))
    case .logGrew(let call): observe?(.logGrew(CallID(rawValue: call)))
    case .logEnded(let call, let stdout, let stderr):
      observe?(.ended(CallID(rawValue: call), stdout: stdout, stderr: stderr))
    case .stray(let process, let text): observeStray?(process, text)
    }
    return nil
  }

  private func event(of report: PoolReport) -> Event? {
    switch report {
    case .slotReady(let slot, let credit):
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

  func assign(_ assignment: Assignment, at instant: Instant) {
    let call = assignment.call
    guard pool.room(in: call.slot.index) > 0 else {
      events.append(.callLost(call, .notStarted))
      return
    }
    // The configuration may have changed since the job was accepted.
    guard assignment.encoding == .json || allowsPickle, assignment.main == nil || allowsMain else {
      let message = "the pool takes no pickle, or no script of a submitter's, any more"
      events.append(
        .callLost(call, .programFailed(RaisedError(type: "NotAllowed", message: message))))
      return
    }
    if !outputMaxByTask.isEmpty, let bytesMax = outputMaxByTask[assignment.task] {
      outputMaxByCall[call.rawValue] = bytesMax
    }
    pool.assign(LineCall(assignment), to: call.slot.index, at: instant.nanoseconds)
  }

  func end(_ call: CallID, graceMilliseconds: JobCore.Milliseconds, at instant: Instant) {
    pool.end(
      call.rawValue, grace: UInt64(graceMilliseconds) * 1_000_000, at: instant.nanoseconds)
  }

  func flush() {
    pool.flush()
  }

  func terminate(at instant: Instant) {
    guard !isEnding else { return }
    isEnding = true
    pool.terminate(grace: 1_000_000_000, at: instant.nanoseconds)
  }

  func process(of slot: Int) -> Int32 { pool.process(of: slot) }

  func log(of call: CallID, _ stream: JobLog.Stream) -> ProgramLog? {
    pool.log(of: call.rawValue).map { stream == .stdout ? $0.stdout : $0.stderr }
  }

  // MARK: For people

  /// Whether it has had a ready worker, or never will.
  var isSettled: Bool { hasAnnounced || brokenReason != nil }

  var workerCounts: [(state: String, count: Int)] {
    let workers = pool.workers
    return ["starting", "idle", "busy", "ending"].map { state in
      (state, workers.count { $0.state.rawValue == state })
    }
  }

  var workers: [WorkerSummary] {
    pool.workers.sorted { $0.slot < $1.slot } + pool.goneWorkers
  }
}

extension LineCall {
  /// An assignment as the worker hears of it.
  fileprivate init(_ assignment: Assignment) {
    var writer = JSONWriter(capacity: 96)
    writer.member("attempt", integer: assignment.attempt)
    writer.member("job", string: assignment.job.text)
    if assignment.encoding != .json {
      writer.member("encoding", string: assignment.encoding.rawValue)
    }
    writer.memberIfPresent("main", string: assignment.main)
    let kind: LineCall.Kind =
      switch assignment.kind {
      case .call: .call(args: assignment.args, kwargs: assignment.kwargs)
      case .chunk(let star): .chunk(items: assignment.args, star: star)
      }
    self.init(
      number: assignment.call.rawValue, task: assignment.task, kind: kind,
      members: String(decoding: writer.bytes, as: UTF8.self))
  }
}
