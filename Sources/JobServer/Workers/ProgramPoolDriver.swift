import Glibc
import JSON
import JobCore
import JobStorage
import Multiprocessing
import Reactor

/// Joins a pool that runs a program for each call to the engine and the reactor.
final class ProgramPoolDriver: LoggingPoolDriver {
  let id: PoolID
  let configured: Settings.Pool
  var processes: Int { pool.processes }
  var brokenReason: String? { nil }
  var startTrouble: String? { pool.startTrouble }
  private(set) var isEnded = false
  private(set) var isSettled = false

  /// Told of calls while events are drained.
  var observe: ((CallObservation) -> Void)?
  /// Whether the system has killed for want of memory since it was last asked.
  var isOutOfMemory: () -> Bool = { false }

  private let pool: ProgramPool
  private let tasks: [String: TaskSettings]
  private let resultBytesMax: Int
  private let environment: [String: String]
  private let descriptors: PoolDescriptors
  private var running: [UInt64: TaskSettings] = [:]
  /// The chunks among them.
  private var chunks: [UInt64: ProgramChunk] = [:]
  /// When events were last drained.
  private var now = Instant(nanoseconds: 0)
  private var events: [Event] = []
  /// By slot, as the pool told last.
  private var credits: [Int: Int] = [:]
  private var isEnding = false

  /// Programs that the kernel is short of memory for go before the service.
  private static let outOfMemoryAdjustment: Int32 = 500

  init(
    _ id: PoolID, _ configured: Settings.Pool, settings: Settings, environment: [String: String],
    forkServer: ForkServer, reactor: Reactor
  ) throws {
    self.id = id
    self.configured = configured
    let own = settings.tasks.filter { $0.program?.pool == configured.kind }
    tasks = Dictionary(uniqueKeysWithValues: own.map { ($0.name, $0) })
    resultBytesMax = settings.bodyBytesMax
    self.environment = environment
    let descriptors = PoolDescriptors(reactor)
    self.descriptors = descriptors
    pool = try ProgramPool(
      ProgramPoolSettings(
        processes: configured.processes ?? CPUCount.usable,
        folder: "\(settings.directory)/work-\(configured.name)"),
      forkServer: forkServer, watch: descriptors.watch, unwatch: descriptors.unwatch)
    descriptors.ready = { [unowned self] descriptor, readable, writable, now in
      pool.descriptorReady(descriptor, readable: readable, writable: writable, at: now)
    }
  }

  // MARK: What happens

  func start(at instant: Instant) {
    isSettled = true
    events.append(.poolAnnounced(pool: id, tasks: Array(tasks.keys)))
    pool.start(at: instant.nanoseconds)
    if configured.startsWhole { events.append(.poolStarted(pool: id)) }
  }

  func handle(_ event: ForkServerEvent, at instant: Instant) {
    pool.forkServerEvent(event, at: instant.nanoseconds)
  }

  func passTime(at instant: Instant) {
    now = instant
    guard let due = pool.nextDeadline, due <= instant.nanoseconds else { return }
    pool.deadlineReached(at: instant.nanoseconds)
  }

  var nextDeadline: UInt64? { pool.nextDeadline }

  var hasEvents: Bool { !events.isEmpty || pool.hasReports }

  func drainEvents(_ body: (Event) -> Void) {
    let earlier = events
    events.removeAll(keepingCapacity: true)
    for event in earlier { body(event) }
    pool.drainReports { report in
      // From here on the slot's process is that of nobody.
      if case .ended(let call, let end) = report {
        body(slotChanged(of: CallID(rawValue: call), pid: 0))
        if goesOn(CallID(rawValue: call), after: end) { return }
      }
      if let event = event(of: report) { body(event) }
    }
  }

  func takeExits() -> [WorkerExit] { [] }

  private func event(of report: ProgramReport) -> Event? {
    switch report {
    case .slotReady(let slot, let credit):
      credits[slot] = credit
      return .slotReady(SlotID(pool: index, index: slot), credit: credit, pid: 0)
    case .began(let number, let process):
      let call = CallID(rawValue: number)
      observe?(.began(call, process: process))
      return slotChanged(of: call, pid: process)
    case .logGrew(let number):
      observe?(.logGrew(CallID(rawValue: number)))
      return nil
    case .ended(let number, let end):
      let call = CallID(rawValue: number)
      let output = end.status == .exited(0) ? [] : end.output
      observe?(
        .ended(
          call, stdout: ProgramLog(output, bytesMax: end.log.bytesMax), stderr: end.log))
      guard let task = running.removeValue(forKey: number), let program = task.program else {
        return nil
      }
      return ProgramEnding.event(
        of: end, call, program, task.limits,
        outputBytesMax: task.outputBytesMax ?? resultBytesMax,
        isOutOfMemory: isOutOfMemory
      ).ofChunk(chunks.removeValue(forKey: number))
    case .notStarted(let number, _):
      running[number] = nil
      // What its items before have brought is lost: it begins anew.
      chunks[number] = nil
      return .callLost(CallID(rawValue: number), .notStarted)
    case .poolEnded:
      isEnded = true
      return .poolEnded(pool: id)
    }
  }

