internal import DequeModule

/// The machine behind every pool: slots, workers, their start, ready, prefetch credit, retirement,
/// death and initializer back-off. A pure value: it makes no system call and reads no clock. Each
/// event is one mutating function, with the time (monotonic nanoseconds) as an argument; what is to
/// be done comes out as `actions` and what is to be known as `reports`, both emptied by the owner.
///
/// A slot outlives its workers. Whoever drives the pool knows only slots, as numbers with credit,
/// and calls, by numbers of its own; a call is in flight from `assign` to the one report that ends
/// it, `callEnded` or `callLost`. What becomes of a lost call is the driver's decision.
public struct PoolState: Equatable {
  /// A place for one worker that takes calls.
  struct Slot: Equatable {
    /// The worker that takes, or will take, its calls. Others of this slot may be on their way out.
    var worker: PoolWorkerID?
    /// When to start a worker, if that has to wait.
    var startAt: UInt64?
    /// What the driver was told last.
    var credit = 0
    var isRemoved = false
    var isGone = false
  }

  /// Where the pool is in its life. Moves only forward.
  enum Phase: Equatable {
    case new
    case running
    case closing
    case broken(reason: String)
  }

  /// What it was made with; `processes` follows `resize`.
  public private(set) var settings: PoolSettings
  /// To be done by the owner, in order, and removed.
  public var actions: [PoolAction] = []
  /// To be told by the owner, in order, and removed.
  public var reports: [PoolReport] = []

  /// Whether the last worker of a pool that takes no more calls is gone.
  public internal(set) var isEnded = false

  var phase = Phase.new
  /// By slot number; those removed stay, and come back when the pool grows again.
  var slots: [Slot] = []
  /// By `PoolWorkerID.index`; nil where a worker has gone.
  var workers: [PoolWorker?] = []
  var freeIndices: [Int] = []
  var generation: UInt32 = 0
  /// Starts that failed since a worker was last ready.
  var failedStartsInARow = 0
  /// Those of them that count towards breaking the pool.
  var failuresInARow = 0
  /// Workers that died ready and idle, without one call answered, since a call was last answered.
  var idleDeathsInARow = 0
  /// No worker is started before.
  var notBefore: UInt64 = 0
  /// Whether it was whole, if it is to be: all workers were ready.
  var hasBeenWhole = false
  /// Why the last start failed; nil once a worker is ready again.
  public internal(set) var startTrouble: String?

  /// A pool that does nothing until `begin`.
  public init(_ settings: PoolSettings) {
    precondition(settings.processes >= 1, "a pool has at least one process")
    precondition(settings.callsPerWorkerMax ?? 1 >= 1, "a worker runs at least one call")
    precondition(settings.creditMax >= 1, "one call at least may be in flight")
    self.settings = settings
  }

  // MARK: The driver's wishes

  /// Starts the first workers.
  public mutating func begin(at now: UInt64) {
    precondition(phase == .new, "a pool begins once")
    phase = .running
    addSlots(settings.processes, at: now)
  }

  /// Puts a call in flight in a slot that has credit for it. Returns the worker that gets it and
  /// the call's ordinal on that worker's channel.
  public mutating func assign(
    _ call: UInt64, to slot: Int, at now: UInt64
  ) -> (worker: PoolWorkerID, ordinal: UInt32) {
    guard let id = slots[slot].worker else { preconditionFailure("slot \(slot) has no worker") }
    let (ordinal, inFlight) = workers[id.index]!.take(call, at: now)
    precondition(inFlight <= slots[slot].credit, "slot \(slot) has no credit left")
    return (id, ordinal)
  }

  /// Ends a call: if it runs, by SIGTERM to its worker's group and SIGKILL after `grace`; if it
  /// does not run yet, at once. Reported as `callLost`, or as `callEnded` if its answer was faster.
  /// Calls that wait behind it come back unstarted. Nothing happens if it is not in flight.
  public mutating func end(_ call: UInt64, grace: UInt64, at now: UInt64) {
    for index in workers.indices {
      guard let place = workers[index]?.inFlight.firstIndex(where: { $0.call == call }) else {
        continue
      }
      workers[index]!.inFlight[place].endGrace = grace
      if settings.hasClaims {
        revoke(index)
      } else if place == 0 {
        terminate(index, grace: grace, at: now)
      }
      return
    }
  }

  /// Changes the number of slots. Those that go finish the call they run; what they have not
  /// started comes back.
  public mutating func resize(to processes: Int, at now: UInt64) {
    precondition(processes >= 1, "a pool has at least one process")
    guard phase == .running else { return }
    settings.processes = processes
    let active = slots.indices.filter { !slots[$0].isRemoved }
    if processes > active.count {
      addSlots(processes - active.count, at: now)
    } else {
      for slot in active[processes...] { remove(slot, at: now) }
    }
  }

  /// Ends the pool once the calls in flight are answered, those prefetched included. Nothing can be
  /// assigned any more, and a worker that dies is not replaced: to be called when nothing is owed
  /// but what is in flight.
  public mutating func close(at now: UInt64) {
    guard phase == .running || phase == .new else { return }
    phase = .closing
    for slot in slots.indices where !slots[slot].isRemoved {
      remove(slot, recalling: false, at: now)
    }
    endIfEmpty()
  }

  /// Ends the pool now: SIGTERM to every worker, and SIGKILL after `grace`.
  public mutating func terminate(grace: UInt64, at now: UInt64) {
    if phase == .running || phase == .new { phase = .closing }
    for slot in slots.indices where !slots[slot].isRemoved { remove(slot, at: now) }
    for index in workers.indices where workers[index] != nil {
      terminate(index, grace: grace, at: now)
    }
    endIfEmpty()
  }

  // MARK: Queries

  /// The earliest time at which `deadlineReached` has something to do; nil: never.
  public var nextDeadline: UInt64? {
    var earliest = UInt64.max
    for index in workers.indices {
      guard let worker = workers[index] else { continue }
      if let deadline = worker.deadline, deadline < earliest { earliest = deadline }
      if let recall = worker.recallDue(settings), recall < earliest { earliest = recall }
      if let claim = worker.claimDue(settings), claim < earliest { earliest = claim }
    }
    for slot in slots.indices {
      if let start = slots[slot].startAt, start < earliest { earliest = start }
    }
    return earliest == .max ? nil : earliest
  }

  /// How many further calls may be assigned to a slot.
  public func room(in slot: Int) -> Int {
    guard slots.indices.contains(slot), let id = slots[slot].worker else { return 0 }
    return max(slots[slot].credit - (workers[id.index]?.inFlight.count ?? 0), 0)
  }

  /// The worker that takes a slot's calls.
  func worker(of slot: Int) -> PoolWorkerID? {
    slots.indices.contains(slot) ? slots[slot].worker : nil
  }

  /// How many workers take calls.
  public var readyWorkers: Int {
    workers.reduce(0) { $0 + ($1?.phase == .ready ? 1 : 0) }
  }

  /// Why the pool broke; nil if it did not.
  public var brokenReason: String? {
    if case .broken(let reason) = phase { reason } else { nil }
  }
}
