public import JobCore

/// Makes the next snapshot of the last one and the sealed segments: the work of a process of its
/// own, so that the loop never waits for it, and a proof each time that recovery works.
public enum Compaction {
  /// Writes the snapshot of the state after record `sequence`, which must be the last of a segment
  /// that is sealed (`JobStorage.sealForSnapshot`), and answers its size in bytes.
  ///
  /// It takes no lock, as the server holds it, and removes nothing, as only one process may: that
  /// is `JobStorage.snapshotFinished`. It keeps the whole state in memory.
  ///
  /// - Throws: what `Recovery.read` throws, damage at the end of a segment included; `callFailed`,
  ///   `appendFailed` or `syncFailed` when the snapshot cannot be written. The folder then holds
  ///   what it held, and perhaps a temporary file, or after `syncFailed` the snapshot.
  public static func run(
    _ path: String, through sequence: UInt64, at timestamp: Timestamp,
    into empty: JobStore = JobStore(), fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(StorageError) -> Int {
    let directory = DataDirectory(path: path)
    let recovery = try Recovery.read(directory, into: empty, through: sequence, fileSystem)
    return try SnapshotWriter.write(
      recovery.store, sequence: sequence, createdAt: timestamp, into: directory, fileSystem)
  }
}
