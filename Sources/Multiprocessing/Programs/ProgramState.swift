/// The machine behind `ProgramPool`: slots, their runs, the ladder that ends a run, the wait for
/// what it wrote last, and the pauses after failed starts. A pure value, as `PoolState` is: each
/// event is one mutating function with the time (monotonic nanoseconds) as an argument, and what is
/// to be done comes out as `actions`, emptied by the owner.
struct ProgramState: Equatable {
  struct Slot: Equatable {
    var run: ProgramRunState?
    /// What the driver was told last.
    var credit = 0
    /// How many of its calls are over.
    var callsDone = 0
  }

  /// Where the pool is in its life. Moves only forward.
  enum Phase: Equatable {
    case new
    case running
    case closing
    case ended
  }

  let settings: ProgramPoolSettings
  /// To be done by the owner, in order, and removed.
  private(set) var actions: [ProgramAction] = []
  private(set) var phase = Phase.new
  /// Those from `processes` on take no calls: the pool was larger once.
  private(set) var slots: [Slot]
  /// How many slots take calls.
  private(set) var processes: Int
  /// No run is started before; nil: there is no such pause.
  private(set) var pauseEndsAt: UInt64?
  private var failuresInARow = 0
  /// What the machine was short of when the last start failed; nil once a program has started.
  private(set) var startTrouble: StartFailure?
  /// Until when the end waits for working folders to be removed; nil until it waits.
  private var sweepEndsAt: UInt64?

  init(_ settings: ProgramPoolSettings) {
    precondition(settings.processes >= 1, "a pool has at least one slot")
    self.settings = settings
    processes = settings.processes
    slots = Array(repeating: Slot(), count: settings.processes)
  }

  // MARK: The driver's wishes

  /// Gives all slots credit.
  mutating func begin() {
    precondition(phase == .new, "a pool begins once")
    phase = .running
    reportCredit()
  }

  /// Changes the number of slots that take calls. What runs in others goes on to its end.
  mutating func resize(to processes: Int) {
    precondition(processes >= 1, "a pool has at least one slot")
    self.processes = processes
    while slots.count < processes { slots.append(Slot()) }
    reportCredit()
  }

  /// Puts a call in flight in a slot with room. Answered by `started` or `startFailed`.
  mutating func assign(_ call: UInt64, to slot: Int, at now: UInt64) {
    precondition(room(in: slot) == 1, "slot \(slot) has no credit left")
    slots[slot].run = ProgramRunState(call: call, assignedAt: now)
  }

  /// Ends a call: SIGTERM to its group, even while its start is under way, and SIGKILL after
  /// `grace`. Nothing happens if it is not in flight or its process is gone already.
  mutating func end(_ call: UInt64, grace: UInt64, at now: UInt64) {
    guard let slot = slot(of: call) else { return }
    terminate(slot, grace: grace, at: now)
  }

  /// Takes no more calls; the end comes when those in flight are over.
  mutating func close() {
    guard phase == .new || phase == .running else { return }
    phase = .closing
    pauseEndsAt = nil
    reportCredit()
  }

  /// Takes no more calls and ends those in flight: SIGTERM now, SIGKILL after `grace`.
  mutating func terminate(grace: UInt64, at now: UInt64) {
    close()
    for slot in slots.indices { terminate(slot, grace: grace, at: now) }
  }

  // MARK: What happens

  /// The program of a slot runs.
  mutating func started(_ slot: Int, process: Int32) {
    guard let run = slots[slot].run, run.phase == .starting else { return }
    slots[slot].run!.phase = .running
    slots[slot].run!.process = process
    failuresInARow = 0
    startTrouble = nil
    actions.append(.report(.began(call: run.call, process: process)))
  }

  /// The program of a slot was not started. For a fork server that was lost before it could tell
  /// there is `exited` with an unknown status: the program may have run for a moment.
  mutating func startFailed(_ slot: Int, _ failure: StartFailure, at now: UInt64) {
    guard let run = slots[slot].run, run.phase == .starting else { return }
    if failure.isTransient {
      startTrouble = failure
      pause(at: now)
      slots[slot].run = nil
      // Last: by now the slots' credit is told.
      actions.append(.giveBack(slot: slot, call: run.call, failure))
    } else {
      slots[slot].run!.verdict.startFailure = failure
      conclude(slot)
    }
  }

  /// The program of a slot has written more than it may.
  mutating func outputOverflowed(_ slot: Int) {
    guard slots[slot].run != nil else { return }
    slots[slot].run!.verdict.isOutputTooLong = true
    kill(slot)
  }

  /// Nobody holds the stdout, or the stderr, of a slot's program any more.
  mutating func pipeEnded(_ slot: Int) {
    guard let run = slots[slot].run else { return }
    precondition(run.openPipes > 0, "a pipe ended twice")
    slots[slot].run!.openPipes -= 1
    if run.phase == .draining && run.openPipes == 1 { conclude(slot) }
  }

