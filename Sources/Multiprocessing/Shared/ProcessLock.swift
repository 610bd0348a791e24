internal import CPlatform
import Glibc

/// What `Lock` and `RLock` have in common: a lock that threads of any processes share.
///
/// It lives in anonymous memory. A process gets it by inheritance: `fork` hands on everything, the
/// other start methods what is (in) the argument of the process, or of a pool's initializer.
///
/// Its holder is a thread, and only that thread can release it (in CPython anyone can release a
/// Lock). In return a holder that ends, even by SIGKILL, never leaves it locked: the next one to
/// acquire it gets `LockError` with code `lockOwnerDied`, and the lock is free again. That is told
/// once: others may acquire it before whoever was told has mended what it protects. Nothing is told
/// of a holder that had not begun, or had finished, what the lock protects.
/// A child of `fork` does not hold what its parent's thread holds.
///
/// Any thread may call everything here. A lock that is dropped while the calling thread holds it
/// counts as left by a dead holder; one that another thread holds keeps its memory (a page) mapped
/// until the process ends. Of a thread that holds more than 2,048 locks at once the rest stay
/// locked when it dies (a limit of the kernel), and all processes must see one another's process
/// ids (be of one pid namespace).
public protocol ProcessLock: AnyObject, Sendable, CustomStringConvertible {
  /// Where the lock is, which never changes. It comes from a `Lock` or an `RLock`: whatever else
  /// conforms stands for that one.
  var place: LockPlace { get }
}

/// Where a lock is: in shared memory.
public struct LockPlace: Sendable {
  let memory: SharedMemory

  /// The lock for the C functions, which any thread may call with it.
  fileprivate var lock: OpaquePointer {
    guard let lock = memory.lock else { preconditionFailure("shared memory without a lock") }
    return lock
  }
}

extension ProcessLock {
  /// Where the lock is.
  var memory: SharedMemory { place.memory }

  /// Acquires the lock, waiting until it is free, and says whether it did.
  ///
  /// With `block: false` it does not wait, whatever the `timeout`, which is otherwise the longest
  /// time to wait: nil for no bound, negative counts as 0. As `acquire(block, timeout)` in CPython.
  ///
  /// Throws `lockOwnerDied` if the last holder died while it held the lock; then the lock is free,
  /// not held by the caller, and what it protects may be half done. Throws `wouldDeadlock` for a
  /// `Lock` that the calling thread holds already, unless there is a bound: then it waits, and
  /// answers false.
  @discardableResult
  public func acquire(
    block: Bool = true, timeout: Duration? = nil
  ) throws(LockError) -> Bool {
    let deadline: Int64
    if !block {
      deadline = 0
    } else if let timeout {
      deadline = Deadline(after: timeout).nanoseconds.map { Int64(clamping: $0) } ?? -1
    } else {
      deadline = -1
    }
    let answer = lido_lock_acquire(place.lock, deadline)
    if answer.outcome == LIDO_LOCK_TAKEN { return true }
    if answer.outcome == LIDO_LOCK_BUSY { return false }
    throw LockError(answer)
  }

  /// Releases the lock, or one level of an `RLock`.
  ///
  /// Throws `notLocked` when nobody holds it (it was released too many times), `notOwner` when
  /// another thread does, of this process or of another one.
  public func release() throws(LockError) {
    let answer = lido_lock_release(place.lock)
    if answer.outcome != LIDO_LOCK_RELEASED { throw LockError(answer) }
  }

  /// Does `body` while the calling thread holds the lock: `with lock:` in CPython.
  ///
  /// Throws what `acquire` throws, then `body` is not called; what `body` throws; and `LockError`
  /// if `body` released the lock itself.
  public func withLock<Result>(_ body: () throws -> Result) throws -> Result {
    try acquire()
    let result: Result
    do {
      result = try body()
    } catch {
      // The body's own error says more than that it released the lock, too.
      lido_lock_release(place.lock)
      throw error
    }
    try release()
    return result
  }

  /// Whether a thread of any process holds it, at this moment: `locked()` in CPython.
  public var isLocked: Bool { lido_lock_is_held(place.lock) != 0 }

  /// Who holds it, at this moment: `"Lock(owner: process 4711)"`.
  public var description: String {
    let state = lido_lock_look(place.lock)
    var owner = "none"
    if state.is_own != 0 {
      owner = "this thread"
    } else if state.is_held != 0 {
      owner =
        if state.process == getpid() {
          "another thread"
        } else {
          state.process == 0 ? "another process" : "process \(state.process)"
        }
    }
    return memory.lockKind == LIDO_LOCK_RECURSIVE
      ? "RLock(owner: \(owner), count: \(state.depth))" : "Lock(owner: \(owner))"
  }

  /// Does `body`, one access to what the lock protects, under it, unless the calling thread holds
  /// it already. Nobody can be told of a dead holder here: it stays noted for the next `acquire`.
  func guardAccess<Result>(_ body: () -> Result) -> Result {
    let answer = lido_lock_enter(place.lock)
    defer { if answer.outcome == LIDO_LOCK_TAKEN { lido_lock_release(place.lock) } }
    precondition(
      answer.outcome == LIDO_LOCK_TAKEN || answer.outcome == LIDO_LOCK_OWN,
      "shared state: \(LockError(answer))")
    return body()
  }
}
