internal import CPlatform
import Glibc

/// A moment up to which a call may wait, on the monotonic clock.
struct Deadline: Equatable {
  /// In nanoseconds of CLOCK_MONOTONIC; nil: without a bound.
  let nanoseconds: UInt64?

  /// No bound.
  static let never = Deadline(nanoseconds: nil)
  /// Has passed: to look without waiting.
  static let now = Deadline(nanoseconds: 0)

  /// A moment of CLOCK_MONOTONIC; nil: no bound.
  init(nanoseconds: UInt64?) {
    self.nanoseconds = nanoseconds
  }

  /// `timeout` from now; nil for no bound. One that is negative has passed, as in CPython.
  init(after timeout: Duration?) {
    guard let timeout else {
      self = .never
      return
    }
    let (seconds, attoseconds) = timeout.components
    guard seconds >= 0, attoseconds >= 0 else {
      self = .now
      return
    }
    let length = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let sum = length.partialValue.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
    let end = Self.clock.addingReportingOverflow(sum.partialValue)
    nanoseconds = length.overflow || sum.overflow || end.overflow ? nil : end.partialValue
  }

  /// Nanoseconds that are left, 0 if it has passed; nil without a bound.
  var left: UInt64? {
    guard let nanoseconds else { return nil }
    let now = nanoseconds == 0 ? 0 : Self.clock
    return nanoseconds > now ? nanoseconds - now : 0
  }

  /// Whether it has passed.
  var hasPassed: Bool { left == 0 }

  /// The present moment.
  static var clock: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Waits until one of `entries` is ready (poll(2), which fills `revents`) or this moment has
  /// come. A signal does not end the wait. Answers how many are ready: 0 means that time is over.
  /// Throws EINVAL for more entries than the process may have descriptors open.
  @discardableResult
  func poll(_ entries: inout [pollfd]) throws(SystemCallError) -> Int {
    while true {
      let left = left.map { Int64(clamping: $0) } ?? -1
      let count = lido_poll(&entries, entries.count, left)
      if count >= 0 { return Int(count) }
      if errno != EINTR, errno != ENOMEM { throw SystemCallError("poll", number: errno) }
    }
  }

  /// Waits until `descriptor` is ready for `events` (POLLIN, POLLOUT), hung up or failed. Says
  /// whether it is.
  func poll(_ descriptor: Int32, for events: Int32) -> Bool {
    var entries = [pollfd(fd: descriptor, events: Int16(events), revents: 0)]
    do throws(SystemCallError) {
      return try poll(&entries) > 0
    } catch {
      // Only a limit of no descriptors at all refuses one.
      preconditionFailure("\(error)")
    }
  }
}
