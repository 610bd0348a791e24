/// What the pool's owner is to do, in this order.
public enum PoolAction: Equatable, Sendable {
  /// Start a process for `worker`. Answered by `started` or `startFailed`.
  case start(worker: PoolWorkerID, slot: Int)
  /// Send SIGTERM to the process group of `worker`.
  case terminate(worker: PoolWorkerID)
  /// Send SIGKILL to the process group of `worker`.
  case kill(worker: PoolWorkerID)
  /// Tell `worker` that no more calls come, so that it ends.
  case stop(worker: PoolWorkerID)
  /// Revoke the calls of `worker` up to the ordinal `last` that it has not claimed. Answered by
  /// `revoked`, at once.
  case revoke(worker: PoolWorkerID, last: UInt32)
  /// Look which calls `worker` has claimed. Answered by `claimsSeen`, at once.
  case look(worker: PoolWorkerID)
}

/// Names one worker of a pool for ever; a slot's next worker has another.
public struct PoolWorkerID: Hashable, Sendable {
  /// A number that counts the workers in the high half, and their place in the low half.
  let rawValue: UInt64

  init(generation: UInt32, index: Int) {
    rawValue = UInt64(generation) << 32 | UInt64(index)
  }

  var index: Int { Int(rawValue & 0xffff_ffff) }
}
