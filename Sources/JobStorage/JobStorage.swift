public import JobCore

/// The data folder of one server: takes records, tells when they are safe, and keeps the books of
/// segments and snapshots.
///
/// For the thread of the loop only. Nothing here blocks for the disk but: `open`, `close` and
/// `sealForSnapshot`, the write(2) of an append, and the making of a file for the next segment (in
/// `beginSnapshot`, and in an append once the segment is full), with a sync before it if an append
/// to the one before has failed. Other syncs and the removal of files are done by a thread of a few
/// lines of C.
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
  /// Whether its journal is still being sealed.
  private var isSealing = false

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
    // First, or what is appended from here on would meet the numbers that they hold.
    for first in recovery.leftOut { try fileSystem.remove(directory.begun(first)) }
    guard let live = recovery.live else {
      let first = recovery.report.lastSequence + 1
      let (file, length) = try Journal.begin(
        first, at: moment.timestamp, in: directory, fileSystem)
      return (file, first, length)
    }
    var file = try whole(recovery.unsealed[0], directory, fileSystem)
    do throws(StorageError) {
      try giveName(to: recovery.unsealed[0], directory, fileSystem)
      for segment in recovery.unsealed.dropFirst() {
        let next = try whole(segment, directory, fileSystem)
        fileSystem.close(file)
        file = next
        try giveName(to: segment, directory, fileSystem)
      }
      try fileSystem.syncDirectory(directory.path)
    } catch {
      fileSystem.close(file)
      throw error
    }
    guard live.version != RecordCodec.version else { return (file, live.first, live.length) }
    // Lines of this version have no place in it. If it holds no record, the new one replaces it.
    fileSystem.close(file)
    let first = recovery.report.lastSequence + 1
    let (next, length) = try Journal.begin(first, at: moment.timestamp, in: directory, fileSystem)
    return (next, first, length)
  }

  /// Gives a segment that was only begun its own name.
  private static func giveName(
    to segment: Recovery.LiveSegment, _ directory: DataDirectory, _ fileSystem: any FileSystem
  ) throws(StorageError) {
    guard segment.isBegun else { return }
    // The one before may have got its name in the page cache only. If the power failed now and took
    // that name and not this one's, this one would stand behind a gap.
    try fileSystem.syncDirectory(directory.path)
    try fileSystem.rename(directory.begun(segment.first), to: directory.segment(segment.first))
  }

  /// Opens a segment, cuts off what is torn, and syncs it: what was recovered may be in the page
  /// cache only; from here on it counts as kept.
  private static func whole(
    _ segment: Recovery.LiveSegment, _ directory: DataDirectory, _ fileSystem: any FileSystem
  ) throws(StorageError) -> OpenFile {
    let path = segment.isBegun ? directory.begun(segment.first) : directory.segment(segment.first)
    let file = try fileSystem.open(path, for: .appending)
    do throws(StorageError) {
      if segment.cutRecords > 0 {
        try keepTail(of: path, from: segment.length, in: directory.cut(path), fileSystem)
        try fileSystem.syncDirectory(directory.path)
      }
      if segment.tornBytes > 0 { try fileSystem.truncate(file, to: segment.length) }
      try fileSystem.sync(file)
      return file
    } catch {
      fileSystem.close(file)
      throw error
    }
  }

  /// Copies the end of a file, for a person to look at.
  private static func keepTail(
    of path: String, from start: Int, in copy: String, _ fileSystem: any FileSystem
  ) throws(StorageError) {
    let source = try fileSystem.open(path, for: .reading)
    defer { fileSystem.close(source) }
    let target = try fileSystem.open(copy, for: .creating)
    defer { fileSystem.close(target) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 1)
    defer { buffer.deallocate() }
    var offset = start
    while case let count = try fileSystem.read(source, at: offset, into: buffer), count > 0 {
      var rest = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      while !rest.isEmpty {
        let taken = try fileSystem.append(target, rest)
        rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
      }
      offset += count
    }
    try fileSystem.sync(target)
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
    // What was appended before was acknowledged, whatever becomes of what waits.
    let appended = Result { () throws(StorageError) in
      try journal.appendPending(at: moment)
    }
    try journal.syncNow()
    _ = try appended.get()
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

  /// Begins to seal the journal for a snapshot; when a sync has ended (`drainSyncs`), ask
  /// `sealedForSnapshot`. False: there is no record yet. Blocks for the making of a file only.
  ///
  /// - Throws: `callFailed` or `appendFailed`: nothing has begun, and the next is due as after
  ///   `snapshotFailed`; `syncFailed`: stop.
  public func beginSnapshot(at moment: Moment) throws(StorageError) -> Bool {
    precondition(snapshotInProgress == nil, "one snapshot at a time")
    guard journal.appended > 0 else { return false }
    do throws(StorageError) {
      try journal.place?.check(fileSystem, at: moment.instant)
      try journal.rotate(at: moment.timestamp)
    } catch {
      schedule.begun(at: moment.instant)
      schedule.failed(used: 0, at: moment.instant)
      throw error
    }
    schedule.begun(at: moment.instant, leaving: journal.unsealedBytes)
    snapshotInProgress = journal.sealedThrough
    isSealing = true
    return true
  }

  /// Answers, once, the sequence number up to which a snapshot can be made from what is sealed: for
  /// `Compaction.run` in another process, then `snapshotFinished` or `snapshotFailed`. nil: it is
  /// still being sealed, or no snapshot was begun. Does not block.
  ///
  /// - Throws: `callFailed`: it came to nothing, and the next is due as after `snapshotFailed`.
  public func sealedForSnapshot(at instant: Instant) throws(StorageError) -> UInt64? {
    guard isSealing else { return nil }
    do throws(StorageError) {
      guard try journal.isSealed() else { return nil }
    } catch {
      isSealing = false
      snapshotInProgress = nil
      schedule.failed(used: 0, at: instant)
      throw error
    }
    isSealing = false
    return snapshotInProgress
  }

  /// Both in one, for whoever may wait, and of all that was appended: blocks until a seal that is
  /// being done is over, and then for this one. nil: there is no record yet.
  public func sealForSnapshot(at moment: Moment) throws(StorageError) -> UInt64? {
    try waitForSeal()
    guard try beginSnapshot(at: moment) else { return nil }
    try waitForSeal()
    return try sealedForSnapshot(at: moment.instant)
  }

  /// Blocks until the seal that was begun is over; whether it came to anything is told elsewhere.
  private func waitForSeal() throws(StorageError) {
    do throws(StorageError) {
      try journal.sealNow()
    } catch {
      if error.code == .syncFailed { throw error }
    }
  }

  /// The snapshot that was begun is in place: what it and the one before it make unnecessary is
  /// removed in the background; see `takeRemovalFailure`. It took `cpuTime` nanoseconds of CPUs.
  /// Does not block.
  ///
  /// - Throws: `callFailed` when the folder cannot be read; nothing is lost by it, and the next
  ///   snapshot tries again.
  public func snapshotFinished(
    used cpuTime: UInt64, at instant: Instant
  ) throws(StorageError) {
    guard let sequence = snapshotInProgress else {
      preconditionFailure("no snapshot was begun")
    }
    snapshotInProgress = nil
    let size: Int
    do throws(StorageError) {
      size = try fileSystem.size(directory.snapshot(sequence))
    } catch {
      schedule.failed(used: cpuTime, at: instant)
      throw error
    }
    schedule.finished(bytes: size, used: cpuTime, at: instant)
    journal.remove(try directory.obsolete(newest: sequence, fileSystem))
  }

  /// The snapshot that was begun is in place and was read: removes all that is older, also what
  /// `snapshotFinished` keeps. Answers what could not be removed. Blocks.
  ///
  /// - Throws: `callFailed` when the folder cannot be read, `syncFailed`.
  func removeAll(before sequence: UInt64) throws(StorageError) -> [StorageError] {
    precondition(snapshotInProgress == sequence, "another snapshot was begun")
    snapshotInProgress = nil
    var failures: [StorageError] = []
    for path in try directory.allBefore(sequence, fileSystem) {
      do throws(StorageError) {
        try fileSystem.remove(path)
      } catch {
        failures.append(error)
      }
    }
    try fileSystem.syncDirectory(directory.path)
    return failures
  }

  /// The snapshot that was begun came to nothing; what it was to hold stays in the journal. Call it
  /// when the process that made it is gone. What that left unfinished is removed in the background,
  /// so that processes which keep dying do not fill the disk.
  public func snapshotFailed(used cpuTime: UInt64, at instant: Instant) {
    guard let sequence = snapshotInProgress else {
      preconditionFailure("no snapshot was begun")
    }
    snapshotInProgress = nil
    isSealing = false
    // If this fails, the next start removes it.
    journal.remove([DataDirectory.temporary(directory.snapshot(sequence))])
    schedule.failed(used: cpuTime, at: instant)
  }

  /// Whether the background has neither files to remove nor a segment to seal: then it may be asked
  /// to remove some, of which it does not know.
  public var mayRemove: Bool { journal.isBackgroundFree }

  /// Removes other files in this order, those that can be, in the background. Not too many at once,
  /// as a seal waits until they are gone. Does not block.
  public func remove(_ paths: [String]) {
    journal.discard(paths)
  }

  /// Why an old file could not be removed, told once after `drainSyncs`; the next snapshot tries
  /// again.
  public func takeRemovalFailure() -> StorageError? { journal.takeRemovalFailure() }

  // MARK: Sizes

  /// Bytes of journal since the state that the newest snapshot holds.
  public var journalBytes: Int { schedule.journalBytes }

  /// The size of the newest snapshot, in bytes; 0: there is none.
  public var snapshotBytes: Int { schedule.snapshotBytes }
}
