internal import Glibc
public import JobCore

/// Makes a snapshot of a folder that no server uses: the next start then reads one file and no
/// journal, and the folder is as small as it gets.
public enum OfflineSnapshot {
  /// What was done.
  public struct Report: Sendable {
    /// The sequence number of the last record in the snapshot; 0: there has never been a record,
    /// and nothing was written.
    public let sequence: UInt64
    /// Jobs in it.
    public let jobs: Int
    /// Its size in bytes.
    public let bytes: Int
    /// What recovery had to say; see `RecoveryReport.notes`.
    public let notes: [String]
    /// What is not needed any more and could not be removed, each with the reason.
    public let removalFailures: [StorageError]
  }

  /// Recovers the folder `path` as a start does, writes its state as a snapshot, reads that back,
  /// and removes everything older: what is left is the snapshot and a segment without a record.
  /// Blocks. Keeps the whole state in memory.
  ///
  /// A server keeps the snapshot before the newest as well, and the journal since; here the newest
  /// one has been read before anything goes.
  ///
  /// - Throws: what `JobStorage.open` and `Compaction.run` do: `inUse` if a server uses the folder;
  ///   `absent` if there is none, and then nothing was made there; `damaged` if the snapshot is not
  ///   read as it was written. An error leaves the folder fit to start from, also from what it held
  ///   before.
  public static func make(
    of path: String, processID: Int32, at moment: Moment,
    fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(StorageError) -> Report {
    try requireData(in: path, fileSystem)
    let (storage, recovery) = try open(path, processID, moment, fileSystem)
    guard let sequence = try storage.sealForSnapshot(at: moment) else {
      try storage.close(at: moment)
      return Report(
        sequence: 0, jobs: 0, bytes: 0, notes: recovery.notes, removalFailures: [])
    }
    let bytes: Int
    do throws(StorageError) {
      if recovery.snapshotSequence == sequence {
        // It is there, and was read. Another in its place would be the only one, and unread.
        bytes = storage.snapshotBytes
      } else {
        bytes = try Compaction.run(
          path, through: sequence, at: moment.timestamp, fileSystem: fileSystem)
        try readBack(path, sequence, jobs: recovery.jobs, bytes, fileSystem)
      }
    } catch {
      storage.snapshotFailed(used: 0, at: moment.instant)
      throw error
    }
    let failures = try storage.removeAll(before: sequence)
    try storage.close(at: moment)
    return Report(
      sequence: sequence, jobs: recovery.jobs, bytes: bytes, notes: recovery.notes,
      removalFailures: failures)
  }

  /// To open a folder is to make what it lacks, which must not befall one that is none of ours.
  private static func requireData(
    in path: String, _ fileSystem: any FileSystem
  ) throws(StorageError) {
    let contents: DataDirectory.Contents
    do throws(StorageError) {
      contents = try DataDirectory(path: path).contents(fileSystem)
    } catch {
      throw error.errno == ENOENT || error.errno == ENOTDIR ? error.recoded(.absent) : error
    }
    guard contents.snapshots.isEmpty, contents.segments.isEmpty, contents.begun.isEmpty else {
      return
    }
    throw StorageError(.absent, path: path, reason: "there is no journal and no snapshot")
  }

  private static func readBack(
    _ path: String, _ sequence: UInt64, jobs: Int, _ bytes: Int, _ fileSystem: any FileSystem
  ) throws(StorageError) {
    let snapshot = DataDirectory(path: path).snapshot(sequence)
    let content = try SnapshotReader.read(snapshot, into: JobStore(), fileSystem)
    guard content.sequence == sequence, content.store.count == jobs, content.bytes == bytes else {
      throw StorageError(
        .damaged, path: snapshot,
        reason:
          "it was written with \(jobs) jobs in \(bytes) bytes, and \(content.store.count) jobs"
          + " in \(content.bytes) bytes were read; nothing was removed")
    }
  }

  /// Lets go of the state: `Compaction.run` makes its own from the sealed files.
  private static func open(
    _ path: String, _ processID: Int32, _ moment: Moment, _ fileSystem: any FileSystem
  ) throws(StorageError) -> (JobStorage, RecoveryReport) {
    let (storage, _, report) = try JobStorage.open(
      path, sync: .never, processID: processID, at: moment, fileSystem: fileSystem)
    return (storage, report)
  }
}
