internal import CPlatform
import Glibc

/// One epoll instance, level triggered, and the buffer that it reports into: the only file of this
/// module that makes epoll calls, epoll(7).
///
/// The instance is closed with the value. Its descriptor is close-on-exec, but a forked child that
/// does not exec shares the instance and has to close `fileDescriptor`.
package struct Epoll: ~Copyable {
  /// Names one watch of a descriptor: its number, and which of the watches that this number has
  /// had. Descriptor numbers are reused at once, so the number alone would let an event that was
  /// reported for a closed descriptor reach its successor in the same batch.
  package struct Token: Equatable, Sendable {
    /// The descriptor.
    package let fileDescriptor: Int32
    /// Counts the watches of this number.
    package let generation: UInt32

    /// A token for the `generation`-th watch of a descriptor.
    package init(fileDescriptor: Int32, generation: UInt32) {
      self.fileDescriptor = fileDescriptor
      self.generation = generation
    }

    fileprivate init(bits: UInt64) {
      fileDescriptor = Int32(truncatingIfNeeded: bits)
      generation = UInt32(truncatingIfNeeded: bits >> 32)
    }

    fileprivate var bits: UInt64 {
      UInt64(generation) << 32 | UInt64(UInt32(bitPattern: fileDescriptor))
    }
  }

  /// The instance itself: readable when a watched descriptor is ready, so it can be nested.
  package let fileDescriptor: Int32
  /// How many events the last `wait` left in the buffer.
  package private(set) var readyCount = 0
  private let events: UnsafeMutableBufferPointer<epoll_event>
  private let waitsInNanoseconds: Bool

  /// An instance that reports at most `eventsMax` (1 or more) events a wait. What does not fit is
  /// reported by the next wait: the kernel goes round its list, so nobody starves.
  ///
  /// `nanosecondWait: false` uses millisecond waits even where finer ones exist (for tests).
  package init(eventsMax: Int, nanosecondWait: Bool = true) throws(ReactorError) {
    precondition(eventsMax >= 1, "no room for an event")
    let descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
    if descriptor < 0 { throw ReactorError(call: "epoll_create1") }
    fileDescriptor = descriptor
    events = .allocate(capacity: eventsMax)
    events.initialize(repeating: epoll_event())
    // Linux 5.11 has it; older kernels answer ENOSYS, some sandboxes EPERM. Asked once.
    var none = timespec()
    waitsInNanoseconds =
      nanosecondWait && epoll_pwait2(descriptor, events.baseAddress, 1, &none, nil) >= 0
  }

  deinit {
    events.deallocate()
    close(fileDescriptor)
  }

  /// Begins to watch. Throws what the system refuses: a regular file (`EPERM`), too many watches
  /// (`ENOSPC`), no memory. It is the caller's mistake to add an unopened descriptor, or one that
  /// is watched already.
  package func add(_ token: Token, for interest: Interest) throws(ReactorError) {
    try control(EPOLL_CTL_ADD, token, interest)
  }

  /// Replaces what is reported of a watched descriptor.
  package func modify(_ token: Token, for interest: Interest) throws(ReactorError) {
    try control(EPOLL_CTL_MOD, token, interest)
  }

  /// Ends a watch. To be called before the descriptor is closed: closing it ends the watch only
  /// if no other process or descriptor has the same file open, epoll(7).
  package func remove(_ descriptor: Int32) {
    let result = epoll_ctl(fileDescriptor, EPOLL_CTL_DEL, descriptor, nil)
    precondition(result == 0, "descriptor \(descriptor) was closed before its watch ended")
  }

  /// Waits until something is ready or `deadline` (`SystemClock.monotonicNanoseconds`; nil waits
  /// without bound) has come, and answers how many events the buffer holds. A deadline in the past,
  /// 0 above all, looks without waiting. A signal does not end the wait.
  ///
  /// Never early: with millisecond waits the time left is rounded up.
  package mutating func wait(until deadline: UInt64?) -> Int {
    while true {
      let left = deadline.map(Self.nanosecondsLeft)
      let found = waitOnce(left)
      // Nothing, but not for want of time: a wait longer than the longest goes on.
      if found == 0, left == Self.nanosecondsMax { continue }
      if found >= 0 {
        readyCount = Int(found)
        return readyCount
      }
      precondition(errno == EINTR, "epoll_wait refuses its own instance: errno \(errno)")
    }
  }

  /// The event at `index` (below `readyCount`), in the order in which they became ready.
  @inline(__always)
  package func event(at index: Int) -> (token: Token, readiness: Readiness) {
    let event = events[index]
    return (Token(bits: event.data.u64), Readiness(rawValue: event.events))
  }

  /// Forgets the event at `index`: from now on it is ready for nothing.
  @inline(__always)
  package mutating func clear(at index: Int) {
    events[index].events = 0
  }

  private func control(
    _ operation: Int32, _ token: Token, _ interest: Interest
  ) throws(ReactorError) {
    var event = epoll_event(events: interest.rawValue, data: epoll_data_t(u64: token.bits))
    if epoll_ctl(fileDescriptor, operation, token.fileDescriptor, &event) == 0 { return }
    let mistakes = [EBADF, EEXIST, ENOENT, EINVAL, ELOOP]
    precondition(
      !mistakes.contains(errno), "epoll_ctl on \(token.fileDescriptor): errno \(errno)")
    throw ReactorError(call: "epoll_ctl")
  }

  private func waitOnce(_ nanoseconds: UInt64?) -> Int32 {
    let room = Int32(clamping: events.count)
    if waitsInNanoseconds, let nanoseconds, nanoseconds > 0 {
      var time = timespec()
      time.tv_sec = Int(nanoseconds / 1_000_000_000)
      time.tv_nsec = Int(nanoseconds % 1_000_000_000)
      return epoll_pwait2(fileDescriptor, events.baseAddress, room, &time, nil)
    }
    let milliseconds = nanoseconds.map { Int32(clamping: ($0 + 999_999) / 1_000_000) } ?? -1
    return epoll_wait(fileDescriptor, events.baseAddress, room, milliseconds)
  }

  /// The longest single wait, a day: no arithmetic on it overflows.
  private static let nanosecondsMax: UInt64 = 86_400_000_000_000

  private static func nanosecondsLeft(until deadline: UInt64) -> UInt64 {
    if deadline == 0 { return 0 }
    let now = SystemClock.monotonicNanoseconds
    return deadline > now ? min(deadline - now, nanosecondsMax) : 0
  }
}
