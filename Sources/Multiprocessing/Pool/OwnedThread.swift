import Glibc

/// A thread that is joined, or left to itself with the last reference to this object.
final class OwnedThread: Sendable {
  /// nil once it is joined.
  private let thread: Mutex<pthread_t?>
  private let finished: Completion

  /// Starts a thread, by `PoolThread.start`. Nil if the system has none, `errno` tells why.
  init?(named name: String, _ body: @escaping @Sendable () -> Void) {
    let finished = Completion()
    let start = PoolThread.start(named: name) {
      body()
      finished.set()
    }
    guard let start else { return nil }
    thread = Mutex(start)
    self.finished = finished
  }

  deinit {
    if let thread = take() { pthread_detach(thread) }
  }

  /// Whether this is called in it.
  var isCurrent: Bool {
    guard let thread = thread.withLock(\.self) else { return false }
    return pthread_equal(thread, pthread_self()) != 0
  }

  /// Waits until it is gone; false if it is not by `deadline`.
  func join(until deadline: Deadline) -> Bool {
    guard finished.wait(until: deadline) else { return false }
    if let thread = take() { pthread_join(thread, nil) }
    return true
  }

  private func take() -> pthread_t? {
    thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
  }
}
