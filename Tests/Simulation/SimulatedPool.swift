import Glibc
import JobCore

@testable import JobServer
@testable import Multiprocessing

/// A pool whose workers do by plan what workers do: return, raise, die before and after they begin,
/// hang until they are ended, answer late, and answer twice. It keeps the rules of `PoolDriver`,
/// and tells the world what runs.
final class SimulatedPool: PoolDriver {
  /// What a worker does with a call.
  enum Deed: Int, CaseIterable {
    case returns, raises, exits, diesBefore, isKilled, hangs, breaksProtocol, returnsTwice
    case returnsAndDies, outOfMemory, refusesArguments
  }

  /// A call that a slot holds; the first one runs.
  struct Held {
    let assignment: Assignment
    var deed = Deed.returns
    /// When the deed is done; nil while it waits behind another.
    var dueAt: UInt64?
    /// Its worker was told to end.
    var isEnding = false
  }

  struct Slot {
    var credit = 0
    var pid: Int32 = 0
    var held: [Held] = []
    /// When it has a worker again; nil while it has one.
    var readyAt: UInt64?
    var hasWorker = false
    /// Whether the pool got smaller, or is closed: no other worker follows.
    var isRemoved = false
    /// When its worker, which has nothing left to do, goes.
    var leavesAt: UInt64?
  }

  let id: PoolID
  let configured: Settings.Pool
  var processes: Int
  private(set) var brokenReason: String?
  private(set) var startTrouble: String?
  private(set) var isEnded = false
  private(set) var isSettled = false
  var isOutOfMemory: () -> Bool = { false }

  var slots: [Slot]
  unowned let world: World
  var events: [Event] = []
  private var exits: [WorkerExit] = []
  private var hasAnnounced = false
  var endsAt: UInt64?
  /// Whether all workers of one that is being created were ready.
  var hasBeenWhole = false
  /// How many workers of one that is being created become ready before one does not; nil: all do.
  var startsBeforeFailure: Int?
  var isClosing = false
  private var lastPID: Int32 = 10_000
  /// Once nobody plans anything bad any more: what runs ends at once and well.
  var isPrompt = false

  init(_ id: PoolID, _ configured: Settings.Pool, slots count: Int, world: World) {
    self.id = id
    self.configured = configured
    self.world = world
    processes = count
    slots = Array(repeating: Slot(), count: count)
  }

  var chance: Chance { world.chance }

  // MARK: What happens

  func start(at instant: Instant) {
    let most = configured.startsWhole && !isPrompt && chance.percent(25) ? 8_000 : 200
    for slot in slots.indices {
      slots[slot].readyAt = instant.nanoseconds + milliseconds(chance.below(most))
    }
    guard configured.startsWhole, !isPrompt, chance.percent(25) else { return }
    startsBeforeFailure = chance.below(slots.count)
  }

  func milliseconds(_ count: Int) -> UInt64 { UInt64(count) * 1_000_000 }

  func handle(_ event: ForkServerEvent, at instant: Instant) {
    guard event == .lost else { return }
    for slot in slots.indices where slots[slot].hasWorker {
      workerEnds(slot, .interrupted, at: instant.nanoseconds)
    }
    endIfClosed()
  }

  var nextDeadline: UInt64? {
    if isEnded { return nil }
    let due = slots.compactMap { $0.readyAt ?? $0.held.first?.dueAt ?? $0.leavesAt }.min()
    return due.map { due in endsAt.map { min($0, due) } ?? due } ?? endsAt
  }

  var hasEvents: Bool { !events.isEmpty }

  func passTime(at instant: Instant) {
    let now = instant.nanoseconds
    if let endsAt, endsAt <= now {
      for slot in slots.indices where slots[slot].hasWorker {
        workerEnds(slot, .workerExited(exitcode: -SIGTERM), at: now)
      }
      return tellEnd()
    }
    for slot in slots.indices {
      if let leavesAt = slots[slot].leavesAt, leavesAt <= now {
        workerEnds(slot, .notStarted, at: now)
      }
      if let readyAt = slots[slot].readyAt, readyAt <= now { workerIsReady(slot, at: now) }
      while let due = slots[slot].held.first?.dueAt, due <= now { act(slot, at: now) }
      leaveIfIdle(slot, at: now)
    }
    endIfClosed()
  }

  /// All its workers are gone for good.
  func tellEnd() {
    guard !isEnded else { return }
    isEnded = true
    events.append(.poolEnded(pool: id))
  }

