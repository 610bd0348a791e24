internal import CPlatform
import Glibc

/// A descriptor by which other threads end one thread's wait: an eventfd(2).
final class WakeDescriptor: Sendable {
  /// Readable since `signal`, until `clear`.
  let descriptor: Int32

  init() throws(SystemCallError) {
    descriptor = lido_event()
    guard descriptor >= 0 else { throw SystemCallError("eventfd", number: errno) }
  }

  deinit {
    close(descriptor)
  }

  /// Ends the wait, or the next one.
  func signal() {
    lido_event_set(descriptor)
  }

  /// Forgets that it was signalled.
  func clear() {
    lido_event_clear(descriptor)
  }
}
