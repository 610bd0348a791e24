public import JobCore

/// The data folder of one server: takes records, tells when they are safe, and keeps the books of
/// segments and snapshots.
///
/// For the thread of the loop only. Nothing here blocks for the disk but: `open` and `close`, the
/// write(2) of an append, the rotation of a segment (in `sealForSnapshot`, and in an append once
/// the segment is full), and the unlink(2) of old files in `snapshotFinished` and
/// `snapshotFailed`. Syncs are done by a thread of a few lines of C.
///
/// What happens when the disk fails is the server's to decide; here is what holds: after an error
/// of an append nothing of that turn was promised, and the records wait in memory for the next
/// `append` or `retryPending`. After `syncFailed` every call says so again: stop.
public final class JobStorage {
  /// Segments are sealed when they exceed this, in bytes, unless `open` is told otherwise.
  public static let segmentBytesMaxDefault = 64 << 20

  private let directory: DataDirectory
  private let fileSystem: any FileSystem
  private let lock: OpenFile
  private let background: any BackgroundSync
  private let journal: Journal
  private var schedule: SnapshotSchedule
  private var isClosed = false

  /// The record up to which the snapshot reaches that is being made; nil: none is.
  public private(set) var snapshotInProgress: UInt64?

  /// The lock of the folder, as an open descriptor. Processes that it is handed to hold the folder
  /// for as long as they have it, also when this process is gone.
  public var lockDescriptor: Int32 { lock.number }

  // MARK: Opening and closing

