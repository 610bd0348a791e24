internal import DequeModule
import Glibc

/// What a pool's callers and its supervisor share: an inbox, and what the supervisor makes known.
///
/// A caller appends to the inbox, and wakes the supervisor if that sleeps; nothing else is locked,
/// and nobody waits for the supervisor but `terminate` and `join`.
final class PoolCore: Sendable {
  /// Where the pool is in its life. Moves only forward.
  enum Phase: Int, Comparable {
    case running
    case closed
    case terminated

    static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
  }

  private struct State {
    var phase = Phase.running
    var inbox: [PoolCall] = []
    var isAsleep = false
    /// Why nothing runs any more.
    var broken: PoolError?
    /// How many iterators have not taken in all their input.
    var streams = 0
    var grace: UInt64 = 5_000_000_000
    var thread: OwnedThread?
  }

  /// How many processes it has.
  let processes: Int
  /// The tasks of the program.
  let registry: TaskRegistry
  /// Readable when the supervisor is to wake.
  let wake: WakeDescriptor
  /// Runs the callbacks.
  let callbacks: CallbackThread
  /// Every open job has ended, after `terminate`.
  let settled = Completion()
  /// All workers are gone, and so is the fork server.
  let ended = Completion()
  /// The process that the pool belongs to: a fork of it has none of its threads.
  private let owner: pid_t
  private let state = Mutex(State())
  private let pids = Mutex<[Int32]>([])
  private let streams = Mutex<[ObjectIdentifier: WeakStream]>([:])
  /// The threads of iterators that take in their input, and some that have ended.
  private let inputs = Mutex<[OwnedThread]>([])

  init(processes: Int, registry: TaskRegistry) throws(SystemCallError) {
    let wake = try WakeDescriptor()
    self.processes = processes
    self.registry = registry
    self.wake = wake
    owner = getpid()
    // Not this object, which has the callbacks: it would keep itself alive.
    callbacks = CallbackThread { wake.signal() }
  }

  // MARK: Callers

  /// Where the pool is in its life.
  var phase: Phase { state.withLock { $0.phase } }

  /// Whether this is the process that made the pool.
  var isOurs: Bool { getpid() == owner }

  /// Hands calls to the supervisor. Those of an iterator that was there before `close` are taken
  /// until the pool is terminated.
  func submit(_ calls: [PoolCall], ofStream: Bool = false) throws(PoolError) {
    try add(ofStream: ofStream) { $0.append(contentsOf: calls) }
  }

  /// The same for one call.
  func submit(_ call: PoolCall) throws(PoolError) {
    try add(ofStream: false) { $0.append(call) }
  }

  private func add(
    ofStream: Bool, _ append: (inout [PoolCall]) -> Void
  ) throws(PoolError) {
    guard isOurs else { throw PoolError(.otherProcess) }
    let answer: Result<Bool, PoolError> = state.withLock { state in
      if let broken = state.broken { return .failure(broken) }
      if state.phase == .terminated && ofStream { return .failure(PoolError(.terminated)) }
      if state.phase != .running && !ofStream { return .failure(PoolError(.notRunning)) }
      append(&state.inbox)
      defer { state.isAsleep = false }
      return .success(state.isAsleep)
    }
    if try answer.get() { wake.signal() }
  }

  /// An iterator begins.
  func openStream(_ stream: any PoolStream) throws(PoolError) {
    guard isOurs else { throw PoolError(.otherProcess) }
    // Before it counts, so that a pool that ends meanwhile abandons it.
    streams.withLock { $0[ObjectIdentifier(stream)] = WeakStream(stream) }
    let failure: PoolError? = state.withLock { state in
      if let broken = state.broken { return broken }
      if state.phase != .running { return PoolError(.notRunning) }
      state.streams += 1
      return nil
    }
    guard let failure else { return }
    streams.withLock { $0[ObjectIdentifier(stream)] = nil }
    throw failure
  }

