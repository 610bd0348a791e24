import DequeModule

/// A call that a slot holds.
struct Call: Equatable, Sendable {
  /// Why the call is being ended from outside.
  enum Ending: Equatable, Sendable {
    case timedOut
    case cancelled(grace: Milliseconds)
    case passed(PassedLimit)
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

/// What the engine knows of a pool.
struct PoolEntry: Equatable, Sendable {
  let name: String
  /// Its name in the store, found at the first job; names in a store stay as they are.
  var storedName: Name?
  /// The tasks that its workers know; nil until the first one told.
  var tasks: Set<String>?
  /// Whether they run tasks as well that they did not name.
  var isDynamic = false
  /// Why it runs nothing any more; nil while it does.
  var brokenReason: String?
  var slots: [Slot] = []
  /// Calls that its slots could still take.
  var freeCredit = 0

  /// Changes a slot, which is made if it is new, and keeps `freeCredit` true.
  mutating func update<R>(slot index: Int, _ change: (inout Slot) -> R) -> R {
    while slots.count <= index { slots.append(Slot()) }
    freeCredit -= slots[index].room
    defer { freeCredit += slots[index].room }
    return change(&slots[index])
  }
}
