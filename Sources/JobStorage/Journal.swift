internal import DequeModule
internal import JobCore

/// Writes records to the last segment of the journal: one write for all of an `append`, synced by
/// policy, cut back to whole records when a write fails.
///
/// Three sequence numbers say how far each record has come; each is at most the one before:
///
/// - `assigned`: it has its number and waits in memory;
/// - `appended`: it is in the file, so it survives the death of the process;
/// - `synced`: it is on the disk, so it survives the loss of power.
///
/// A segment that is full, or that a snapshot is to be made of, is *sealed* while the journal goes
/// on: the next one is begun under the name `….begun`, and takes the records from there on; the
/// background syncs the old one, then the new one and their names, and then gives the new one its
/// own name. Until then nothing that is appended counts as synced, so what was promised never lies
/// behind what may be lost. `RecoveryTable.begun` has the rules for each moment of that.
///
/// What blocks: the write(2) of an append, the making of a segment's file, and a sync before that
/// if an append has failed. Nothing else does, but for `syncNow` and `sealNow`, which say so.
final class Journal {
  private let directory: DataDirectory
  private let fileSystem: any FileSystem
  private let background: any BackgroundSync
  private let policy: SyncPolicy
  private let segmentBytesMax: Int

  /// The segment that is written to, the bytes in it that are whole lines, and whether more bytes
  /// than those may be in the file.
  private var file: OpenFile
  private(set) var liveFirst: UInt64
  private var length: Int
  private var mustCut = false
  /// Whether the file was cut, and that may not be on the disk.
  private var isCutUnsynced = false

  /// The lines of the records that are assigned and not yet appended.
  private var pending = RecordEncoder()

  /// The number of the newest record.
  private(set) var assigned: UInt64
  /// The number of the newest record in the file.
  private(set) var appended: UInt64
  /// The number of the newest record that is known to be on the disk.
  private(set) var synced: UInt64
  /// How far the lines tell that records are on the disk.
  private var told: UInt64 = 0
  /// The syncs that have ended, as far as is known.
  private(set) var syncsDone = SyncReport()
  /// The number of the newest record for which a sync was asked.
  private var requested: UInt64
  /// When the next sync is to be asked for; nil: nothing waits for one.
  private(set) var nextDeadline: Instant?
  /// Whether a sync is to be asked for when the seal is over.
  private var isSyncHeld = false
  /// Where the folder is to be; nil: nobody looks.
  var place: FolderPlace?
  /// Why nothing can be written any more.
  private var failure: StorageError?

  /// A segment that is being sealed.
  private struct Seal {
    let old: OpenFile
    /// The number of its last record.
    let through: UInt64
    /// The length of the live one's first line.
    let headerLength: Int
    /// Whether the background is to do it; false after it failed.
    var isWanted = true
    /// Why it failed.
    var failure: StorageError?
  }

  /// What the background makes a list of steps for.
  private enum Work { case seal, removal }

  private var seal: Seal?
  private var removals: Deque<[DiskStep]> = []
  private var running: Work?
  private var listsHeard = 0
  private var removalFailure: StorageError?

  /// Goes on with the segment that begins with record `liveFirst`, of `length` bytes, open as
  /// `file`. Everything up to `sequence` is on the disk.
  init(
    _ directory: DataDirectory, _ fileSystem: any FileSystem, _ background: any BackgroundSync,
    policy: SyncPolicy, segmentBytesMax: Int, file: OpenFile, liveFirst: UInt64, length: Int,
    sequence: UInt64
  ) {
    self.directory = directory
    self.fileSystem = fileSystem
    self.background = background
    self.policy = policy
    self.segmentBytesMax = segmentBytesMax
    self.file = file
    self.liveFirst = liveFirst
    self.length = length
    assigned = sequence
    appended = sequence
    synced = sequence
    requested = sequence
  }

  // MARK: Appending

  /// Gives the records their numbers and appends them, and before them those that an append could
  /// not write. Answers how many bytes were written.
  ///
  /// - Throws: `appendFailed` or `callFailed`: nothing of what waits is acknowledged, all of it
  ///   keeps waiting, and the file is, or before the next append will be, as it was. `syncFailed`,
  ///   then and ever after: stop.
  func append(_ records: [Record], at moment: Moment) throws(StorageError) -> Int {
    for index in records.indices {
      assigned += 1
      // Of segments before the live one nobody asks.
      let isNews = synced > told && synced >= liveFirst
      pending.append(records, at: index, sequence: assigned, synced: isNews ? synced : 0)
      told = synced
    }
    return try appendPending(at: moment)
  }

