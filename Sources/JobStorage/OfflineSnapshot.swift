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
  }

  /// Recovers the folder `path` as a start does, writes its state as a snapshot, and removes what
  /// that makes unnecessary. Blocks. Keeps the whole state in memory.
  ///
  /// - Throws: what `JobStorage.open` and `Compaction.run` do: `inUse` if a server uses the folder;
  ///   `callFailed` if there is none. An error leaves the folder fit to start from.
  public static func make(
    of path: String, processID: Int32, at moment: Moment,
    fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(StorageError) -> Report {
    _ = try fileSystem.list(path)  // What is not there is not made.
    let (storage, recovery) = try open(path, processID, moment, fileSystem)
    guard let sequence = try storage.sealForSnapshot(at: moment) else {
      try storage.close(at: moment)
      return Report(sequence: 0, jobs: 0, bytes: 0, notes: recovery.notes)
    }
    let bytes: Int
    do throws(StorageError) {
      bytes = try Compaction.run(
        path, through: sequence, at: moment.timestamp, fileSystem: fileSystem)
    } catch {
      storage.snapshotFailed(took: 0, at: moment.instant)
      throw error
    }
    try storage.snapshotFinished(took: 0, at: moment.instant)
    try storage.close(at: moment)
    return Report(
      sequence: sequence, jobs: recovery.jobs, bytes: bytes, notes: recovery.notes)
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
