import HTTPServer
import JobCore
import Reactor

/// The clients that wait until a pool is joined: a struct and a suspended connection each.
///
/// Each is answered exactly once: when its pool is joined or gone, when its time is over, or when
/// it has closed its side.
struct PoolWaiters {
  /// One waiting client, and its pool.
  struct Waiter {
    let response: PendingResponse
    let pool: PoolID
    /// What keeps the pool from being ended meanwhile.
    fileprivate let attendance: Attendance?
    /// Never used twice.
    fileprivate let serial: UInt64
  }

  /// Names one waiter for as long as it waits.
  typealias Handle = TimerQueue<Waiter>.Handle

  private var timers = TimerQueue<Waiter>()
  /// By pool, then by serial number.
  private var handles: [PoolID: [UInt64: Handle]] = [:]
  private var lastSerial: UInt64 = 0

  /// When the next waiter's time is over, in monotonic nanoseconds.
  var nextDeadline: UInt64? { timers.nextDeadline }

  /// How many clients wait.
  var count: Int { timers.count }

  /// Lets a client wait until `deadline`.
  mutating func add(
    _ response: PendingResponse, for pool: PoolID, until deadline: UInt64,
    _ attendance: Attendance? = nil
  ) -> Handle {
    lastSerial += 1
    let waiter = Waiter(
      response: response, pool: pool, attendance: attendance, serial: lastSerial)
    let handle = timers.schedule(waiter, at: deadline)
    handles[pool, default: [:]][lastSerial] = handle
    return handle
  }

  /// Takes out a waiter whose client went away; nil if it was taken out before.
  mutating func remove(_ handle: Handle) -> Waiter? {
    timers.cancel(handle).map { forget($0) }
  }

  /// Takes out all that wait for a pool, those that came first before the others.
  mutating func removeAll(of pool: PoolID) -> [Waiter] {
    let found = handles.removeValue(forKey: pool) ?? [:]
    return found.sorted { $0.key < $1.key }.compactMap { timers.cancel($0.value) }
  }

  /// Takes out one waiter whose time is over at `now`.
  mutating func popExpired(at now: UInt64) -> Waiter? {
    timers.popExpired(at: now).map { forget($0) }
  }

  private mutating func forget(_ waiter: Waiter) -> Waiter {
    handles[waiter.pool]?[waiter.serial] = nil
    if handles[waiter.pool]?.isEmpty == true { handles[waiter.pool] = nil }
    return waiter
  }

  /// Takes out all waiters, for the end of the service.
  mutating func removeAll() -> [Waiter] {
    handles = [:]
    var waiters: [Waiter] = []
    while let waiter = timers.popExpired(at: .max) { waiters.append(waiter) }
    return waiters
  }
}
