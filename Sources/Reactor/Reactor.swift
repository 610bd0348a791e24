import Glibc

/// One thread's descriptors and what to do when they are ready.
///
/// It has no turn of its own: its owner decides when to wait, how long, and what comes between the
/// steps. `collect(until:)` is the short form; a server with steps of its own calls `wait(until:)`
/// and then `dispatch(_:)` once for each precedence.
///
/// Bounded: one wait delivers at most `eventsMax` events, each at most once. Watches are level
/// triggered: what an action leaves unread is reported again by the next wait, and so is what was
/// reported but not dispatched.
///
/// A descriptor belongs to whoever watches it: the reactor never reads, writes or closes one.
/// Not for use from two threads. A forked child closes `fileDescriptor` and uses none of the rest.
public final class Reactor {
  /// What is done when a descriptor is ready. It may watch and unwatch any descriptor, its own
  /// included, but not wait.
  public typealias Action = (Readiness) -> Void

  /// What is known of one descriptor number. `action` is nil when it is not watched; the
  /// generation survives that, so that a later watch of the same number gets another one.
  private struct Watch {
    var action: Action?
    var generation: UInt32 = 0
    var interest: Interest = []
    var precedence = Precedence.middle
  }

  private var epoll: Epoll
  private var watches: [Watch] = []
  private var isDispatching = false

  /// How many descriptors are watched.
  public private(set) var watchCount = 0

  /// The epoll instance: readable when an action is due, so that one reactor can be watched by
  /// another loop.
  public var fileDescriptor: Int32 { epoll.fileDescriptor }

  /// A reactor that delivers at most `eventsMax` (1 or more) events a wait. Throws when the
  /// process or the system has no descriptor left.
  public init(eventsMax: Int = 256) throws(ReactorError) {
    epoll = try Epoll(eventsMax: eventsMax)
  }

  /// Calls `action` whenever `descriptor` is ready for something of `interest`, hung up or failed,
  /// until `unwatch`. The action is kept until then: capture weakly what keeps this reactor.
  ///
  /// With an empty interest hang-up and failure are still reported, at every wait for as long as
  /// they last. Throws what epoll cannot watch (`EPERM`: a regular file; a standard input that is
  /// redirected from one) or has no room for. A descriptor has one watch at a time.
  public func watch(
    _ descriptor: Int32, for interest: Interest, precedence: Precedence = .middle,
    action: @escaping Action
  ) throws(ReactorError) {
    precondition(descriptor >= 0, "not a descriptor: \(descriptor)")
    let index = Int(descriptor)
    if index >= watches.count {
      watches.append(contentsOf: repeatElement(Watch(), count: index + 1 - watches.count))
    }
    precondition(watches[index].action == nil, "descriptor \(descriptor) is watched already")
    let generation = watches[index].generation &+ 1
    try epoll.add(Epoll.Token(fileDescriptor: descriptor, generation: generation), for: interest)
    watches[index] = Watch(
      action: action, generation: generation, interest: interest, precedence: precedence)
    watchCount += 1
  }

  /// Replaces what is reported of a watched descriptor, from now on: what this batch holds for it
  /// and no longer interests is not delivered. Costs nothing when it is the interest already.
  public func setInterest(_ interest: Interest, of descriptor: Int32) throws(ReactorError) {
    precondition(isWatched(descriptor), "descriptor \(descriptor) is not watched")
    let index = Int(descriptor)
    if watches[index].interest == interest { return }
    let token = Epoll.Token(fileDescriptor: descriptor, generation: watches[index].generation)
    try epoll.modify(token, for: interest)
    watches[index].interest = interest
  }

  /// Ends the watch and lets go of its action; nothing of the current batch reaches it any more.
  /// To be called before the descriptor is closed, epoll(7).
  public func unwatch(_ descriptor: Int32) {
    precondition(isWatched(descriptor), "descriptor \(descriptor) is not watched")
    epoll.remove(descriptor)
    watches[Int(descriptor)].action = nil
    watchCount -= 1
  }