  /// Appends the records that wait; see `append`.
  func appendPending(at moment: Moment) throws(StorageError) -> Int {
    if let failure { throw failure }
    guard pending.count > 0 else { return 0 }
    try place?.check(fileSystem, at: moment.instant)
    try cut()
    if length >= segmentBytesMax, seal == nil { try rotate(at: moment.timestamp) }
    do throws(StorageError) {
      try pending.write(to: file, fileSystem)
    } catch {
      mustCut = true
      // If this fails too, the next append begins with it.
      try? cut()
      throw error
    }
    let count = pending.count
    length += count
    appended = assigned
    pending.removeAll()
    scheduleSync(at: moment.instant)
    return count
  }

  private func cut() throws(StorageError) {
    guard mustCut else { return }
    try fileSystem.truncate(file, to: length)
    mustCut = false
    isCutUnsynced = true
  }

  // MARK: Syncing

  private func scheduleSync(at instant: Instant) {
    switch policy {
    case .always: request()
    case .every(let milliseconds):
      nextDeadline = nextDeadline ?? instant.advanced(byMilliseconds: milliseconds)
    case .never: break
    }
  }

  private func request() {
    nextDeadline = nil
    isSyncHeld = seal?.isWanted ?? false
    // What lies in the new segment is safe when the old one is.
    guard !isSyncHeld else { return }
    requested = appended
    background.request(file, ticket: appended)
  }

  /// Asks for a sync if one is due. Does not block.
  func deadlineReached(at instant: Instant) {
    guard failure == nil, let deadline = nextDeadline, deadline <= instant else { return }
    request()
  }

  /// Takes note of the syncs that have ended and answers `synced`. Does not block.
  ///
  /// - Throws: `syncFailed`, then and ever after.
  func drainSyncs() throws(StorageError) -> UInt64 {
    if let failure { throw failure }
    try note { () throws(StorageError) in try background.drain() }
    return synced
  }

  /// Blocks until everything that was appended is on the disk. The descriptor becomes readable as
  /// with any sync, so that whoever waits for one hears of it.
  func syncNow() throws(StorageError) {
    if let failure { throw failure }
    while running != nil { try settle() }
    if requested < appended { request() }
    try settle()
  }

  private func settle() throws(StorageError) {
    try note { () throws(StorageError) in try background.settle() }
  }

  private func note(
    _ ended: () throws(StorageError) -> SyncReport
  ) throws(StorageError) {
    do throws(StorageError) {
      syncsDone = try ended()
      synced = max(synced, syncsDone.ticket)
    } catch {
      failure = error
      throw error
    }
    guard syncsDone.lists > listsHeard else { return }
    listsHeard = syncsDone.lists
    listEnded(syncsDone.listFailure)
  }

  // MARK: Lists of steps

  private func listEnded(_ failure: StorageError?) {
    switch running {
    case .seal:
      seal?.isWanted = false
      seal?.failure = failure
      if failure == nil, let old = seal?.old {
        fileSystem.close(old)
        seal = nil
      }
    case .removal: removalFailure = failure
    case nil: preconditionFailure("a list of steps ended that was not begun")
    }
    running = nil
    if isSyncHeld, requested < appended { request() }
    startList()
  }

  private func startList() {
    guard running == nil else { return }
    if let seal, seal.isWanted {
      running = .seal
      requested = appended
      nextDeadline = nil
      background.perform(
        [
          .sync(seal.old), .sync(file), .syncDirectory(directory.path),
          .rename(directory.begun(liveFirst), to: directory.segment(liveFirst)),
        ], ticket: appended)
    } else if let steps = removals.popFirst() {
      running = .removal
      background.perform(steps, ticket: 0)
    }
  }

  /// Removes files in this order, when the background comes to it, until one cannot be. Does not
  /// block.
  func remove(_ paths: [String]) {
    begin(paths.map { .remove($0) })
  }

  /// The same with files that do not depend on one another.
  func discard(_ paths: [String]) {
    begin(paths.map { .discard($0) })
  }

  private func begin(_ removal: [DiskStep]) {
    guard !removal.isEmpty, failure == nil else { return }
    removals.append(removal)
    startList()
  }

  /// Whether no list of steps runs or waits.
  var isBackgroundFree: Bool {
    running == nil && removals.isEmpty && !(seal?.isWanted ?? false)
  }

  /// Why a file could not be removed, told once.
  func takeRemovalFailure() -> StorageError? {
    defer { removalFailure = nil }
    return removalFailure
  }

  // MARK: Segments

  /// Whether the segment that is written to holds a record.
  var hasRecords: Bool { appended >= liveFirst }

