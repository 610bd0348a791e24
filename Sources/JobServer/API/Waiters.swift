import HTTPServer
import JobCore
import Reactor

/// The clients that wait for a job or for several: a struct and a suspended connection each, no
/// thread.
///
/// A waiter is answered exactly once: when its jobs have come as far as it wants, when its time is
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

    /// Whether a job in this condition is what the client waits for; nil: it was dropped, and so
    /// there is nothing more to wait for.
    func isMet(by job: JobBrief?) -> Bool {
      guard let job else { return true }
      return switch self {
      case .final, .result: job.state.isFinal
      case .change(let version): job.version != version || job.state.isFinal
      }
    }
  }

  /// What a waiting client is to hear.
  enum Subject {
    /// Of one job: by which goal it asked, and how the handle is to be shown.
    case job(JobNumber, Goal, Presentation)
    /// Of several, in one answer.
    case group(JobGroup)
  }

  /// One waiting client.
  struct Waiter {
    let response: PendingResponse
    let subject: Subject
    /// What keeps its pools from being ended meanwhile.
    let attendances: [Attendance]
    /// The first of its links.
    fileprivate let head: Int
  }

  /// Names one waiter for as long as it waits.
  struct Handle: Equatable {
    fileprivate let timer: TimerQueue<Waiter>.Handle
  }

  /// A waiter's place among those that wait for one job. Those of one job are a list, linked in
  /// both directions so that each can leave it at once; those of one waiter are a chain.
  private struct Link {
    var number: JobNumber
    var goal: Goal
    var waiter: Handle?
    /// The first link of the same waiter.
    var head: Int
    /// The next link of the same waiter.
    var sibling: Int?
    /// Who waits for the same job, and came just after, and just before.
    var newer: Int?
    var older: Int?
    /// Whether it is in the list of its job: not any more once its goal is met.
    var isListed = true
    /// Of the first link: how many links of the waiter must still be met until it is answered.
    var missing = 1
  }

  /// How many waits end in one turn, at most: ten thousand clients whose time is over at the same
  /// moment must not hold up the others.
  static let expiredMax = 500

  private var timers = TimerQueue<Waiter>()
  private var links: [Link] = []
  private var freeLinks: [Int] = []
  private var newestByJob: [JobNumber: Int] = [:]

  /// When the next waiter's time is over, in monotonic nanoseconds.
  var nextDeadline: UInt64? { timers.nextDeadline }

  /// How many clients wait.
  var count: Int { timers.count }

  /// Lets a client wait for one job until `deadline`; answers the handle by which it can be
  /// removed.
  mutating func add(
    _ response: PendingResponse, for number: JobNumber, goal: Goal, _ presentation: Presentation,
    until deadline: UInt64, _ attendance: Attendance? = nil
  ) -> Handle {
    let head = makeLink(number, goal)
    let timer = timers.schedule(
      Waiter(
        response: response, subject: .job(number, goal, presentation),
        attendances: attendance.map { [$0] } ?? [], head: head), at: deadline)
    let handle = Handle(timer: timer)
    list(head, handle)
    return handle
  }

  /// Lets a client wait for several jobs, each of which is named once, until `missing` of their
  /// goals are met. A change of one of the jobs costs the same as with a waiter for it alone.
  mutating func add(
    _ response: PendingResponse, for group: JobGroup, _ goals: [(JobNumber, Goal)], missing: Int,
    until deadline: UInt64, _ attendances: [Attendance] = []
  ) -> Handle {
    precondition(missing >= 1 && missing <= goals.count, "nobody waits for nothing")
    var sibling: Int?
    for (number, goal) in goals.reversed() {
      let link = makeLink(number, goal)
      links[link].sibling = sibling
      sibling = link
    }
    guard let head = sibling else { preconditionFailure("there is a goal at least") }
    links[head].missing = missing
    let waiter = Waiter(
      response: response, subject: .group(group), attendances: attendances, head: head)
    let handle = Handle(timer: timers.schedule(waiter, at: deadline))
    while let link = sibling {
      links[link].head = head
      list(link, handle)
      sibling = links[link].sibling
    }
    return handle
  }

  /// Takes out a waiter whose client went away; nil if it was taken out before.
  mutating func remove(_ handle: Handle) -> Waiter? {
    guard let waiter = timers.cancel(handle.timer) else { return nil }
    releaseLinks(from: waiter.head)
    return waiter
  }

  /// Takes out the waiters that miss nothing more once job `number` is in this condition; nil: it
  /// was dropped.
  mutating func satisfied(
    by job: JobBrief?, _ number: JobNumber, _ body: (Waiter) -> Void
  ) {
    var place = newestByJob[number]
    while let index = place {
      let link = links[index]
      place = link.older
      guard link.goal.isMet(by: job) else { continue }
      unlist(index)
      links[link.head].missing -= 1
      // Its other links are in the lists of other jobs, so `place` stays good.
      if links[link.head].missing == 0, let handle = link.waiter, let waiter = remove(handle) {
        body(waiter)
      }
    }
  }

  /// Takes out one waiter whose time is over at `now`.
  mutating func popExpired(at now: UInt64) -> Waiter? {
    guard let waiter = timers.popExpired(at: now) else { return nil }
    releaseLinks(from: waiter.head)
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
    (links, freeLinks, newestByJob) = ([], [], [:])
    return waiters
  }

  // MARK: Links

  private mutating func makeLink(_ number: JobNumber, _ goal: Goal) -> Int {
    let index = freeLinks.popLast() ?? links.count
    let link = Link(number: number, goal: goal, head: index)
    if index == links.count { links.append(link) } else { links[index] = link }
    return index
  }

  /// Puts a link first in the list of its job.
  private mutating func list(_ index: Int, _ waiter: Handle) {
    links[index].waiter = waiter
    let older = newestByJob.updateValue(index, forKey: links[index].number)
    links[index].older = older
    if let older { links[older].newer = index }
  }

  /// Joins the neighbours of a link, in constant time.
  private mutating func unlist(_ index: Int) {
    let link = links[index]
    links[index].isListed = false
    if let newer = link.newer {
      links[newer].older = link.older
    } else {
      newestByJob[link.number] = link.older
    }
    if let older = link.older { links[older].newer = link.newer }
  }

  private mutating func releaseLinks(from head: Int) {
    var place: Int? = head
    while let index = place {
      place = links[index].sibling
      if links[index].isListed { unlist(index) }
      freeLinks.append(index)
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
