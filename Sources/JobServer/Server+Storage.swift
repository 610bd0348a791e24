import JobCore
import JobStorage

/// When the journal fails, and when it recovers.
extension Server {
  /// How long after a failed append the next is tried, in milliseconds.
  private static let retryAfter: Milliseconds = 250

  /// A failed append turns the service read-only: the records stay pending in the journal's writer,
  /// their effects are held back, and the append is tried again. A failed sync ends the service:
  /// what the system says it has written can no longer be trusted.
  func storageFailed(_ error: StorageError) throws {
    guard error.code != .syncFailed else { throw error }
    retryAt = now.instant.advanced(byMilliseconds: Server.retryAfter)
    guard engine.isWritable else { return }
    log.error(
      "the journal cannot be written; read-only until it can", metadata: ["error": "\(error)"])
    decide(.storageChanged(isWritable: false))
  }

  /// The next sync, snapshot or retry.
  var storageDeadline: Instant? {
    if let retryAt { return retryAt }
    return phase == .closing || phase == .stopped ? nil : storage.nextDeadline
  }

  /// Does what is due: syncs, a snapshot, another try to write what waits.
  func passStorageTime() throws {
    storage.deadlineReached(at: now.instant)
    if let retryAt {
      guard retryAt <= now.instant else { return }
      self.retryAt = nil
      do {
        try storage.retryPending(at: now)
        log.notice("the journal can be written again")
        decide(.storageChanged(isWritable: true))
        release()
      } catch {
        try storageFailed(error)
      }
    }
    if storage.isSnapshotDue(at: now.instant), phase != .closing { startSnapshot() }
  }

  /// The sync thread is done with a sync.
  func syncsFinished() {
    do {
      try storage.drainSyncs()
    } catch {
      fatal = error
    }
    release()
  }
}
