internal import CPlatform
import Glibc

/// A lock could not be made, acquired or released.
public struct LockError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong.
  public enum Code: Equatable, Sendable {
    /// The calling thread holds the lock and would wait for itself for ever.
    case wouldDeadlock
    /// The last holder died, or dropped its lock, while it held it. The lock is free.
    case lockOwnerDied
    /// Another thread holds the lock, and only that can release it.
    case notOwner
    /// Nobody holds the lock: it was released too many times.
    case notLocked
    /// The holder has it 4,294,967,295 times, and once more cannot be counted.
    case tooDeep
    /// The system refused, with this error number.
    case system(Int32)
  }

  /// What went wrong.
  public let code: Code
  /// The process that `lockOwnerDied` and `notOwner` are about; nil if that is not known, and for
  /// all other codes.
  public let owner: Int32?

  /// An error about nobody, or about `owner`, a process id.
  public init(_ code: Code, owner: Int32? = nil) {
    self.code = code
    self.owner = owner
  }

  /// For an answer that is a failure.
  init(_ answer: lido_lock_answer) {
    let owner = answer.process == 0 ? nil : answer.process
    switch answer.outcome {
    case LIDO_LOCK_OWN: self.init(.wouldDeadlock)
    case LIDO_LOCK_LEFT: self.init(.lockOwnerDied, owner: owner)
    case LIDO_LOCK_FOREIGN: self.init(.notOwner, owner: owner)
    case LIDO_LOCK_FREE: self.init(.notLocked)
    case LIDO_LOCK_TOO_DEEP: self.init(.tooDeep)
    default: self.init(.system(answer.process))
    }
  }

  /// What happened, and what to do.
  public var description: String {
    let process = owner.map { "process \($0)" } ?? "another process"
    return switch code {
    case .wouldDeadlock:
      """
      this thread holds the Lock already and would wait for itself for ever: release it first, \
      give a timeout, or use an RLock
      """
    case .lockOwnerDied:
      """
      \(process) ended, or dropped the lock, while it held it: what it protects may be half done. \
      The lock is free again
      """
    case .notOwner:
      "the lock is held by another thread, of \(process): only the thread that acquired it can "
        + "release it"
    case .notLocked: "the lock was released too many times: nobody holds it"
    case .tooDeep: "the RLock is held 4294967295 times already"
    case .system(let number): "no lock: \(String(cString: strerror(number)))"
    }
  }
}