  /// Whether there is a watch of this descriptor.
  public func isWatched(_ descriptor: Int32) -> Bool {
    watches.indices.contains(Int(descriptor)) && watches[Int(descriptor)].action != nil
  }

  /// The longest time for which `wait(until:maySpin:)` looks before it sleeps, in nanoseconds.
  /// About twice what falling asleep and being woken costs on a machine with nothing else to do.
  package static let spinMax: UInt64 = 100_000

  /// How long the last wait took that might have spun, in nanoseconds.
  package var lastWait: UInt64 = .max
  /// For how long it does not yield after a yield that took long, in nanoseconds.
  package static let yieldPause: UInt64 = 1_000_000_000
  /// When it may yield again.
  package private(set) var yieldsAgainAt: UInt64 = 0
  /// How many waits have spun.
  package private(set) var spins = 0

  /// As `wait(until:)`, for an owner with a CPU to spare: if the wait before took less than
  /// `spinMax`, this one is likely to as well, and it looks again and again for as long before it
  /// sleeps. To sleep for some 30 µs and be woken takes as long again, on both sides; an exchange
  /// of many short calls is twice as fast without. Whoever waits for longer spins once in vain.
  /// Between two looks it yields: whom this thread has woken, the kernel may have put on its CPU.
  /// Beside somebody who computes there, a yield lasts for milliseconds; it is left out then.
  @discardableResult
  public func wait(until deadline: UInt64?, maySpin: Bool) -> Int {
    guard maySpin else { return wait(until: deadline) }
    let start = SystemClock.monotonicNanoseconds
    if let deadline, deadline <= start { return wait(until: 0) }
    defer { lastWait = SystemClock.monotonicNanoseconds - start }
    if lastWait < Reactor.spinMax {
      spins += 1
      let end = min(start + Reactor.spinMax, deadline ?? .max)
      var now = start
      repeat {
        let found = wait(until: 0)
        if found > 0 { return found }
        now = yield(at: SystemClock.monotonicNanoseconds)
      } while now < end
    }
    return wait(until: deadline)
  }

  /// Lets others run, if that is likely to be short, and answers what time it is then.
  private func yield(at now: UInt64) -> UInt64 {
    guard now >= yieldsAgainAt else { return now }
    sched_yield()
    let after = SystemClock.monotonicNanoseconds
    noteYield(from: now, to: after)
    return after
  }

  /// A yield that took longer than a spin may is not tried again for a second.
  package func noteYield(from start: UInt64, to end: UInt64) {
    if end - start >= Reactor.spinMax { yieldsAgainAt = end + Reactor.yieldPause }
  }

  /// Waits until something is ready or the deadline (on `SystemClock.monotonicNanoseconds`; nil
  /// for none; 0 to look without waiting) has come, and answers how many events there are to
  /// dispatch. What was left of the batch before is dropped, to be reported again.
  @discardableResult
  public func wait(until deadline: UInt64?) -> Int {
    precondition(!isDispatching, "an action must not wait")
    return epoll.wait(until: deadline)
  }

  /// Performs the actions of this precedence that the last wait found due, each once, and answers
  /// how many they were.
  @discardableResult
  public func dispatch(_ precedence: Precedence) -> Int {
    precondition(!isDispatching, "an action must not dispatch")
    isDispatching = true
    defer { isDispatching = false }
    var performed = 0
    for position in 0..<epoll.readyCount {
      let (token, readiness) = epoll.event(at: position)
      let index = Int(token.fileDescriptor)
      guard watches[index].generation == token.generation,
        watches[index].precedence == precedence, let action = watches[index].action
      else { continue }
      let due = readiness.limited(to: watches[index].interest)
      if due.isEmpty { continue }
      epoll.clear(at: position)
      action(due)
      performed += 1
    }
    return performed
  }

  /// Waits, performs every action that is due, in the order of their precedence, and answers how
  /// many they were. 0 means that the deadline came first.
  @discardableResult
  public func collect(until deadline: UInt64?) -> Int {
    if wait(until: deadline) == 0 { return 0 }
    return dispatch(.early) + dispatch(.middle) + dispatch(.late)
  }
}