  /// Starts a thread that takes in the input of an iterator.
  func startInput(_ body: @escaping @Sendable () -> Void) throws(SystemCallError) {
    try inputs.withLock { (inputs) throws(SystemCallError) in
      inputs.removeAll { $0.join(until: .now) }
      guard let thread = OwnedThread(named: "lido-input", body) else {
        throw SystemCallError("pthread_create", number: errno)
      }
      inputs.append(thread)
    }
  }

  /// Waits for the threads of the inputs, of which none is taken in any more. One whose input does
  /// not return within a moment is left to itself.
  func joinInputs(until deadline: Deadline) {
    let moment: UInt64 = 100_000_000
    let bound = Deadline(nanoseconds: Deadline.clock + min(deadline.left ?? moment, moment))
    for thread in inputs.withLock({ $0 }) where !thread.isCurrent {
      _ = thread.join(until: bound)
    }
  }

  /// An iterator has taken in all its input, or goes.
  func closeStream(_ stream: ObjectIdentifier) {
    streams.withLock { $0[stream] = nil }
    let isLast = state.withLock { state in
      state.streams -= 1
      return state.streams == 0 && state.phase != .running
    }
    if isLast { wake.signal() }
  }

  /// The iterators that have not taken in all their input.
  var openStreams: [any PoolStream] {
    streams.withLock { $0.values.compactMap(\.stream) }
  }

  /// No more jobs are taken.
  func close() {
    advance(to: .closed, grace: nil)
  }

  /// No more jobs are taken, and those that are open end; workers have `grace` nanoseconds.
  func terminate(grace: UInt64?) {
    advance(to: .terminated, grace: grace)
  }

  private func advance(to phase: Phase, grace: UInt64?) {
    guard isOurs else { return }
    state.withLock { state in
      state.phase = max(state.phase, phase)
      if let grace { state.grace = grace }
      state.isAsleep = false
    }
    wake.signal()
  }

  /// The workers' process ids.
  var processIDs: [Int32] { pids.withLock { $0 } }

  /// Whether this is the supervisor's thread.
  var isSupervising: Bool { state.withLock { $0.thread }?.isCurrent ?? false }

  /// Waits, after `ended`, until the supervisor's thread is gone: at once.
  func joinSupervisor() {
    _ = state.withLock { $0.thread }?.join(until: .never)
  }

  // MARK: The supervisor

  /// The thread that supervises.
  func begin(_ thread: OwnedThread) {
    state.withLock { $0.thread = thread }
  }

  /// What the supervisor is to know at the beginning of its turn.
  struct Wishes {
    var phase: Phase
    var grace: UInt64
    /// Whether calls may still come from iterators.
    var hasStreams: Bool
  }

  /// Moves what came in to the end of `queue`.
  func take(into queue: inout Deque<PoolCall>) -> Wishes {
    state.withLock { state in
      if !state.inbox.isEmpty {
        queue.append(contentsOf: state.inbox)
        state.inbox.removeAll(keepingCapacity: state.inbox.count <= 4096)
      }
      return Wishes(phase: state.phase, grace: state.grace, hasStreams: state.streams > 0)
    }
  }

  /// The supervisor is about to sleep, and is to be woken by the next call; false if there is one.
  func fallAsleep() -> Bool {
    state.withLock { state in
      state.isAsleep = state.inbox.isEmpty
      return state.isAsleep
    }
  }

  /// The supervisor is awake: nobody needs to wake it.
  func wakeUp() {
    state.withLock { $0.isAsleep = false }
  }

  /// Nothing runs any more, for this reason.
  func breakDown(_ error: PoolError) {
    state.withLock { $0.broken = error }
  }

  /// The workers as they are now.
  func note(processIDs: [Int32]) {
    pids.withLock { $0 = processIDs }
  }
}

/// An iterator over results, as the pool knows it.
protocol PoolStream: AnyObject, Sendable {
  /// Has all of the input taken in, whatever that is in length, until this is taken back.
  func hurry(_ isHurried: Bool)
  /// Has everything that has not arrived fail.
  func abandon(_ error: any Error)
}

/// An iterator that may go.
private struct WeakStream: Sendable {
  weak let stream: (any PoolStream)?

  init(_ stream: any PoolStream) {
    self.stream = stream
  }
}
