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
    let goal: Goal
    /// How the handle is to be shown.
    let presentation: Presentation
    /// Distinguishes the waiters of one job.
    let serial: UInt64

    /// Whether a job in this condition is what the client waits for.
    func isSatisfied(by job: Job) -> Bool {
      switch goal {
      case .final, .result: job.state.isFinal
      case .change(let version): job.version != version || job.state.isFinal
      }
    }
  }

  private struct Place {
    let number: JobNumber
    let serial: UInt64
  }

  private var byJob: [JobNumber: [Waiter]] = [:]
  private var timers = TimerQueue<Place>()
  private var lastSerial: UInt64 = 0

  /// When the next waiter's time is over, in monotonic nanoseconds.
  var nextDeadline: UInt64? { timers.nextDeadline }

  /// How many clients wait.
  private(set) var count = 0

  /// Lets a client wait until `deadline`; answers the serial by which it can be removed.
  mutating func add(
    _ response: PendingResponse, for number: JobNumber, goal: Goal, _ presentation: Presentation,
    until deadline: UInt64
  ) -> UInt64 {
    lastSerial += 1
    let waiter = Waiter(
      response: response, goal: goal, presentation: presentation, serial: lastSerial)
    byJob[number, default: []].append(waiter)
    _ = timers.schedule(Place(number: number, serial: lastSerial), at: deadline)
    count += 1
    return lastSerial
  }

  /// Takes out a waiter whose client went away; nil if it was taken out before.
  mutating func remove(_ number: JobNumber, serial: UInt64) -> Waiter? {
    guard let index = byJob[number]?.firstIndex(where: { $0.serial == serial }) else { return nil }
    return take(index, of: number)
  }

  /// Takes out the waiters that `job` satisfies now.
  mutating func satisfied(by job: Job, _ body: (Waiter) -> Void) {
    guard !byJob.isEmpty, let waiters = byJob[job.number] else { return }
    for index in waiters.indices.reversed() where waiters[index].isSatisfied(by: job) {
      take(index, of: job.number)
    }
    for waiter in waiters where waiter.isSatisfied(by: job) { body(waiter) }
  }

  /// Takes out one waiter whose time is over at `now`.
  mutating func popExpired(at now: UInt64) -> (number: JobNumber, waiter: Waiter)? {
    while let place = timers.popExpired(at: now) {
      guard let index = byJob[place.number]?.firstIndex(where: { $0.serial == place.serial })
      else { continue }
      return (place.number, take(index, of: place.number))
    }
    return nil
  }

  /// Takes out all waiters, for the end of the service.
  mutating func removeAll() -> [(number: JobNumber, waiter: Waiter)] {
    defer {
      byJob = [:]
      timers = TimerQueue()
      count = 0
    }
    return byJob.flatMap { number, waiters in waiters.map { (number, $0) } }
  }

  @discardableResult
  private mutating func take(_ index: Int, of number: JobNumber) -> Waiter {
    guard let waiter = byJob[number]?.remove(at: index) else {
      preconditionFailure("job \(number) has no waiter \(index)")
    }
    if byJob[number]?.isEmpty == true { byJob[number] = nil }
    count -= 1
    return waiter
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
