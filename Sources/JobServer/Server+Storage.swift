import JobCore
import JobStorage
import Logging

/// When the journal fails, and when it recovers.
extension Server {
  /// How long after a failed append the next is tried, in milliseconds.
  private static let retryAfter: Milliseconds = 250

  /// A failed append turns the service read-only: the records stay pending in the journal's writer,
  /// their effects are held back, and the append is tried again. A failed sync ends the service:
  /// what the system says it has written can no longer be trusted.
  func storageFailed(_ error: StorageError) throws(StorageError) {
    guard error.code != .syncFailed else { throw error }
    metrics.journalFailures += 1
    retryAt = now.instant.advanced(byMilliseconds: Server.retryAfter)
    guard engine.isWritable else { return }
    log.error(
      "the journal cannot be written; read-only until it can", metadata: ["error": "\(error)"])
    readOnlySince = now.instant
    decide(.storageChanged(isWritable: false))
  }

  /// The next sync, snapshot or retry.
  var storageDeadline: Instant? {
    if let retryAt { return retryAt }
    return phase == .closing || phase == .stopped ? nil : storage.nextDeadline
  }

  /// Does what is due: syncs, a snapshot, another try to write what waits.
  func passStorageTime() throws(StorageError) {
    storage.deadlineReached(at: now.instant)
    if let retryAt {
      guard retryAt <= now.instant else { return }
      self.retryAt = nil
      do throws(StorageError) {
        let waiting = storage.pendingCount
        try storage.retryPending(at: now)
        log.notice(
          "the journal can be written again",
          metadata: [
            "records": .count(waiting),
            "seconds": .seconds(from: readOnlySince ?? now.instant, to: now.instant),
          ])
        readOnlySince = nil
        decide(.storageChanged(isWritable: true))
      } catch {
        try storageFailed(error)
      }
    }
    if engine.isWritable, storage.isSnapshotDue(at: now.instant), phase != .closing {
      startSnapshot()
    }
  }

  /// The sync thread is done with a sync, or with what belongs to a seal or a removal.
  func syncsFinished() {
    let before = storage.syncsDone
    do throws(StorageError) {
      try storage.drainSyncs()
    } catch {
      fatal = error
    }
    startCompactor()
    if let failure = storage.takeRemovalFailure() {
      log.warning(
        "an old file cannot be removed; a later snapshot, of a log the next start, tries again",
        metadata: ["error": "\(failure)"])
    }
    let count = storage.syncsDone.count - before.count
    let nanoseconds = storage.syncsDone.nanoseconds - before.nanoseconds
    // Rarely more than one; then each counts with their mean.
    for _ in 0..<count {
      metrics.sync.observe(nanoseconds: nanoseconds / UInt64(count))
    }
  }
}
