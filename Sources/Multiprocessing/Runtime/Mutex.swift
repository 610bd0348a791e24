import Glibc

/// A lock, and what it guards.
///
/// Not that of Swift's `Synchronization`: there a thread remembers its own id, in as many places as
/// that code was inlined into, and does not know its own locks again after fork(2). A pthread mutex
/// that nobody holds is a good one in the child as well, and only a process with one thread is
/// forked.
struct Mutex<Value>: ~Copyable, Sendable {
  // reason: the pointer is constant, and what it leads to is made to be used by any thread.
  private nonisolated(unsafe) let lock: UnsafeMutablePointer<pthread_mutex_t>
  // reason: between the first and the last moment of its life, what it leads to is touched by
  // `withLock` only, under `lock`.
  private nonisolated(unsafe) let value: UnsafeMutablePointer<Value>

  /// An unlocked one.
  init(_ initial: sending Value) {
    lock = .allocate(capacity: 1)
    value = .allocate(capacity: 1)
    value.initialize(to: initial)
    // It fails for attributes only, and there are none.
    pthread_mutex_init(lock, nil)
  }

  deinit {
    pthread_mutex_destroy(lock)
    lock.deallocate()
    value.deinitialize(count: 1)
    value.deallocate()
  }

  /// Does `body` with the value while no other thread has it; it must not let references out that
  /// lead to what is guarded. Not to be called from within itself.
  borrowing func withLock<Answer, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Answer
  ) throws(Failure) -> Answer {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return try body(&value.pointee)
  }
}