  private func workerIsReady(_ slot: Int, at now: UInt64) {
    guard endsAt == nil else {
      slots[slot].readyAt = nil
      return
    }
    if brokenReason != nil || world.breaksPool(id) || failsToStart {
      slots[slot].readyAt = nil
      if failsToStart, chance.percent(50) { loseWorker(at: Instant(nanoseconds: now)) }
      return becomeBroken(at: now)
    }
    if !hasAnnounced {
      hasAnnounced = true
      events.append(.poolAnnounced(pool: id, tasks: ["work"]))
    }
    isSettled = true
    lastPID += 1
    slots[slot].readyAt = nil
    slots[slot].pid = lastPID
    slots[slot].hasWorker = true
    setCredit(slot, chance.pick([1, 1, 2, 4, 24]))
    becomeWhole()
  }

  /// A worker cannot be made ready. One that was created has no more workers from then on.
  func becomeBroken(at now: UInt64) {
    guard brokenReason == nil else { return }
    brokenReason = "the initializer fails"
    world.note(isBecomingWhole ? "created pool not started" : "pool broke")
    isSettled = true
    events.append(.poolBroke(pool: id, reason: "the initializer fails"))
    if id.index > 1, endsAt == nil { endsAt = now + milliseconds(chance.below(300)) }
  }

  func setCredit(_ slot: Int, _ credit: Int) {
    slots[slot].credit = credit
    events.append(
      .slotReady(SlotID(pool: index, index: slot), credit: credit, pid: slots[slot].pid))
  }

  /// The first call of a slot comes to its end, as it was planned.
  private func act(_ slot: Int, at now: UInt64) {
    guard let held = slots[slot].held.first else { return }
    if held.isEnding { return actEnding(held, slot, at: now) }
    switch held.deed {
    case .returns: answer(slot, held, at: now)
    case .returnsTwice:
      answer(slot, held, at: now)
      events.append(.callReturned(held.assignment.call, result: "\"again\""))
      world.note("answered twice")
    case .returnsAndDies:
      answer(slot, held, at: now)
      workerEnds(slot, .notStarted, at: now)
    case .raises, .refusesArguments:
      removeFirst(slot, at: now)
      let code: JobError.Code = held.deed == .raises ? .raised : .argumentDecoding
      var error = RaisedError(code: code, type: "Oops", message: "by plan")
      if held.assignment.kind != .call { noteItem(of: held.assignment, &error) }
      events.append(.callRaised(held.assignment.call, error))
      world.note("raised")
    case .exits: workerEnds(slot, .workerExited(exitcode: 3), at: now)
    case .isKilled: workerEnds(slot, .workerExited(exitcode: -SIGKILL), at: now)
    case .diesBefore: workerEnds(slot, .notStarted, at: now)
    case .breaksProtocol: workerEnds(slot, .protocolBroken("by plan"), at: now)
    case .outOfMemory: workerEnds(slot, .outOfMemory(exitcode: -SIGKILL), at: now)
    case .hangs: slots[slot].held[0].dueAt = nil
    }
    if world.chance.percent(10), slots[slot].credit > 0 {
      setCredit(slot, max(chance.pick([1, 2, 4]), slots[slot].held.count))
    }
  }

  /// A call whose worker was told to end: it may still answer, before or after it is lost.
  private func actEnding(_ held: Held, _ slot: Int, at now: UInt64) {
    if chance.percent(25) {
      answer(slot, held, at: now)
      world.note("answered while it was ended")
      workerEnds(slot, .notStarted, at: now)
    } else {
      workerEnds(slot, .workerExited(exitcode: chance.percent(50) ? -SIGTERM : -SIGKILL), at: now)
      guard chance.percent(25) else { return }
      events.append(.callReturned(held.assignment.call, result: "\"late\""))
      world.note("answered late")
    }
  }

  private func answer(_ slot: Int, _ held: Held, at now: UInt64) {
    removeFirst(slot, at: now)
    events.append(.callReturned(held.assignment.call, result: result(of: held.assignment)))
    world.note("returned")
  }

  private func result(of assignment: Assignment) -> String {
    guard assignment.kind != .call else { return World.result(of: assignment.args) }
    var items = World.elements(of: assignment.args)
    if !isPrompt, chance.percent(2) {
      world.note("chunk answered with too few values")
      items.removeLast()
    }
    return World.result(ofItems: items)
  }

  /// Says which item of a chunk failed, and the values before; or not, or nonsense.
  private func noteItem(of assignment: Assignment, _ error: inout RaisedError) {
    guard chance.percent(85) else { return }
    let items = World.elements(of: assignment.args)
    let item = chance.below(items.count)
    error.item = item
    error.values = World.result(ofItems: Array(items[..<item]))
    guard chance.percent(8) else { return }
    world.note("chunk raised with wrong values")
    error.values = World.result(ofItems: items)
  }

