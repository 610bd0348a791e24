import Glibc

/// A pool that runs one program per call: slots that each run one at a time, through the fork
/// server. Performs what `ProgramState` decides, and nothing else.
///
/// It has no thread and no epoll of its own. Its owner watches the descriptors that `watch` names,
/// tells it what happens, and after each of these calls takes its `drainReports`. Nothing waits for
/// a program, or for a disk longer than it takes to make and remove an empty folder; everything
/// belongs to one thread. Times are nanoseconds of one monotonic clock, the owner's.
///
/// The process must ignore SIGPIPE (`signal(SIGPIPE, SIG_IGN)`): programs need not read what they
/// are given. The entries of its fork server must have `EntryPoint.sweeper`.
public final class ProgramPool {
  /// Watches a descriptor for reading and, if so asked, for writing. Throws, with stage
  /// `watching`, when the system has no watch left.
  public typealias Watch = (_ descriptor: Int32, _ writable: Bool) throws(StartFailure) -> Void

  /// What a pipe holds by default, pipe(7): more never comes with one read.
  private static let readBytesMax = 64 << 10

  var state: ProgramState
  let forkServer: ForkServer
  private let watch: Watch
  private let unwatch: (_ descriptor: Int32) -> Void
  let folders: WorkingFolders
  var sweeps = SweepSchedule()
  var sweeper: ProcessToken?
  /// By slot.
  private var runs: [ProgramRun?]
  /// By descriptor.
  private var runsByDescriptor: [ProgramRun?] = []
  private var runsByToken: [ProcessToken: ProgramRun] = [:]
  var reports: [ProgramReport] = []
  private var reportsInHand: [ProgramReport] = []
  let readBuffer: UnsafeMutableRawBufferPointer

  /// A pool that runs nothing before `start`. `unwatch` is called before a descriptor is closed.
  ///
  /// Throws if the folder for the working folders can neither be made nor used.
  public init(
    _ settings: ProgramPoolSettings, forkServer: ForkServer, watch: @escaping Watch,
    unwatch: @escaping (_ descriptor: Int32) -> Void
  ) throws(SystemCallError) {
    state = ProgramState(settings)
    folders = try WorkingFolders(at: settings.folder)
    runs = Array(repeating: nil, count: settings.processes)
    self.forkServer = forkServer
    self.watch = watch
    self.unwatch = unwatch
    readBuffer = .allocate(byteCount: Self.readBytesMax, alignment: 16)
  }

  deinit {
    for (descriptor, run) in runsByDescriptor.enumerated() where run != nil {
      unwatch(Int32(descriptor))
    }
    readBuffer.deallocate()
  }

  // MARK: The owner's wishes

  /// Gives the slots credit, and has removed what calls of an earlier process have left.
  public func start(at now: UInt64) {
    if folders.putAwayLeftovers() { sweeps.leftoverFound() }
    state.begin()
    perform(at: now)
  }

  /// Runs a program in a slot with room. The call's number must not be in flight here.
  public func assign(_ call: UInt64, _ program: ProgramCall, to slot: Int, at now: UInt64) {
    precondition(!program.arguments.isEmpty, "a program has at least its name as an argument")
    state.assign(call, to: slot, at: now)
    let run = ProgramRun(call, program, slot: slot)
    runs[slot] = run
    do throws(StartFailure) {
      try start(run, program)
    } catch {
      state.startFailed(slot, error, at: now)
    }
    perform(at: now)
  }

  /// Ends a call: SIGTERM to its program's group, even while its start is under way, and SIGKILL
  /// after `grace`. Reported as `ended`, or as `notStarted` if the start just fails for want of
  /// something. Nothing happens if the call is not in flight or its process is gone already.
  public func end(_ call: UInt64, grace: UInt64, at now: UInt64) {
    state.end(call, grace: grace, at: now)
    perform(at: now)
  }

  /// Runs so many programs at a time from now on, at least 1. What runs beyond goes on to its end.
  public func resize(to processes: Int, at now: UInt64) {
    state.resize(to: processes)
    while runs.count < state.slots.count { runs.append(nil) }
    perform(at: now)
  }

  /// Takes no more calls; `poolEnded` comes when those in flight are over.
  public func close(at now: UInt64) {
    state.close()
    perform(at: now)
  }

  /// Takes no more calls and ends those in flight: SIGTERM now, SIGKILL after `grace`.
  public func terminate(grace: UInt64, at now: UInt64) {
    state.terminate(grace: grace, at: now)
    perform(at: now)
  }

