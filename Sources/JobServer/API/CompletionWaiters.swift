import HTTPServer
import Reactor

/// What a client wants of a pool's feed.
struct CompletionWish: Equatable {
  let pool: String
  /// The place after which it goes on; nil: with what is kept.
  let after: FeedPlace?
  /// Completions in the answer, at most.
  let limit: Int
  /// What `Preference-Applied` says.
  let preferenceApplied: String?
}

/// The clients that wait for the next completion of a pool.
///
/// All of one pool wait for the same: they have had what there is. So nothing is looked at for each
/// of them while nothing ends there.
struct CompletionWaiters {
  /// One waiting client.
  struct Waiter {
    let response: PendingResponse
    let wish: CompletionWish
    /// What keeps the pool from being ended meanwhile.
    fileprivate let attendance: Attendance?
  }

  /// Names one waiter for as long as it waits.
  typealias Handle = TimerQueue<Waiter>.Handle

  /// Those of one pool.
  private struct Line {
    let pool: String
    /// The newest place when the first of them came.
    let told: FeedPlace
    /// In the order in which they came; those that left stay until they are many.
    var handles: [Handle] = []
    /// How many of them wait.
    var count = 0
  }

  private var timers = TimerQueue<Waiter>()
  /// By pool, those that came first before others. An array, as a dictionary's order is another in
  /// each process; there are no more than pools.
  private var lines: [Line] = []

  /// When the next waiter's time is over, in monotonic nanoseconds.
  var nextDeadline: UInt64? { timers.nextDeadline }

  /// How many clients wait.
  var count: Int { timers.count }

  /// Lets a client wait, until `deadline`, for something after `told`, the newest place of its
  /// pool's feed.
  mutating func add(
    _ response: PendingResponse, _ wish: CompletionWish, told: FeedPlace, until deadline: UInt64,
    _ attendance: Attendance? = nil
  ) -> Handle {
    let waiter = Waiter(response: response, wish: wish, attendance: attendance)
    let handle = timers.schedule(waiter, at: deadline)
    let index = lines.firstIndex { $0.pool == wish.pool } ?? lines.count
    if index == lines.count { lines.append(Line(pool: wish.pool, told: told)) }
    lines[index].handles.append(handle)
    lines[index].count += 1
    return handle
  }

  /// Takes out a waiter whose client went away; nil if it was taken out before.
  mutating func remove(_ handle: Handle) -> Waiter? {
    guard let waiter = timers.cancel(handle) else { return nil }
    leave(waiter)
    return waiter
  }

  /// Takes out those of every pool whose feed has gone on; `last` is asked for its newest place.
  mutating func takeServed(_ last: (_ pool: String) -> FeedPlace) -> [Waiter] {
    var waiters: [Waiter] = []
    for line in lines where last(line.pool) != line.told { waiters += takeAll(of: line.pool) }
    return waiters
  }

  /// Takes out all of one pool.
  mutating func takeAll(of pool: String) -> [Waiter] {
    guard let index = lines.firstIndex(where: { $0.pool == pool }) else { return [] }
    return lines.remove(at: index).handles.compactMap { timers.cancel($0) }
  }

  /// Takes out those whose time is over at `now`, at most `countMax`. When there are more,
  /// `nextDeadline` has passed.
  mutating func popExpired(at now: UInt64, atMost countMax: Int) -> [Waiter] {
    var waiters: [Waiter] = []
    while waiters.count < countMax, let waiter = timers.popExpired(at: now) {
      leave(waiter)
      waiters.append(waiter)
    }
    return waiters
  }

  /// Takes out all waiters, for the end of the service.
  mutating func removeAll() -> [Waiter] {
    defer { lines = [] }
    return lines.flatMap(\.handles).compactMap { timers.cancel($0) }
  }

  /// One of a line is not in `timers` any more.
  private mutating func leave(_ waiter: Waiter) {
    guard let index = lines.firstIndex(where: { $0.pool == waiter.wish.pool }) else { return }
    lines[index].count -= 1
    if lines[index].count == 0 {
      lines.remove(at: index)
    } else if lines[index].handles.count > 2 * lines[index].count + 16 {
      lines[index].handles.removeAll { [timers] in timers[$0] == nil }
    }
  }
}
