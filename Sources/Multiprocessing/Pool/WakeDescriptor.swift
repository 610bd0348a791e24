internal import CPlatform
import Glibc

/// A descriptor by which other threads end one thread's wait: an eventfd(2).
final class WakeDescriptor: Sendable {
  /// Readable since `signal`, until `clear`.
  let descriptor: Int32

  init() throws(SystemCallError) {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    guard descriptor >= 0 else { throw SystemCallError("eventfd", number: errno) }
  }

  deinit {
    close(descriptor)
  }

  /// Ends the wait, or the next one.
  func signal() {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }

  /// Forgets that it was signalled.
  func clear() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }
}
