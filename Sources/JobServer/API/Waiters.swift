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
    /// The next one that waits for the same job.
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

  /// The timers hold the waiters; those of one job are a list, for most jobs have one or none.
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
    guard let first = firstByJob[number] else { return }
    var next: Handle? = first
    var rest: Handle?
    while let handle = next, var waiter = timers[handle.timer] {
      next = waiter.next
      if waiter.isSatisfied(by: job) {
        timers.cancel(handle.timer)
        body(waiter)
      } else {
        if waiter.next != rest {
          waiter.next = rest
          timers.replace(handle.timer, with: waiter)
        }
        rest = handle
      }
    }
    if rest != first { firstByJob[number] = rest }
  }

  /// Takes out one waiter whose time is over at `now`.
  mutating func popExpired(at now: UInt64) -> Waiter? {
    guard let waiter = timers.popExpired(at: now) else { return nil }
    unlink(waiter)
    return waiter
  }

  /// Takes out all waiters, for the end of the service.
  mutating func removeAll() -> [Waiter] {
    var waiters: [Waiter] = []
    while let waiter = timers.popExpired(at: .max) { waiters.append(waiter) }
    firstByJob = [:]
    return waiters
  }

  /// Takes a waiter that is not pending any more out of its job's list: there, its handle is the
  /// one that names nothing.
  private mutating func unlink(_ gone: Waiter) {
    guard let first = firstByJob[gone.number] else { return }
    guard timers[first.timer] != nil else {
      firstByJob[gone.number] = gone.next
      return
    }
    var place = first
    while var waiter = timers[place.timer], let next = waiter.next {
      if timers[next.timer] == nil {
        waiter.next = gone.next
        timers.replace(place.timer, with: waiter)
        return
      }
      place = next
    }
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
