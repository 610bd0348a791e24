import DequeModule

/// A call that a slot holds.
struct Call: Equatable, Sendable {
  /// Why the call is being ended from outside.
  enum Ending: Equatable, Sendable {
    case timedOut
    case cancelled(grace: Milliseconds)
    case passed(PassedLimit)
    case poolTerminated
    /// Its job is no more, as nobody was told of it. Its slot has no room for another all the same
    /// before the pool has said that the call is over, or was never begun.
    case withdrawn
  }

  let id: CallID
  let job: JobNumber
  /// Whether no other call may wait behind it.
  var isExclusive = false
  /// Set when it must end; its outcome is then decided, whatever the worker still says.
  var ending: Ending?
}

/// What the engine knows of a slot: a number with credit, and what it holds.
struct Slot: Equatable, Sendable {
  /// How many calls it may hold at once; 0 while it has no worker that takes any.
  var credit = 0
  /// Its worker, for people to look at.
  var pid: Int32 = 0
  /// What it holds; the first one runs.
  var calls: Deque<Call> = []
  /// How far the one that runs said that it is.
  var progress: Progress?

  /// How many calls it could still take.
  var room: Int { calls.first?.isExclusive == true ? 0 : max(credit - calls.count, 0) }
}

/// Where a pool is in its life.
public enum PoolStage: String, CaseIterable, Sendable {
  /// It is being created: not all of its workers were ready yet.
  case starting
  /// It takes jobs.
  case running
  /// It takes no more jobs and runs those that it has.
  case closing
  /// Its jobs and its workers end.
  case terminating
  /// It has neither an open job nor a worker any more.
  case joined
}

/// What the engine knows of a pool.
struct PoolEntry: Equatable, Sendable {
  let name: String
  /// How many pools had its position before.
  var serial = 0
  /// What a client asked for; nil: it is configured.
  let specification: PoolSpecification?
  /// What its submissions may have.
  let rule: PoolRule
  /// Its name in the store, found at the first job; names in a store stay as they are while the
  /// pool is there.
  var storedName: Name?
  /// The tasks that its workers know; nil until the first one told.
  var tasks: Set<String>?
  /// Whether they run tasks as well that they did not name.
  var isDynamic = false
  /// Why it runs nothing any more; nil while it does.
  var brokenReason: String?
  /// How many workers it keeps.
  var processes: Int
  var slots: [Slot] = []
  /// Calls that its slots could still take.
  var freeCredit = 0

  var stage = PoolStage.running { didSet { mayStart = !isPaused && isRunningJobs } }
  /// Whether it starts no jobs for the time being.
  var isPaused = false { didSet { mayStart = !isPaused && isRunningJobs } }
  /// Whether it hands jobs to its slots.
  private(set) var mayStart = true
  var end = PoolEnd()
  var attendance = PoolAttendance()

  /// - Parameter specification: of a pool that a client created; nil: it is configured.
  init(name: String, rule: PoolRule, specification: PoolSpecification? = nil) {
    self.name = name
    self.rule = rule
    self.specification = specification
    processes = specification?.processes ?? 1
  }

  /// A position without a pool, for the one that will be the `serial`th there.
  static func vacant(serial: Int) -> PoolEntry {
    var entry = PoolEntry(name: "", rule: PoolRule())
    entry.serial = serial
    entry.stage = .joined
    return entry
  }

  /// Whether there is no pool.
  var isVacant: Bool { name.isEmpty }

  private var isRunningJobs: Bool { stage == .running || stage == .closing }

  /// Changes a slot, which is made if it is new, and keeps `freeCredit` true.
  mutating func update<R>(slot index: Int, _ change: (inout Slot) -> R) -> R {
    while slots.count <= index { slots.append(Slot()) }
    freeCredit -= slots[index].room
    defer { freeCredit += slots[index].room }
    return change(&slots[index])
  }
}

/// What a pool's beginning and end have to do with clients, and how far its end is.
struct PoolEnd: Equatable, Sendable {
  /// Who waits until all of its workers are ready.
  var createRequests: [RequestID] = []
  /// Who waits until all of its jobs are final.
  var terminateRequests: [RequestID] = []
  /// Why it was terminated, if nobody asked for it.
  var cause: String?
  /// Whether its workers were told to end; one that is starting then is not to become a pool, even
  /// if all of them are ready before they hear it.
  var isTold = false
  /// Whether all of them are gone for good.
  var isWorkerless = false
  /// Whether it was terminated before it took jobs. There is no record of it.
  var isNeverRun = false
  /// When it was joined.
  var joinedAt: Instant?
  /// Of a terminated one: no job from this number on waits for another attempt.
  var lookedAt = JobNumber.max
}

/// Whether anybody is interested in a pool.
struct PoolAttendance: Equatable, Sendable {
  /// How many requests wait for it at this moment.
  var count = 0
  /// When a request last named it, or ended to wait for it.
  var lastAt = Instant(nanoseconds: 0)
}