  private func removeFirst(_ slot: Int, at now: UInt64) {
    let held = slots[slot].held.removeFirst()
    if held.dueAt != nil || held.deed == .hangs { world.ended(held.assignment) }
    begin(slot, at: now)
  }

  /// One of its workers is killed from outside, if it has one.
  func loseWorker(at instant: Instant) {
    guard let slot = slots.firstIndex(where: { $0.hasWorker }) else { return }
    workerEnds(slot, .workerExited(exitcode: -SIGKILL), at: instant.nanoseconds)
  }

  /// The worker of a slot is gone: the first call is lost as it is said, the others unbegun.
  func workerEnds(_ slot: Int, _ loss: Loss, at now: UInt64) {
    let held = slots[slot].held
    slots[slot].held = []
    slots[slot].credit = 0
    slots[slot].hasWorker = false
    slots[slot].leavesAt = nil
    slots[slot].readyAt = slots[slot].isRemoved ? nil : now + milliseconds(chance.below(300))
    events.append(.slotGone(SlotID(pool: index, index: slot)))
    for (position, call) in held.enumerated() {
      if position == 0 { world.ended(call.assignment) }
      let isBegun = position == 0 && call.deed != .diesBefore
      let loss =
        position > 0 ? Loss.notStarted : loss == .interrupted && !isBegun ? .notStarted : loss
      events.append(.callLost(call.assignment.call, loss))
      world.note("lost: \(World.word(for: loss))")
    }
    exits.append(
      WorkerExit(
        pid: slots[slot].pid, exitcode: nil, reason: "exited", slot: slot,
        call: held.first?.assignment.call, isExpected: false))
  }

  func drainEvents(_ body: (Event) -> Void) {
    while !events.isEmpty {
      let event = events.removeFirst()
      world.expect(after: event)
      body(event)
      world.delivered(event)
    }
  }

  func takeExits() -> [WorkerExit] {
    defer { exits.removeAll() }
    return exits
  }

  // MARK: What is to be done

  func assign(_ assignment: Assignment, at instant: Instant) {
    guard !world.isDead else { return }
    let slot = assignment.call.slot.index
    guard slot < slots.count, slots[slot].credit > slots[slot].held.count else {
      events.append(.callLost(assignment.call, .notStarted))
      world.note("assigned too late")
      return
    }
    world.assigned(assignment, to: configured.name)
    slots[slot].held.append(Held(assignment: assignment))
    if slots[slot].held.count == 1 { begin(slot, at: instant.nanoseconds) }
  }

  /// The first call of a slot begins.
  private func begin(_ slot: Int, at now: UInt64) {
    guard let first = slots[slot].held.first, first.dueAt == nil else { return }
    world.began(first.assignment)
    slots[slot].held[0].deed = isPrompt ? .returns : world.deed()
    slots[slot].held[0].dueAt = now + milliseconds(isPrompt ? 1 : chance.below(400))
  }

  func end(_ call: CallID, graceMilliseconds: JobCore.Milliseconds, at instant: Instant) {
    let slot = call.slot.index
    guard !world.isDead, slots[slot].held.first?.assignment.call == call else { return }
    world.note("ended on request")
    slots[slot].held[0].isEnding = true
    let grace = min(Int(graceMilliseconds), 5_000)
    slots[slot].held[0].dueAt = instant.nanoseconds + milliseconds(chance.below(grace + 1))
  }

  func flush() {}

  func terminate(at instant: Instant) {
    guard !isEnded else { return }
    let due = instant.nanoseconds + milliseconds(isPrompt ? 1 : chance.below(1_000))
    endsAt = min(endsAt ?? due, due)
  }

  func process(of slot: Int) -> Int32 { slots[slot].pid }

  /// From now on nothing bad is planned, and what runs ends.
  func becomePrompt(at instant: Instant) {
    isPrompt = true
    for slot in slots.indices where !slots[slot].held.isEmpty {
      if !slots[slot].held[0].isEnding { slots[slot].held[0].deed = .returns }
      slots[slot].held[0].dueAt = instant.nanoseconds + milliseconds(1)
    }
  }

  // MARK: For people

  var workerCounts: [(state: String, count: Int)] {
    [
      ("idle", slots.count { $0.credit > 0 && $0.held.isEmpty }),
      ("busy", slots.count { !$0.held.isEmpty }),
    ]
  }

  var workers: [WorkerSummary] { [] }
}