  // MARK: What happens

  /// Something can be read from, or written to, a descriptor, or its other end is closed. Returns
  /// false if it is not one of this pool's. Takes at most 64 KiB; what is left makes the descriptor
  /// ready again.
  @discardableResult
  public func descriptorReady(
    _ descriptor: Int32, readable: Bool, writable: Bool, at now: UInt64
  ) -> Bool {
    guard descriptor >= 0, descriptor < runsByDescriptor.count,
      let run = runsByDescriptor[Int(descriptor)]
    else { return false }
    if descriptor == run.inputEnd {
      if run.writeInput() { close(run.inputEnd, of: run) }
    } else if descriptor == run.outputEnd {
      _ = readOutput(of: run)
    } else {
      _ = readLog(of: run)
    }
    perform(at: now)
    return true
  }

  /// The fork server told something. Returns false if it is about another's process.
  @discardableResult
  public func forkServerEvent(_ event: ForkServerEvent, at now: UInt64) -> Bool {
    switch event {
    case .started(let token, let process, _):
      if token == sweeper { return true }
      guard let run = runsByToken[token] else { return false }
      state.started(run.slot, process: process)
    case .startFailed(let token, let failure):
      if token == sweeper {
        sweeperEnded(hasFailed: true, at: now)
      } else if let run = runsByToken[token] {
        if failure.stage == .workingFolder { folders.doubt() }
        if failure.stage == .forkServerLost {
          // It may have run for a moment, before the fork server could tell.
          state.exited(run.slot, .unknown, use: ResourceUse(), at: now)
        } else {
          state.startFailed(run.slot, failure, at: now)
        }
      } else {
        return false
      }
    case .exited(let token, let status, let use):
      if token == sweeper {
        sweeperEnded(hasFailed: status != .exited(0), at: now)
      } else if let run = runsByToken[token] {
        readRest(of: run)
        state.exited(run.slot, status, use: use, at: now)
      } else {
        return false
      }
    case .lost:
      return false
    }
    perform(at: now)
    return true
  }

  /// It is `now`: what was due is done.
  public func deadlineReached(at now: UInt64) {
    state.deadlineReached(at: now)
    perform(at: now)
  }

  /// The earliest time at which `deadlineReached` has something to do; nil: never. 0 while reports
  /// wait to be taken, which nothing else announces.
  public var nextDeadline: UInt64? {
    if hasReports { return 0 }
    if isEnded { return nil }
    guard let sweep = sweeps.nextDeadline else { return state.nextDeadline }
    return min(sweep, state.nextDeadline ?? .max)
  }

  /// Whether `drainReports` has something to hand over.
  public var hasReports: Bool { !reports.isEmpty }

  /// Calls `body` with every report since the last time, in order. It may assign and end calls;
  /// reports that follow from that come with the next call.
  public func drainReports(_ body: (ProgramReport) -> Void) {
    guard !reports.isEmpty else { return }
    swap(&reports, &reportsInHand)
    for report in reportsInHand {
      if case .logGrew(let call) = report, let slot = state.slot(of: call) {
        runs[slot]?.isGrowthReported = false
      }
      body(report)
    }
    reportsInHand.removeAll(keepingCapacity: true)
  }

  // MARK: For people, and for those who follow

  /// How many further calls, 1 or 0, may be assigned to a slot at this moment.
  public func room(in slot: Int) -> Int { state.room(in: slot) }

  /// The process of a slot's program; 0 while none runs.
  public func process(of slot: Int) -> Int32 {
    state.slots.indices.contains(slot) ? state.slots[slot].run?.process ?? 0 : 0
  }

  /// What the program of a call in flight has written to stderr so far; nil if there is no such
  /// call. Let go of it before the pool is told something again: it would have to copy it.
  public func log(of call: UInt64) -> ProgramLog? {
    state.slot(of: call).flatMap { runs[$0]?.log }
  }

  /// The programs that run or are about to, in the order of their slots.
  public var workers: [WorkerSummary] {
    state.slots.indices.compactMap { slot in
      guard let run = state.slots[slot].run else { return nil }
      let summaryState: WorkerSummary.State =
        switch (run.phase, run.ladder) {
        case (.starting, .none): .starting
        case (.running, .none): .busy
        default: .ending
        }
      return WorkerSummary(
        slot: slot, process: run.process, state: summaryState, call: run.call,
        callsDone: state.slots[slot].callsDone, startedAt: run.assignedAt,
        isEndedByPool: run.verdict.isEndedByPool)
    }
  }

