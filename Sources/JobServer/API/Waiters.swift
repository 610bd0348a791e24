import HTTPServer
import JobCore
import Reactor

/// The clients that wait for a job: a struct and a suspended connection each, no thread.
///
/// A waiter is answered exactly once: when its job has come as far as it wants, when its time is
/// over, or when its client has closed its side.
struct Waiters {
  /// What a client waits for.
  enum Goal: Equatable {
    /// The job is final; then the answer is its handle.
    case final
    /// The handle is another than that of this version.
    case change(from: UInt32)
    /// The job is final; then the answer is its bare result.
    case result
  }

  /// One waiting client.
  struct Waiter {
    let response: PendingResponse
    let number: JobNumber
    let goal: Goal
    /// How the handle is to be shown.
    let presentation: Presentation
    /// The one that waits for the same job and came just after this one.
    fileprivate(set) var previous: Handle?
    /// The one that waits for the same job and came just before this one.
    fileprivate(set) var next: Handle?

    /// Whether a job in this condition is what the client waits for.
    func isSatisfied(by job: JobBrief) -> Bool {
      switch goal {
      case .final, .result: job.state.isFinal
      case .change(let version): job.version != version || job.state.isFinal
      }
    }
  }

  /// Names one waiter for as long as it waits.
  struct Handle: Equatable {
    fileprivate let timer: TimerQueue<Waiter>.Handle
  }

  /// How many waits end in one turn, at most: ten thousand clients whose time is over at the same
  /// moment must not hold up the others.
  static let expiredMax = 500

  /// The timers hold the waiters; those of one job are a list, the newest first, linked in both
  /// directions so that each can leave it at once.
  private var timers = TimerQueue<Waiter>()
  private var firstByJob: [JobNumber: Handle] = [:]

  /// When the next waiter's time is over, in monotonic nanoseconds.
  var nextDeadline: UInt64? { timers.nextDeadline }

  /// How many clients wait.
  var count: Int { timers.count }

  /// Lets a client wait until `deadline`; answers the handle by which it can be removed.
  mutating func add(
    _ response: PendingResponse, for number: JobNumber, goal: Goal, _ presentation: Presentation,
    until deadline: UInt64
  ) -> Handle {
    let waiter = Waiter(
      response: response, number: number, goal: goal, presentation: presentation,
      next: firstByJob[number])
    let handle = Handle(timer: timers.schedule(waiter, at: deadline))
    if let next = waiter.next { change(next) { $0.previous = handle } }
    firstByJob[number] = handle
    return handle
  }

  /// Takes out a waiter whose client went away; nil if it was taken out before.
  mutating func remove(_ handle: Handle) -> Waiter? {
    guard let waiter = timers.cancel(handle.timer) else { return nil }
    unlink(waiter)
    return waiter
  }

  /// Takes out the waiters for job `number` that its condition satisfies now.
  mutating func satisfied(
    by job: JobBrief, _ number: JobNumber, _ body: (Waiter) -> Void
  ) {
    var place = firstByJob[number]
    while let handle = place, let waiter = timers[handle.timer] {
      place = waiter.next
      if waiter.isSatisfied(by: job), let waiter = remove(handle) { body(waiter) }
    }
  }

  /// Takes out one waiter whose time is over at `now`.
  mutating func popExpired(at now: UInt64) -> Waiter? {
    guard let waiter = timers.popExpired(at: now) else { return nil }
    unlink(waiter)
    return waiter
  }

  /// Takes out those whose time is over at `now`, at most `countMax`. When there are more,
  /// `nextDeadline` has passed.
  mutating func popExpired(at now: UInt64, atMost countMax: Int) -> [Waiter] {
    var waiters: [Waiter] = []
    while waiters.count < countMax, let waiter = popExpired(at: now) { waiters.append(waiter) }
    return waiters
  }

  /// Takes out all waiters, for the end of the service.
  mutating func removeAll() -> [Waiter] {
    var waiters: [Waiter] = []
    while let waiter = timers.popExpired(at: .max) { waiters.append(waiter) }
    firstByJob = [:]
    return waiters
  }

  /// Joins the neighbours of a waiter that is not pending any more, in constant time.
  private mutating func unlink(_ gone: Waiter) {
    if let previous = gone.previous {
      change(previous) { $0.next = gone.next }
    } else {
      firstByJob[gone.number] = gone.next
    }
    if let next = gone.next { change(next) { $0.previous = gone.previous } }
  }

  /// Changes a waiter that is pending.
  private mutating func change(_ handle: Handle, _ body: (inout Waiter) -> Void) {
    guard var waiter = timers[handle.timer] else {
      preconditionFailure("who is linked waits")
    }
    body(&waiter)
    timers.replace(handle.timer, with: waiter)
  }
}

/// How an answer with a handle looks beyond the handle itself.
struct Presentation {
  /// Whether the arguments are shown.
  var includesArguments = false
  /// Whether a repeat of a submission is answered with the first job.
  var isReplay = false
  /// What `Preference-Applied` says.
  var preferenceApplied: String?
  /// Whether the answer is to a submission or cancel (202 while not final) or to a GET (200).
  var isAcceptance = false
  /// Whether the client asked to wait, by header or query: a final handle then answers 200.
  var isWaited = false
  /// The version that the client holds already, from `If-None-Match`.
  var heldVersion: UInt32?
}
