public import JobCore

/// Reads a data folder: the newest snapshot that is whole, then each record after it. What it does
/// about every kind of damage is decided in `RecoveryTable.swift`.
///
/// It changes nothing, so it also answers whether a folder is whole (`lido check`). On a folder
/// that a server uses, it may find a tail that is just being written, or miss a file that is just
/// being removed.
public struct Recovery {
  /// The state after the last record.
  public private(set) var store: JobStore
  /// What was done.
  public private(set) var report = RecoveryReport()
  /// The segment to go on with; nil: there is none yet.
  var live: LiveSegment? { unsealed.last }
  /// The segments that are not known to be on the disk, oldest first: the last one that has its
  /// name, and those that were begun behind it.
  private(set) var unsealed: [LiveSegment] = []
  /// Begun segments that are not part of the journal, by the number of their first record.
  private(set) var leftOut: [UInt64] = []
  /// The damaged snapshots that were passed over.
  private(set) var passedOver: [UInt64] = []
  /// The size of the snapshot that it began with; 0: none.
  private(set) var snapshotBytes = 0
  /// Bytes of journal on top of the snapshot.
  private(set) var journalBytes = 0

  /// A segment that is not known to be on the disk.
  struct LiveSegment: Equatable {
    /// The sequence number of its first record.
    var first: UInt64
    /// The version of the format that it is written in.
    var version: Int
    /// Whether it still has the name of a begun one.
    var isBegun = false
    /// Its bytes up to the end of the last whole line.
    var length: Int
    /// Bytes behind those, to be cut off.
    var tornBytes = 0
    /// Whole records among them: behind a hole.
    var cutRecords = 0
  }

  private let directory: DataDirectory
  private let fileSystem: any FileSystem
  private var decoder = RecordDecoder()
  /// The sequence number of the next record.
  private var expected: UInt64 = 1