  /// How many programs may run at a time.
  public var processes: Int { state.processes }

  /// Whether the last program of a pool that takes no more calls is gone.
  public var isEnded: Bool { state.phase == .ended }

  /// What the machine was short of when the last start failed; nil once a program has started.
  public var startTrouble: String? {
    state.startTrouble.map { "a program cannot be started: \($0)" }
  }

  /// Removes the folder that the working folders were in, if nothing is left there; for a pool that
  /// is ended and does not come back.
  public func removeFolder() {
    _ = rmdir(folders.path)
  }

  /// Whether working folders of calls that are over are known to be left.
  public var isSweepPending: Bool { sweeps.isPending }

  // MARK: Performing

  private func perform(at now: UInt64) {
    performActions(at: now)
    startSweeper(at: now)
    if state.settle(isSweepPending: sweeps.isPending, at: now) { performActions(at: now) }
  }

  private func performActions(at now: UInt64) {
    // What is done may lead to more to do, at the end of the list.
    var next = 0
    while next < state.actions.count {
      switch state.actions[next] {
      case .terminate(let slot): signal(slot, SIGTERM)
      case .kill(let slot): signal(slot, SIGKILL)
      case .report(let report): reports.append(report)
      case .giveBack(let slot, let call, let failure):
        _ = putDown(slot, call)
        reports.append(.notStarted(call: call, failure))
      case .conclude(let slot, let call, let verdict):
        guard let run = putDown(slot, call) else { break }
        reports.append(.ended(call: call, ProgramEnd(verdict, output: run.output, log: run.log)))
      }
      next += 1
    }
    state.clearActions()
  }

  private func signal(_ slot: Int, _ number: Int32) {
    if let token = runs[slot]?.token { forkServer.signal(token, number) }
  }

  /// Makes the folder and the pipes and asks for the process. What was made until it throws is
  /// undone when the state says what becomes of the call.
  private func start(_ run: ProgramRun, _ program: ProgramCall) throws(StartFailure) {
    let folder = try folders.make(run.call)
    var theirs: [ProcessSpecification.Inherited] = []
    defer { for end in theirs { Glibc.close(end.source) } }
    try run.open(&theirs)
    var specification = ProcessSpecification(
      .exec(
        path: program.arguments[0], arguments: program.arguments,
        environment: program.environment(in: folder)),
      descriptors: theirs)
    specification.workingFolder = folder
    specification.nice = program.nice
    // As in `WorkerPool`.
    specification.isBatch = true
    specification.outOfMemoryAdjustment = program.outOfMemoryAdjustment
    specification.limits = program.limits
    // Before there is a process: one that nobody listens to must not run.
    if run.inputEnd >= 0 { try register(run.inputEnd, of: run, writable: true) }
    try register(run.outputEnd, of: run, writable: false)
    try register(run.logEnd, of: run, writable: false)
    let token = try forkServer.startProcess(specification)
    run.token = token
    runsByToken[token] = run
  }

  private func register(
    _ descriptor: Int32, of run: ProgramRun, writable: Bool
  ) throws(StartFailure) {
    try watch(descriptor, writable)
    let place = Int(descriptor)
    while runsByDescriptor.count <= place { runsByDescriptor.append(nil) }
    runsByDescriptor[place] = run
  }

  /// Closes one of our ends of a run's pipes, if it is open.
  func close(_ descriptor: Int32, of run: ProgramRun) {
    guard descriptor >= 0 else { return }
    run.forget(descriptor)
    unregister(descriptor)
    Glibc.close(descriptor)
  }

  /// Ends the watch of one of our ends.
  func unregister(_ descriptor: Int32) {
    let place = Int(descriptor)
    guard place < runsByDescriptor.count, runsByDescriptor[place] != nil else { return }
    runsByDescriptor[place] = nil
    unwatch(descriptor)
  }

  /// Forgets a slot's run: closes its pipes and removes its folder.
  private func putDown(_ slot: Int, _ call: UInt64) -> ProgramRun? {
    guard let run = runs[slot] else { return nil }
    runs[slot] = nil
    if let token = run.token { runsByToken[token] = nil }
    close(run.inputEnd, of: run)
    close(run.outputEnd, of: run)
    close(run.logEnd, of: run)
    if folders.remove(call) { sweeps.leftoverFound() }
    return run
  }
}