  /// Opens a data folder, made (0700) if it is not there: takes its lock, removes what was never
  /// finished, recovers the state, sets damaged snapshots aside, cuts a torn tail off, and makes
  /// sure that all of it is on the disk.
  ///
  /// - Parameters:
  ///   - path: the folder.
  ///   - empty: where the state goes: a store without jobs.
  ///   - sync: when appended records are synced.
  ///   - segmentBytesMax: see `segmentBytesMaxDefault`.
  ///   - snapshotInterval: see `SnapshotSchedule`; in milliseconds.
  ///   - moment: now.
  ///   - processID: written into the lock file, for whoever finds it taken.
  /// - Throws: `inUse` when another process has the folder open; `damaged`, `gap` or
  ///   `unknownVersion` when it cannot be recovered; `callFailed`, `appendFailed` or `syncFailed`.
  public static func open(
    _ path: String, into empty: JobStore = JobStore(), sync: SyncPolicy,
    segmentBytesMax: Int = segmentBytesMaxDefault, snapshotInterval: Milliseconds = 60_000,
    processID: Int32, at moment: Moment, fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(StorageError) -> (storage: JobStorage, store: JobStore, report: RecoveryReport) {
    let directory = DataDirectory(path: path)
    try directory.make(fileSystem)
    let lock = try fileSystem.lock(directory.lock, holder: "process \(processID)")
    do throws(StorageError) {
      try directory.removeTemporaries(fileSystem)
      let recovery = try Recovery.read(directory, into: empty, through: nil, fileSystem)
      try directory.setAside(recovery.passedOver, fileSystem)
      let journal = try openJournal(
        recovery, directory, fileSystem, sync, segmentBytesMax, at: moment)
      journal.journal.place = FolderPlace(lock: lock, path: directory.lock, at: moment.instant)
      let schedule = SnapshotSchedule(
        interval: snapshotInterval, journalBytes: recovery.journalBytes,
        snapshotBytes: recovery.snapshotBytes, at: moment.instant)
      let storage = JobStorage(
        directory, fileSystem, lock: lock, background: journal.background, journal.journal,
        schedule)
      return (storage, recovery.store, recovery.report)
    } catch {
      fileSystem.close(lock)
      throw error
    }
  }

  private static func openJournal(
    _ recovery: Recovery, _ directory: DataDirectory, _ fileSystem: any FileSystem,
    _ sync: SyncPolicy, _ segmentBytesMax: Int, at moment: Moment
  ) throws(StorageError) -> (journal: Journal, background: any BackgroundSync) {
    let sequence = recovery.report.lastSequence
    let (file, first, length) = try openLive(recovery, directory, fileSystem, at: moment)
    do throws(StorageError) {
      let background = try fileSystem.startBackgroundSync()
      let journal = Journal(
        directory, fileSystem, background, policy: sync, segmentBytesMax: segmentBytesMax,
        file: file, liveFirst: first, length: length, sequence: sequence)
      return (journal, background)
    } catch {
      fileSystem.close(file)
      throw error
    }
  }

  /// Opens the segment to go on with, or begins the first one.
  private static func openLive(
    _ recovery: Recovery, _ directory: DataDirectory, _ fileSystem: any FileSystem,
    at moment: Moment
  ) throws(StorageError) -> (OpenFile, first: UInt64, length: Int) {
    guard let live = recovery.live else {
      let first = recovery.report.lastSequence + 1
      let (file, length) = try Journal.begin(
        first, at: moment.timestamp, in: directory, fileSystem)
      return (file, first, length)
    }
    let file = try fileSystem.open(directory.segment(live.first), for: .appending)
    do throws(StorageError) {
      if recovery.report.tornBytes > 0 { try fileSystem.truncate(file, to: live.length) }
      // What was recovered may be in the page cache only; from here on it counts as kept.
      try fileSystem.sync(file)
      try fileSystem.syncDirectory(directory.path)
    } catch {
      fileSystem.close(file)
      throw error
    }
    return (file, live.first, live.length)
  }

  private init(
    _ directory: DataDirectory, _ fileSystem: any FileSystem, lock: OpenFile,
    background: any BackgroundSync, _ journal: Journal, _ schedule: SnapshotSchedule
  ) {
    self.directory = directory
    self.fileSystem = fileSystem
    self.lock = lock
    self.background = background
    self.journal = journal
    self.schedule = schedule
  }

  /// Dropped without `close`: gives the descriptors back and writes nothing, as a death would.
  deinit {
    if !isClosed { giveBack() }
  }

  /// In this order: the thread may still be syncing the journal's file.
  private func giveBack() {
    background.stop()
    journal.close()
    fileSystem.close(lock)
  }

  /// Writes what waits, syncs everything whatever the policy, and gives the folder back. Blocks. It
  /// is not to be used any more, also after an error, which says that not all of it is safe.
  public func close(at moment: Moment) throws(StorageError) {
    precondition(!isClosed, "the storage is closed already")
    isClosed = true
    defer { giveBack() }
    _ = try journal.appendPending(at: moment)
    try journal.syncNow()
    // A last look, however fresh the one before.
    try journal.place?.check(fileSystem, at: Instant(nanoseconds: .max))
  }

  // MARK: Records

  /// Appends records in this order, after any that wait: one write. An empty array is fine.
  ///
  /// - Throws: `appendFailed` or `callFailed`: none of them is in the journal yet, and all of them
  ///   wait; `syncFailed`: stop.
  public func append(_ records: [Record], at moment: Moment) throws(StorageError) {
    schedule.appended(bytes: try journal.append(records, at: moment))
  }

  /// Tries again to write the records that wait; see `append`.
  public func retryPending(at moment: Moment) throws(StorageError) {
    schedule.appended(bytes: try journal.appendPending(at: moment))
  }

  /// How many records wait to be appended: 0 unless the last append failed.
  public var pendingCount: Int { Int(journal.assigned - journal.appended) }

  /// The sequence number of the newest record in the journal: what a process that is killed now
  /// leaves behind.
  public var appendedSequence: UInt64 { journal.appended }

  /// The sequence number of the newest record that is known to be on the disk.
  public var syncedSequence: UInt64 { journal.synced }

  // MARK: Syncs and deadlines

  /// Readable (poll(2)) when a sync has ended: call `drainSyncs`.
  public var syncDescriptor: Int32 { background.descriptor }

  /// The syncs of appended records that `drainSyncs` has heard of since `open`: how many, and how
  /// long they took.
  public var syncsDone: SyncReport { journal.syncsDone }

  /// Takes note of the syncs that have ended, and answers `syncedSequence`. Does not block.
  ///
  /// - Throws: `syncFailed`: stop, and promise nothing more.
  @discardableResult
  public func drainSyncs() throws(StorageError) -> UInt64 {
    try journal.drainSyncs()
  }

  /// When the next thing is due: a sync (call `deadlineReached`) or a snapshot (`isSnapshotDue`).
  public var nextDeadline: Instant? {
    switch (journal.nextDeadline, schedule.nextDeadline) {
    case (let sync?, let snapshot?): min(sync, snapshot)
    case (let sync, let snapshot): sync ?? snapshot
    }
  }

  /// Asks for the sync that is due, if one is. Does not block.
  public func deadlineReached(at instant: Instant) {
    journal.deadlineReached(at: instant)
  }

  // MARK: Snapshots

  /// Whether a snapshot should be made now; see `SnapshotSchedule`.
  public func isSnapshotDue(at instant: Instant) -> Bool {
    schedule.isDue(at: instant)
  }

  /// Seals the journal and answers the sequence number up to which a snapshot can be made from what
  /// is sealed: for `Compaction.run` in another process, then `snapshotFinished` or
  /// `snapshotFailed`. nil: there is no record yet. Blocks for up to three syncs.
  ///
  /// - Throws: `callFailed` or `appendFailed`: nothing has begun, and the next is due as after
  ///   `snapshotFailed`; `syncFailed`: stop.
  public func sealForSnapshot(at moment: Moment) throws(StorageError) -> UInt64? {
    precondition(snapshotInProgress == nil, "one snapshot at a time")
    guard journal.appended > 0 else { return nil }
    schedule.begun(at: moment.instant)
    do throws(StorageError) {
      try journal.place?.check(fileSystem, at: moment.instant)
      try journal.rotate(at: moment.timestamp)
    } catch {
      schedule.failed(took: 0, at: moment.instant)
      throw error
    }
    snapshotInProgress = journal.appended
    return journal.appended
  }

  /// The snapshot that was begun is in place: removes what it and the one before it make
  /// unnecessary. Blocks for the unlink(2) of those files.
  ///
  /// - Throws: `callFailed` when a file cannot be removed; nothing is lost by it, and the next
  ///   snapshot tries again.
  public func snapshotFinished(
    took nanoseconds: UInt64, at instant: Instant
  ) throws(StorageError) {
    guard let sequence = snapshotInProgress else {
      preconditionFailure("no snapshot was begun")
    }
    snapshotInProgress = nil
    let size: Int
    do throws(StorageError) {
      size = try fileSystem.size(directory.snapshot(sequence))
    } catch {
      schedule.failed(took: nanoseconds, at: instant)
      throw error
    }
    schedule.finished(bytes: size, took: nanoseconds, at: instant)
    try directory.removeObsolete(newest: sequence, fileSystem)
  }

  /// The snapshot that was begun came to nothing; what it was to hold stays in the journal. Call it
  /// when the process that made it is gone. Blocks for the unlink(2) of what it left unfinished,
  /// so that processes which keep dying do not fill the disk.
  public func snapshotFailed(took nanoseconds: UInt64, at instant: Instant) {
    guard let sequence = snapshotInProgress else {
      preconditionFailure("no snapshot was begun")
    }
    snapshotInProgress = nil
    // If this fails, the next start removes it.
    try? fileSystem.remove(DataDirectory.temporary(directory.snapshot(sequence)))
    schedule.failed(took: nanoseconds, at: instant)
  }

  // MARK: Sizes

  /// Bytes of journal since the state that the newest snapshot holds.
  public var journalBytes: Int { schedule.journalBytes }

  /// The size of the newest snapshot, in bytes; 0: there is none.
  public var snapshotBytes: Int { schedule.snapshotBytes }
}
