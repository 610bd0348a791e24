internal import CPlatform
import Glibc

/// Wakes a loop from another thread: a counter that is readable when it is not 0, eventfd(2).
///
/// A thread of C that has only the descriptor adds to the counter by writing a `uint64_t` of 1.
public final class WakeUp: Sendable {
  /// To be watched for reading. Non-blocking and close-on-exec; closed with this object, so its
  /// watch ends before, and so does every thread that writes to it.
  public let fileDescriptor: Int32

  /// Throws when the process or the system has no descriptor left.
  public init() throws(ReactorError) {
    fileDescriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    if fileDescriptor < 0 { throw ReactorError(call: "eventfd") }
  }

  deinit {
    close(fileDescriptor)
  }

  /// Makes the descriptor readable. From any thread; async-signal-safe; never blocks.
  public func signal() {
    while eventfd_write(fileDescriptor, 1) != 0 {
      // EAGAIN: the counter is at its bound (2^64 - 2), so it is readable already.
      if errno == EAGAIN { return }
      precondition(errno == EINTR, "eventfd_write: errno \(errno)")
    }
  }

  /// Takes the counter back to 0 and answers what it was: how often it was signalled since, or 0.
  @discardableResult
  public func drain() -> UInt64 {
    var count: UInt64 = 0
    while eventfd_read(fileDescriptor, &count) != 0 {
      if errno == EAGAIN { return 0 }
      precondition(errno == EINTR, "eventfd_read: errno \(errno)")
    }
    return count
  }
}