  /// Takes the result of an item of a chunk and runs the next one. False when the call is over.
  private func goesOn(_ call: CallID, after end: ProgramEnd) -> Bool {
    guard let chunk = chunks[call.rawValue], let task = running[call.rawValue],
      let program = task.program, !end.isEndedByPool, !isEnding
    else { return false }
    let event = ProgramEnding.event(
      of: end, call, program, task.limits, outputBytesMax: task.outputBytesMax ?? resultBytesMax,
      isOutOfMemory: { false })
    guard let next = chunk.next(after: event, resultBytesMax: resultBytesMax),
      pool.room(in: call.slot.index) > 0
    else { return false }
    do throws(ArgumentMismatch) {
      let prepared = try prepare(next, task, program)
      chunks[call.rawValue] = chunk
      pool.assign(call.rawValue, prepared, to: call.slot.index, at: now.nanoseconds)
    } catch {
      running[call.rawValue] = nil
      events.append(mismatch(of: call, error).ofChunk(chunks.removeValue(forKey: call.rawValue)))
    }
    return true
  }

  private func mismatch(of call: CallID, _ error: ArgumentMismatch) -> Event {
    .callLost(
      call,
      .programFailed(
        RaisedError(code: .argumentDecoding, type: "ArgumentMismatch", message: "\(error)")))
  }

  /// Another process is that of the slot of `call`.
  private func slotChanged(of call: CallID, pid: Int32) -> Event {
    .slotReady(call.slot, credit: credits[call.slot.index] ?? 0, pid: pid)
  }

  // MARK: What is to be done

  func assign(_ assignment: Assignment, at instant: Instant) {
    let call = assignment.call
    // The configuration may have changed since the job was accepted.
    guard let task = tasks[assignment.task], let program = task.program else {
      events.append(
        .callLost(
          call,
          .programFailed(
            RaisedError(
              type: "UnknownTask",
              message: "the pool does not run '\(assignment.task)' any more"))))
      return
    }
    guard pool.room(in: call.slot.index) > 0 else {
      events.append(.callLost(call, .notStarted))
      return
    }
    let chunk = ProgramChunk(assignment)
    do throws(ArgumentMismatch) {
      let prepared = try prepare(chunk?.first ?? assignment, task, program)
      running[call.rawValue] = task
      chunks[call.rawValue] = chunk
      pool.assign(call.rawValue, prepared, to: call.slot.index, at: instant.nanoseconds)
    } catch {
      events.append(mismatch(of: call, error).ofChunk(chunk))
    }
  }

  private func prepare(
    _ assignment: Assignment, _ task: TaskSettings, _ program: ProgramSettings
  ) throws(ArgumentMismatch) -> ProgramCall {
    var arguments = try program.arguments.arguments(
      args: assignment.args, kwargs: assignment.kwargs)
    var input: [UInt8] = []
    switch program.input {
    case .nothing: break
    case .lastArgument: input = Array((arguments.popLast() ?? "").utf8)
    case .arguments:
      let kwargs = assignment.kwargs.isEmpty ? "{}" : assignment.kwargs
      input = Array(#"{"args":\#(assignment.args),"kwargs":\#(kwargs)}"#.utf8)
    }
    var call = ProgramCall(
      arguments: arguments, environment: variables(of: assignment, program),
      folderVariables: ["HOME", "TMPDIR", "PWD"], input: input,
      outputBytesMax: task.outputBytesMax ?? resultBytesMax, logBytesMax: program.logBytesMax)
    call.outOfMemoryAdjustment = Self.outOfMemoryAdjustment
    call.limits = task.limits.forProgram
    return call
  }

  private func variables(of assignment: Assignment, _ program: ProgramSettings) -> [String] {
    var variables = ["PATH": ProgramSettings.defaultPath, "LANG": "C.UTF-8"]
    for name in program.inherited {
      if let value = environment[name] { variables[name] = value }
    }
    variables.merge(program.environment) { $1 }
    variables["LIDO_JOB_ID"] = assignment.job.text
    variables["LIDO_TASK"] = assignment.task
    variables["LIDO_ATTEMPT"] = "\(assignment.attempt)"
    return variables.map { "\($0.key)=\($0.value)" }
  }

  func end(_ call: CallID, graceMilliseconds: JobCore.Milliseconds, at instant: Instant) {
    pool.end(
      call.rawValue, grace: UInt64(graceMilliseconds) * 1_000_000, at: instant.nanoseconds)
  }

  func flush() {}

  func resize(to processes: Int, at instant: Instant) {
    pool.resize(to: processes, at: instant.nanoseconds)
  }

  func close(at instant: Instant) {
    pool.close(at: instant.nanoseconds)
  }

  func terminate(at instant: Instant) {
    guard !isEnding else { return }
    isEnding = true
    pool.terminate(grace: 1_000_000_000, at: instant.nanoseconds)
  }

  func process(of slot: Int) -> Int32 { pool.process(of: slot) }

  /// Removes what is left of it in the data folder, once it has ended and does not come back.
  func removeFolder() { pool.removeFolder() }

  // MARK: For people

  var workerCounts: [(state: String, count: Int)] {
    let workers = pool.workers
    let counts = ["starting", "busy", "ending"].map { state in
      (state, workers.count { $0.state.rawValue == state })
    }
    return counts + [("idle", isEnded ? 0 : max(processes - workers.count, 0))]
  }

  var workers: [WorkerSummary] { pool.workers }

  /// What it writes to stdout is its result, and a log only if it has failed.
  func log(of call: CallID, _ stream: JobLog.Stream) -> ProgramLog? {
    stream == .stderr ? pool.log(of: call.rawValue) : nil
  }
}
