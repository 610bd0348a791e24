internal import CPlatform

/// A lock that threads of any processes share, and that its holder does not get a second time.
///
///     let lock = try Lock()
///     try lock.withLock { print("one at a time") }
///
/// See `ProcessLock` for what it does, who may release it, and what happens when its holder dies.
/// One takes a descriptor and a page of memory.
public final class Lock: ProcessLock, Codable {
  /// Where the lock is.
  public let place: LockPlace

  /// Makes a lock that is free. Throws `LockError` with code `system` when the process has no
  /// descriptor or no memory left.
  public init() throws(LockError) {
    place = LockPlace(memory: try SharedMemory.lock(LIDO_LOCK_PLAIN))
  }

  /// The lock in `memory`, which must have one of this kind.
  init(_ memory: SharedMemory) {
    place = LockPlace(memory: memory)
  }

  /// Takes the lock from the start of this process, with which it was handed on. Throws
  /// `TransferError` anywhere else.
  public init(from decoder: any Decoder) throws {
    place = LockPlace(
      memory: try SharedPlace(from: decoder).memory(of: LIDO_LOCK_PLAIN, for: "Lock", decoder))
  }

  /// Hands the lock on to a process that is being started. Throws `TransferError` anywhere else.
  public func encode(to encoder: any Encoder) throws {
    try SharedPlace(of: memory, for: "Lock").encode(to: encoder)
  }
}