  /// The process of a slot's program is gone, and so is, by SIGKILL, its group.
  mutating func exited(_ slot: Int, _ status: ExitStatus, use: ResourceUse, at now: UInt64) {
    guard let run = slots[slot].run, run.phase != .draining else { return }
    slots[slot].run!.phase = .draining
    slots[slot].run!.verdict.status = status
    slots[slot].run!.verdict.use = use
    slots[slot].run!.deadline = now + settings.drainMax
    if run.openPipes == 0 { conclude(slot) }
  }

  /// It is `now`: everything that was due is done.
  mutating func deadlineReached(at now: UInt64) {
    if let end = pauseEndsAt, end <= now {
      pauseEndsAt = nil
      reportCredit()
    }
    for slot in slots.indices {
      guard let run = slots[slot].run, let deadline = run.deadline, deadline <= now else {
        continue
      }
      if run.phase == .draining {
        slots[slot].run!.verdict.isCutOff = true
        conclude(slot)
      } else {
        kill(slot)
      }
    }
  }

  /// All actions are performed. Ends a pool that takes no more calls, once the last is over and no
  /// working folder waits to be removed, or that has waited long enough for it. Returns whether
  /// there is something to perform.
  mutating func settle(isSweepPending: Bool, at now: UInt64) -> Bool {
    guard phase == .closing, slots.allSatisfy({ $0.run == nil }) else { return false }
    if isSweepPending {
      let end = sweepEndsAt ?? now + settings.sweepMax
      sweepEndsAt = end
      if now < end { return false }
    }
    phase = .ended
    sweepEndsAt = nil
    actions.append(.report(.poolEnded))
    return true
  }

  /// All actions so far are performed.
  mutating func clearActions() {
    actions.removeAll(keepingCapacity: true)
  }

  // MARK: Queries

  /// The earliest time at which `deadlineReached` or `settle` has something to do; nil: never.
  var nextDeadline: UInt64? {
    var earliest = min(pauseEndsAt ?? .max, sweepEndsAt ?? .max)
    for slot in slots.indices {
      if let deadline = slots[slot].run?.deadline, deadline < earliest { earliest = deadline }
    }
    return earliest == .max ? nil : earliest
  }

  /// How many further calls may be assigned to a slot, 1 or 0.
  func room(in slot: Int) -> Int {
    guard slots.indices.contains(slot), slots[slot].run == nil else { return 0 }
    return slots[slot].credit
  }

  /// Where a call is in flight.
  func slot(of call: UInt64) -> Int? {
    slots.firstIndex { $0.run?.call == call }
  }

  // MARK: Moves

  /// Tells the driver how many calls each slot may have in flight, where that has changed.
  private mutating func reportCredit() {
    let isOpen = phase == .running && pauseEndsAt == nil
    for slot in slots.indices {
      let credit = isOpen && slot < processes ? 1 : 0
      guard slots[slot].credit != credit else { continue }
      slots[slot].credit = credit
      actions.append(.report(.slotReady(slot: slot, credit: credit)))
    }
  }

  /// First step of the ladder, unless it was taken. A second wish can only shorten the grace.
  private mutating func terminate(_ slot: Int, grace: UInt64, at now: UInt64) {
    guard let run = slots[slot].run, run.phase != .draining, run.ladder != .killed else { return }
    let deadline = now &+ min(grace, UInt64.max / 2)
    slots[slot].run!.verdict.isEndedByPool = true
    slots[slot].run!.deadline = min(run.deadline ?? deadline, deadline)
    guard run.ladder == .none else { return }
    slots[slot].run!.ladder = .terminated
    actions.append(.terminate(slot: slot))
  }

  /// Last step of the ladder.
  private mutating func kill(_ slot: Int) {
    guard let run = slots[slot].run, run.phase != .draining else { return }
    slots[slot].run!.deadline = nil
    guard run.ladder != .killed else { return }
    slots[slot].run!.ladder = .killed
    actions.append(.kill(slot: slot))
  }

  private mutating func conclude(_ slot: Int) {
    guard let run = slots[slot].run else { return }
    slots[slot].run = nil
    slots[slot].callsDone += 1
    actions.append(.conclude(slot: slot, call: run.call, run.verdict))
  }

  /// The machine is short of something: nothing is started for a while. Starts that fail together
  /// count once.
  private mutating func pause(at now: UInt64) {
    guard phase == .running, pauseEndsAt == nil else { return }
    let doublings = UInt64(min(failuresInARow, 20))
    failuresInARow += 1
    pauseEndsAt = now + min(settings.backOffMin << doublings, settings.backOffMax)
    reportCredit()
  }
}
