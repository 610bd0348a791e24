import JobCore
import JobStorage
import Logging
import Multiprocessing

/// Snapshots are written by a child of this program that recovers from the folder as a start would,
/// so every snapshot proves that recovery works. The loop waits neither for that nor for the seal
/// of the journal's segment before, nor for the removal of old files after.
extension Server {
  /// The snapshot that is being written, if one is.
  struct SnapshotRun {
    /// Whether the journal is being sealed for it.
    var isSealing = false
    /// The compactor.
    var token: ProcessToken?
    /// Whether one is being written.
    var isRunning: Bool { isSealing || token != nil }
    /// When it was begun.
    var begunAt = Instant(nanoseconds: 0)
    /// Whether the one that is written at the end of the service was begun.
    var isLastBegun = false
  }

  /// The code of the compactor among the entry points of forked children.
  static let compactorEntry: UInt32 = 2

  /// How much the compactor yields to everybody else.
  private static let compactorNice: Int32 = 10

  /// Begins to seal the journal's segment; the compactor is started when that is done.
  func startSnapshot() {
    do throws(StorageError) {
      guard try storage.beginSnapshot(at: now) else { return }
      snapshot.begunAt = now.instant
      snapshot.isSealing = true
      startCompactor()
    } catch  where error.code == .syncFailed {
      fatal = error
    } catch {
      noteNotBegun(error)
    }
  }

  /// Lets a child write the state up to the end of what is sealed, once it is.
  func startCompactor() {
    guard snapshot.isSealing else { return }
    do {
      guard let sequence = try storage.sealedForSnapshot(at: now.instant) else { return }
      snapshot.isSealing = false
      var specification = ProcessSpecification(
        .fork(
          EntryPoint(
            code: Server.compactorEntry,
            payload: Array(
              "\(sequence)\n\(settings.logFormat.rawValue)\n\(settings.directory)".utf8))))
      specification.nice = Server.compactorNice
      snapshot.token = try forkServer.startProcess(specification)
    } catch let failure as StartFailure {
      snapshotFailed("\(failure)")
    } catch {
      snapshot.isSealing = false
      noteNotBegun(error)
    }
  }

  private func noteNotBegun(_ error: any Error) {
    metrics.snapshotFailures += 1
    log.warning("no snapshot can be begun", metadata: ["error": "\(error)"])
  }

  /// Takes an event of the compactor; false if it is about another process.
  func snapshotEvent(_ event: ForkServerEvent) -> Bool {
    switch event {
    case .started(let token, _, _): return token == snapshot.token
    case .startFailed(let token, let failure):
      guard token == snapshot.token else { return false }
      snapshotFailed("\(failure)")
      return true
    case .exited(let token, let status, let use):
      guard token == snapshot.token else { return false }
      if status.exitcode == 0 {
        snapshotFinished(use)
      } else {
        snapshotFailed("the compactor ended with exit code \(status.exitcode)", use)
      }
      return true
    case .lost: return false
    }
  }

  private func snapshotFinished(_ use: ResourceUse) {
    let nanoseconds = now.instant.nanoseconds - snapshot.begunAt.nanoseconds
    do {
      let sequence = storage.snapshotInProgress ?? 0
      try storage.snapshotFinished(used: use.cpuMicroseconds * 1_000, at: now.instant)
      metrics.snapshot.observe(nanoseconds: nanoseconds)
      metrics.snapshotAt = now.timestamp
      log.debug(
        "snapshot written",
        metadata: [
          "sequence": .stringConvertible(sequence), "bytes": .count(storage.snapshotBytes),
          "seconds": .seconds(from: snapshot.begunAt, to: now.instant),
        ])
    } catch {
      metrics.snapshotFailures += 1
      log.warning("the snapshot cannot be used", metadata: ["error": "\(error)"])
    }
    snapshot.token = nil
  }

  private func snapshotFailed(_ reason: String, _ use: ResourceUse = ResourceUse()) {
    storage.snapshotFailed(used: use.cpuMicroseconds * 1_000, at: now.instant)
    snapshot.token = nil
    metrics.snapshotFailures += 1
    log.warning("no snapshot was written; the journal is kept", metadata: ["reason": "\(reason)"])
  }
}