  /// Reads the folder `path` into a store that is empty.
  ///
  /// - Throws: `damaged`, `gap`, `unknownVersion` with the file and, where there is one, the line;
  ///   `callFailed` when a file cannot be read.
  public static func read(
    _ path: String, into empty: JobStore = JobStore(),
    fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(StorageError) -> Recovery {
    try read(DataDirectory(path: path), into: empty, through: nil, fileSystem)
  }

  /// The same, or with `through`: the state after exactly that record, which ends a segment.
  static func read(
    _ directory: DataDirectory, into empty: JobStore, through: UInt64?,
    _ fileSystem: any FileSystem
  ) throws(StorageError) -> Recovery {
    var recovery = Recovery(empty, directory, fileSystem)
    var contents = try directory.contents(fileSystem)
    if let through {
      contents.segments.removeAll { $0 > through }
      contents.begun = []
      contents.snapshots.removeAll { $0 > through }
    }
    try recovery.chooseStart(contents, into: empty, through: through)
    try recovery.replay(contents.segments, through: through)
    for first in contents.begun { try recovery.take(begun: first) }
    try recovery.checkUnread(contents.segments)
    recovery.report.lastSequence = recovery.expected - 1
    recovery.report.jobs = recovery.store.count
    return recovery
  }

  private init(_ empty: JobStore, _ directory: DataDirectory, _ fileSystem: any FileSystem) {
    store = empty
    self.directory = directory
    self.fileSystem = fileSystem
  }

  // MARK: The state to begin with

  private mutating func chooseStart(
    _ contents: DataDirectory.Contents, into empty: JobStore, through: UInt64?
  ) throws(StorageError) {
    var newest: StorageError?
    for sequence in contents.snapshots + [0] {
      let path = directory.snapshot(sequence)
      var content = RecoveryTable.Content.whole
      var failure = newest
      do throws(StorageError) {
        try take(sequence, path, into: empty)
      } catch  where error.code == .damaged {
        content = .damaged
        failure = failure ?? error
      } catch  where error.code == .unknownVersion {
        content = .unknownVersion
        failure = error
      }
      let reach = reach(of: sequence, contents, through)
      switch RecoveryTable.decision(content, reach, newest == nil ? .newest : .fallback) {
      case .use: return
      case .tryOlder:
        newest = failure
        passedOver.append(sequence)
        report.notes.append("passed over a damaged snapshot: \(failure!)")
      case .refuse(.gap): throw gap(after: sequence)
      case .refuse: throw failure!
      }
    }
    preconditionFailure("the empty state is whole: it is used or refused")
  }

  private mutating func take(
    _ sequence: UInt64, _ path: String, into empty: JobStore
  ) throws(StorageError) {
    store = empty
    report.snapshotSequence = sequence
    snapshotBytes = 0
    expected = sequence + 1
    guard sequence > 0 else { return }
    let content = try SnapshotReader.read(path, into: empty, fileSystem)
    guard content.sequence == sequence else {
      throw StorageError(
        .damaged, path: path, line: 1,
        reason: "the snapshot is of record \(content.sequence), not of the one in its name")
    }
    store = content.store
    snapshotBytes = content.bytes
  }

  private func reach(
    of sequence: UInt64, _ contents: DataDirectory.Contents, _ through: UInt64?
  ) -> RecoveryTable.Reach {
    if sequence == through { return .covered }
    if contents.segments.isEmpty, contents.begun.isEmpty, contents.snapshots.isEmpty {
      return .covered
    }
    // The journal is sealed before a snapshot, so a segment begins right behind each of them; a
    // loss of power may have taken the name that it got then, and left that of the snapshot.
    let next = sequence + 1
    return contents.segments.contains(next) || contents.begun.contains(next) ? .covered : .missing
  }

  private func gap(after sequence: UInt64) -> StorageError {
    StorageError(
      .gap, path: directory.path,
      reason: sequence == 0
        ? "there is no snapshot, and the journal does not begin with record 1"
        : "the newest snapshot holds the records up to \(sequence), and the segment of the journal"
          + " with the next one is not there")
  }

  // MARK: The records

  private mutating func replay(
    _ segments: [UInt64], through: UInt64?
  ) throws(StorageError) {
    // A snapshot that is asked to hold what the newest one holds already needs no segment.
    guard through != expected - 1, let start = segments.firstIndex(of: expected) else { return }
    for first in segments[start...] {
      guard first == expected else {
        throw StorageError(
          .gap, path: directory.segment(first),
          reason: "it begins with record \(first), and the segment before it ends with"
            + " \(expected - 1)")
      }
      let isLive = through == nil && first == segments.last
      try replay(segment: first, isLive ? .live : .sealed)
    }
    if let through, through != expected - 1 {
      throw StorageError(
        .gap, path: directory.path,
        reason: "no segment ends with record \(through): the one that holds it, if any, ends with"
          + " \(expected - 1)")
    }
  }

  /// Goes on with a segment that was begun before the one before it was known to be on the disk, or
  /// leaves it out, or refuses.
  private mutating func take(begun first: UInt64) throws(StorageError) {
    let path = directory.begun(first)
    let (content, failure, tornBytes) = try content(ofBegun: first, path)
    switch RecoveryTable.decision(content, joint(of: first)) {
    case .goOn: try replay(segment: first, .live, isBegun: true)
    case .leaveOut:
      leftOut.append(first)
      if content == .nothing { return }
      guard content != .cutOff else { return noteCutOff(tornBytes, path) }
      report.notes.append(
        "\(path): the power was lost while the journal went on in it, and the end of the segment"
          + " before it is not on the disk; whoever sent what it holds was never told that it is;"
          + " left out")
    case .refuse(let code):
      throw failure
        ?? StorageError(
          code, path: path,
          reason: "it begins with record \(first), which the journal before it holds already")
    }
  }

  private func joint(of first: UInt64) -> RecoveryTable.Joint {
    first == expected ? .follows : first > expected ? .beyond : .behind
  }

  /// Refuses when there are segments behind the state that was begun with, and the first of all was
  /// not among them: none of them was read.
  private func checkUnread(_ segments: [UInt64]) throws(StorageError) {
    let next = report.snapshotSequence + 1
    guard !segments.contains(next), let first = segments.first(where: { $0 > next }) else {
      return
    }
    throw StorageError(
      RecoveryTable.decision(unread: joint(of: first)), path: directory.segment(first),
      reason: "it begins with record \(first), and what is before it has not the name of a segment"
        + " and ends with \(expected - 1)")
  }

  private mutating func noteCutOff(_ tornBytes: Int, _ path: String) {
    report.tornBytes += tornBytes
    report.notes.append(
      "\(path): its \(tornBytes) bytes of records are of a write that was cut off, and were never"
        + " known to be on the disk; left out")
  }

  /// What a begun segment holds, what is wrong with it, and if it was cut off in its first record,
  /// or before, how many bytes there are of that.
  private mutating func content(
    ofBegun first: UInt64, _ path: String
  ) throws(StorageError) -> (RecoveryTable.Begun, StorageError?, tornBytes: Int) {
    let lines = try LineReader(path, fileSystem)
    while let line = try lines.next() {
      let wholeness = line.wholeness
      if wholeness == .whole {
        guard line.number == 1 else { return try records(ofBegun: first, path, from: line.offset) }
        do throws(StorageError) {
          try header(line, path, first)
        } catch  where error.code == .damaged {
          return (.damaged, error, 0)
        }
        continue
      }
      let (rest, _, size) = try rest(of: path, after: line.offset, first)
      if wholeness == .torn, rest != .synced { return (.cutOff, nil, size - line.offset) }
      return (
        .damaged,
        StorageError(.damaged, path: path, line: line.number, reason: Recovery.wrongChecksum), 0
      )
    }
    return (.nothing, nil, 0)
  }

  /// What a begun segment with whole records, from `offset` on, tells of the journal before it.
  private func records(
    ofBegun first: UInt64, _ path: String, from offset: Int
  ) throws(StorageError) -> (RecoveryTable.Begun, StorageError?, tornBytes: Int) {
    guard first > expected, try rest(of: path, after: offset - 1, expected).0 == .synced else {
      return (.records, nil, 0)
    }
    let reason =
      "it tells that record \(expected) was on the disk, and the segment before it lacks that"
    return (.told, StorageError(.damaged, path: path, reason: reason), 0)
  }

  private mutating func replay(
    segment first: UInt64, _ place: RecoveryTable.Place, isBegun: Bool = false
  ) throws(StorageError) {
    let path = isBegun ? directory.begun(first) : directory.segment(first)
    let lines = try LineReader(path, fileSystem)
    guard let opening = try lines.next(), opening.wholeness == .whole else {
      throw StorageError(
        .damaged, path: path, line: 1,
        reason: "the first line of the segment was not written whole, or is damaged")
    }
    try header(opening, path, first)
    let headerLength = lines.bytesRead
    var length = headerLength
    var (tornBytes, cutRecords) = (0, 0)
    while let line = try lines.next() {
      if let (fault, reason) = apply(line) {
        (tornBytes, cutRecords) = try decide(fault, reason, line, path, place)
        break
      }
      expected += 1
      length = lines.bytesRead
    }
    journalBytes += length - headerLength
    guard place == .live else { return }
    unsealed.append(
      LiveSegment(
        first: first, version: decoder.version, isBegun: isBegun, length: length,
        tornBytes: tornBytes, cutRecords: cutRecords))
  }

  /// Reads the first line of a segment, which is whole.
  private mutating func header(
    _ line: LineReader.Line, _ path: String, _ first: UInt64
  ) throws(StorageError) {
    do throws(RecordDecoder.Unreadable) {
      let header = try decoder.header(line.bytes)
      guard header.first == first else {
        throw .content(
          "the segment begins with record \(header.first), not with the one in its name")
      }
    } catch {
      throw StorageError(error, path: path, line: 1)
    }
  }

  private static let wrongChecksum = "the line is damaged: its checksum is wrong"

  /// Applies the record of a line, or says what is wrong with the line.
  private mutating func apply(_ line: LineReader.Line) -> (RecoveryTable.LineFault, String)? {
    switch line.wholeness {
    case .whole: break
    case .torn: return (.torn, Recovery.wrongChecksum)
    case .altered: return (.altered, Recovery.wrongChecksum)
    }
    do throws(RecordDecoder.Unreadable) {
      let (sequence, record) = try decoder.record(line.bytes)
      guard sequence == expected else {
        return (.sequence, "record \(expected) should stand here, and \(sequence) does")
      }
      // Each number that is given away takes a record.
      if let number = record.newNumber, number > sequence {
        return (.misfit, "record \(sequence) cannot be the first of number \(number)")
      }
      do throws(JobStore.Misfit) {
        try store.apply(record)
        // Nobody waits meanwhile.
        if store.hasDropped { store.giveBackDropped() }
      } catch {
        return (.misfit, Recovery.reason(error))
      }
      report.recordsReplayed += 1
      return nil
    } catch {
      switch error {
      case .version(let version): return (.version, "version \(version)")
      case .content(let reason): return (.content, reason)
      }
    }
  }

  private static func reason(_ misfit: JobStore.Misfit) -> String {
    let found = misfit.found.map { "is \($0.rawValue)" } ?? "is not held, or its id is taken"
    return "the record does not fit the state before it: its job \(found)"
  }

  /// Drops a torn tail and answers its length, and how many whole records are in it, or refuses.
  private mutating func decide(
    _ fault: RecoveryTable.LineFault, _ reason: String, _ line: LineReader.Line, _ path: String,
    _ place: RecoveryTable.Place
  ) throws(StorageError) -> (bytes: Int, records: Int) {
    let (rest, records, size) = try rest(of: path, after: line.offset, expected)
    switch RecoveryTable.decision(fault, place, rest) {
    case .dropTail:
      let tornBytes = size - line.offset
      report.tornBytes += tornBytes
      report.cutRecords += records
      report.notes.append(
        records == 0
          ? "\(path), line \(line.number): the last \(tornBytes) bytes are of a write that was cut"
            + " off, and were never known to be on the disk; dropped"
          : "\(path), line \(line.number): a hole, as a loss of power leaves it; the last"
            + " \(tornBytes) bytes, with \(records) whole records behind the hole, were never"
            + " known to be on the disk; a start drops them, and keeps a copy in"
            + " \(directory.cut(path))")
      return (tornBytes, records)
    case .refuse(let code):
      throw StorageError(code, path: path, line: line.number, reason: reason)
    }
  }

  /// Whether whole lines begin anywhere behind `offset`, where record `sequence` should be, and
  /// tell that it was on the disk; how many there are, if none does; and the size of the file.
  private func rest(
    of path: String, after offset: Int, _ sequence: UInt64
  ) throws(StorageError) -> (RecoveryTable.Rest, records: Int, size: Int) {
    let size = try fileSystem.size(path)
    let file = try fileSystem.open(path, for: .reading)
    defer { fileSystem.close(file) }
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(size - offset - 1, 1), alignment: 1)
    defer { bytes.deallocate() }
    let count = try fileSystem.read(file, at: offset + 1, into: bytes)
    let tail = UnsafeRawBufferPointer(rebasing: bytes[..<count]).bindMemory(to: UInt8.self)
    var (rest, records) = (RecoveryTable.Rest.nothing, 0)
    // In the version of the segment, if its first line was read.
    var decoder = decoder
    RecordCodec.forEachWholeLine(in: tail) { line in
      let isRead = (try? decoder.record(line)) != nil
      let isTold = !isRead || decoder.version < 3 || decoder.synced >= sequence
      rest = isTold ? .synced : .wholeLines
      records += 1
      return !isTold
    }
    return (rest, records, size)
  }
}

extension Record {
  /// The number of the job or map that begins with this record.
  fileprivate var newNumber: JobNumber? {
    switch self {
    case .jobSubmitted(let submitted): submitted.number
    case .mapCreated(let created): created.number
    default: nil
    }
  }
}
