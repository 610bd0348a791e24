internal import CPlatform
import Glibc

/// Where one thread sleeps until another wakes it, on the monotonic clock.
///
/// `unpark` before `park` is not lost. One thread parks; any number unpark.
final class Parker: Sendable {
  // reason: both pointers are constant, and what they lead to is made to be used by any thread.
  private nonisolated(unsafe) let mutex: UnsafeMutablePointer<pthread_mutex_t>
  // reason: as above.
  private nonisolated(unsafe) let condition: UnsafeMutablePointer<pthread_cond_t>
  private nonisolated(unsafe) var isUnparked = false  // reason: touched under `mutex` only.

  init() {
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Wakes the thread that parks here, or the next that will.
  func unpark() {
    pthread_mutex_lock(mutex)
    isUnparked = true
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  /// Sleeps until it is woken; returns false if `deadline` was first.
  @discardableResult
  func park(until deadline: Deadline = .never) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !isUnparked {
      guard let end = deadline.nanoseconds else {
        pthread_cond_wait(condition, mutex)
        continue
      }
      var time = timespec()
      time.tv_sec = Int(end / 1_000_000_000)
      time.tv_nsec = Int(end % 1_000_000_000)
      if pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { break }
    }
    defer { isUnparked = false }
    return isUnparked
  }
}