  /// The number of the last record that lies in a segment which is sealed, or is being sealed.
  var sealedThrough: UInt64 { seal?.through ?? liveFirst - 1 }

  /// Bytes of records behind `sealedThrough`.
  var unsealedBytes: Int { seal.map { length - $0.headerLength } ?? 0 }

  /// Whether all segments but the live one are sealed. Does not block.
  ///
  /// - Throws: `callFailed` when the background could not give the live segment its name: it is in
  ///   use all the same, and the next `rotate` tries again.
  func isSealed() throws(StorageError) -> Bool {
    if let failure = seal?.failure { throw failure }
    return seal == nil
  }

  /// Begins to seal the segment and goes on in a new one. Records that wait to be appended go to
  /// the new one. A segment without records is left as it is, and one that is being sealed is
  /// waited for: then nothing new is begun. Blocks for the making of a file, and for a sync if an
  /// append to the segment has failed.
  ///
  /// - Throws: `callFailed` or `appendFailed`: the segment is the live one as before. `syncFailed`.
  func rotate(at timestamp: Timestamp) throws(StorageError) {
    if let failure { throw failure }
    guard seal == nil else {
      seal?.isWanted = true
      seal?.failure = nil
      return startList()
    }
    guard hasRecords else { return }
    try cut()
    try syncCut()
    let first = appended + 1
    let (next, headerLength) = try begun(first, at: timestamp)
    seal = Seal(old: file, through: appended, headerLength: headerLength)
    file = next
    liveFirst = first
    length = headerLength
    startList()
  }

  /// Blocks until what was cut off is gone from the disk as well. Whole records may have been among
  /// it, which get the same numbers in the next segment: a loss of power must not bring them back.
  private func syncCut() throws(StorageError) {
    guard isCutUnsynced else { return }
    do throws(StorageError) {
      try fileSystem.sync(file)
      isCutUnsynced = false
    } catch {
      failure = error
      throw error
    }
  }

  /// Blocks until the seal that was begun is over.
  ///
  /// - Throws: what `isSealed` throws, and `syncFailed`.
  func sealNow() throws(StorageError) {
    while seal?.isWanted == true { try settle() }
    _ = try isSealed()
  }

  /// Makes the file of a segment that is not to have its name yet.
  private func begun(
    _ first: UInt64, at timestamp: Timestamp
  ) throws(StorageError) -> (OpenFile, length: Int) {
    let path = directory.begun(first)
    let file = try fileSystem.open(path, for: .creating)
    do throws(StorageError) {
      var header = RecordEncoder()
      header.appendHeader(first: first, createdAt: timestamp)
      try header.write(to: file, fileSystem)
      return (file, header.count)
    } catch {
      fileSystem.close(file)
      // If this fails too, recovery finds a begun segment without a record, and leaves it out.
      try? fileSystem.remove(path)
      throw error
    }
  }

  /// Makes the first segment of a folder, whose first record will be `first`, and answers the file
  /// and its length. It has its name when its first line is on the disk and not before, so that a
  /// segment without a whole first line is always damage.
  ///
  /// - Throws: `callFailed` or `appendFailed`: nothing is left but, if removing fails too, a
  ///   temporary file. `syncFailed`.
  static func begin(
    _ first: UInt64, at timestamp: Timestamp, in directory: DataDirectory,
    _ fileSystem: any FileSystem
  ) throws(StorageError) -> (OpenFile, length: Int) {
    let path = directory.segment(first)
    let temporary = DataDirectory.temporary(path)
    let file = try fileSystem.open(temporary, for: .creating)
    do throws(StorageError) {
      var header = RecordEncoder()
      header.appendHeader(first: first, createdAt: timestamp)
      try header.write(to: file, fileSystem)
      try fileSystem.sync(file)
      try fileSystem.rename(temporary, to: path)
      try fileSystem.syncDirectory(directory.path)
      return (file, header.count)
    } catch {
      fileSystem.close(file)
      try? fileSystem.remove(temporary)
      throw error
    }
  }

  /// Gives the file back; writes and syncs nothing. The background must have been stopped before.
  func close() {
    if let seal { fileSystem.close(seal.old) }
    fileSystem.close(file)
  }
}

extension RecordEncoder {
  /// Appends the lines to a file.
  ///
  /// - Throws: `appendFailed`; a part of the lines may then be at the end of the file.
  fileprivate mutating func write(
    to file: OpenFile, _ fileSystem: any FileSystem
  ) throws(StorageError) {
    let result = bytes.withUnsafeBytes { lines in
      Result { () throws(StorageError) in try fileSystem.appendAll(file, lines) }
    }
    try result.get()
  }
}
