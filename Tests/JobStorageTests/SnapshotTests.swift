import JobCore
import Testing

@testable import JobStorage

struct SnapshotTests {
  private let directory = DataDirectory(path: "/data")

  /// A folder in which `story` was appended in equal parts, with a snapshot after each part but the
  /// last.
  private func folder(_ story: Story, parts: Int) throws -> MemoryFileSystem {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .always, processID: 1, at: .at(0), fileSystem: fileSystem)
    let size = story.records.count / parts
    for part in 0..<parts {
      try storage.append(Array(story.records[part * size..<(part + 1) * size]), at: .at(1))
      guard part < parts - 1 else { break }
      let sequence = try #require(try storage.sealForSnapshot(at: .at(2)))
      #expect(sequence == UInt64((part + 1) * size))
      let bytes = try Compaction.run("/data", through: sequence, at: 3, fileSystem: fileSystem)
      try storage.snapshotFinished(used: 1, at: Moment.at(3).instant)
      #expect(storage.snapshotBytes == bytes)
    }
    try storage.close(at: .at(4))
    return fileSystem
  }

  @Test(arguments: 0..<30 as Range<UInt64>)
  func `a snapshot and the journal since are the journal as a whole`(seed: UInt64) throws {
    let story = Story(seed: seed, count: 120)
    for parts in [1, 2, 4] {
      let fileSystem = try folder(story, parts: parts)
      let recovery = try Recovery.read("/data", fileSystem: fileSystem)
      #expect(recovery.store == story.states[120])
      #expect(recovery.report.recordsReplayed == 120 / parts)
      #expect(recovery.report.lastSequence == 120 && recovery.report.notes.isEmpty)
    }
  }

  /// A request and a result have at most 64 levels; the journal and the snapshot lay some around
  /// them.
  @Test func `payloads as deep as JSON may be survive in journal and snapshot`() throws {
    func brackets(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    var records: [Record] = []
    for number in 1...2 as ClosedRange<JobNumber> {
      records += [
        .jobSubmitted(
          JobSubmitted(
            number: number, id: JobID("deep.\(number)")!, task: "echo", pool: "main",
            args: brackets(64), options: JobOptions(kwargs: "{\"a\":\(brackets(63))}"), at: 1)),
        .attemptStarted(number, attempt: 1, at: 2),
        .jobEnded(number, .succeeded(brackets(64)), at: 3),
      ]
    }
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .always, processID: 1, at: .at(0), fileSystem: fileSystem)
    try storage.append(Array(records[..<3]), at: .at(1))
    let sequence = try #require(try storage.sealForSnapshot(at: .at(2)))
    _ = try Compaction.run("/data", through: sequence, at: 3, fileSystem: fileSystem)
    try storage.snapshotFinished(used: 1, at: Moment.at(3).instant)
    try storage.append(Array(records[3...]), at: .at(4))
    try storage.close(at: .at(5))
    let recovery = try Recovery.read("/data", fileSystem: fileSystem)
    #expect(recovery.report.snapshotSequence == 3 && recovery.report.notes.isEmpty)
    for number in 1...2 as ClosedRange<JobNumber> {
      #expect(recovery.store[number]?.args == brackets(64))
      #expect(recovery.store[number]?.ending == .result(brackets(64)))
    }
  }

  @Test func `the folder keeps two snapshots and the journal since the older`() throws {
    let fileSystem = try folder(Story(seed: 9, count: 120), parts: 6)
    let contents = try directory.contents(fileSystem)
    #expect(contents.snapshots == [100, 80])
    #expect(contents.segments == [81, 101])
    #expect(contents.temporaries.isEmpty)
  }

  @Test func `a snapshot that cannot be begun is due again after the interval`() throws {
    let story = Story(seed: 12, count: 20)
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(0), fileSystem: fileSystem)
    try storage.append(Array(story.records[..<10]), at: .at(1))
    #expect(storage.isSnapshotDue(at: Moment.at(60_000).instant))
    fileSystem.failAt = fileSystem.calls + 2  // The sync of the segment, then the next one's file.
    #expect(throws: StorageError.self) { try storage.sealForSnapshot(at: .at(60_000)) }
    #expect(storage.snapshotInProgress == nil)
    #expect(storage.nextDeadline == Moment.at(120_000).instant, "it is not tried without pause")
    try storage.append(Array(story.records[10...]), at: .at(60_001))
    #expect(try storage.sealForSnapshot(at: .at(120_000)) == 20)
    storage.snapshotFailed(used: 1, at: Moment.at(120_000).instant)
    try storage.close(at: .at(120_001))
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == story.states[20])
  }

  @Test func `any changed byte of the newest snapshot leads to the one before`() throws {
    let story = Story(seed: 10, count: 60)
    let fileSystem = try folder(story, parts: 3)
    let node = fileSystem.files[directory.snapshot(40)]!
    for index in node.bytes.indices {
      node.bytes[index] ^= 0x04
      // Also the digit that says which version it is.
      let recovery = try Recovery.read("/data", fileSystem: fileSystem)
      #expect(recovery.store == story.states[60])
      #expect(recovery.report.snapshotSequence == 20 && recovery.report.notes.count == 1)
      #expect(recovery.passedOver == [40])
      node.bytes[index] ^= 0x04
    }
  }

  @Test func `a newest snapshot of another version, with the right checksum, stops the start`()
    throws
  {
    let fileSystem = try folder(Story(seed: 10, count: 60), parts: 3)
    let node = fileSystem.files[directory.snapshot(40)]!
    node.bytes[12] = UInt8(ascii: "9")
    let end = node.bytes.count - SnapshotCodec.ending.bytes.count
    let checksum = node.bytes[..<(end - 8)].withUnsafeBytes { Checksum(of: $0).value }
    node.bytes[(end - 8)..<end].withUnsafeMutableBytes {
      RecordCodec.write(checksum, to: $0.baseAddress!)
    }
    do throws(StorageError) {
      _ = try Recovery.read("/data", fileSystem: fileSystem)
      Issue.record("an older snapshot hid that a newer service wrote here")
    } catch {
      #expect(error.code == .unknownVersion && error.line == 1, "\(error)")
    }
  }

  @Test func `a snapshot cut at any byte leads to the one before`() throws {
    let story = Story(seed: 11, count: 30)
    let fileSystem = try folder(story, parts: 3)
    let node = fileSystem.files[directory.snapshot(20)]!
    let whole = node.bytes
    for cut in whole.indices {
      node.bytes = Array(whole[..<cut])
      let recovery = try Recovery.read("/data", fileSystem: fileSystem)
      #expect(recovery.store == story.states[30] && recovery.report.snapshotSequence == 10)
    }
  }

  @Test func `a damaged first snapshot leads to the journal from its beginning`() throws {
    let story = Story(seed: 12, count: 20)
    let fileSystem = try folder(story, parts: 2)
    fileSystem.files[directory.snapshot(10)]!.bytes.removeLast()
    let recovery = try Recovery.read("/data", fileSystem: fileSystem)
    #expect(recovery.store == story.states[20] && recovery.report.snapshotSequence == 0)
  }

  @Test func `without the records since an older snapshot, a damaged one stops the start`() throws {
    let fileSystem = try folder(Story(seed: 13, count: 60), parts: 3)
    fileSystem.files[directory.snapshot(40)]!.bytes.removeLast()
    fileSystem.files[directory.segment(21)] = nil
    do throws(StorageError) {
      _ = try Recovery.read("/data", fileSystem: fileSystem)
      Issue.record("it started with a hole")
    } catch {
      #expect(error.code == .damaged && error.path == directory.snapshot(40), "\(error)")
    }
  }

  @Test func `without the segment after it a snapshot stops the start`() throws {
    let fileSystem = try folder(Story(seed: 14, count: 60), parts: 3)
    fileSystem.files[directory.segment(41)] = nil
    do throws(StorageError) {
      _ = try Recovery.read("/data", fileSystem: fileSystem)
      Issue.record("it started with a hole")
    } catch {
      #expect(error.code == .gap, "\(error)")
    }
    fileSystem.files[directory.segment(21)] = nil
    do throws(StorageError) {
      _ = try Recovery.read("/data", fileSystem: fileSystem)
      Issue.record("it started with a hole")
    } catch {
      #expect(error.code == .gap, "\(error)")
    }
  }

  @Test func `a damaged snapshot is set aside and never fallen back to`() throws {
    let story = Story(seed: 15, count: 60)
    let fileSystem = try folder(story, parts: 3)
    fileSystem.files[directory.snapshot(40)]!.bytes.removeLast()
    #expect(try snapshotsAfterOneMore(story, fileSystem) == [60, 20])
    #expect(fileSystem.files[directory.snapshot(40) + ".damaged"] != nil)
    #expect(try directory.contents(fileSystem).segments == [21, 41, 61])
  }

  @Test func `all that are damaged are set aside`() throws {
    let story = Story(seed: 15, count: 60)
    let fileSystem = try folder(story, parts: 2)
    fileSystem.files[directory.snapshot(30)]!.bytes.removeLast()
    fileSystem.files[directory.snapshot(15)] = MemoryFileSystem.Node()
    #expect(try snapshotsAfterOneMore(story, fileSystem) == [60])
    #expect(try directory.contents(fileSystem).segments == [1, 31, 61])
  }

  /// Starts with a folder, which has all of `story`, and writes a snapshot; those that there are
  /// then.
  private func snapshotsAfterOneMore(
    _ story: Story, _ fileSystem: MemoryFileSystem
  ) throws -> [UInt64] {
    let (storage, store, _) = try JobStorage.open(
      "/data", sync: .always, processID: 1, at: .at(9), fileSystem: fileSystem)
    #expect(store == story.states[60])
    let sequence = try #require(try storage.sealForSnapshot(at: .at(9)))
    _ = try Compaction.run("/data", through: sequence, at: 9, fileSystem: fileSystem)
    try storage.snapshotFinished(used: 1, at: Moment.at(9).instant)
    try storage.close(at: .at(9))
    return try directory.contents(fileSystem).snapshots
  }

  @Test func `what a process that died left of a snapshot is removed`() throws {
    let story = Story(seed: 17, count: 20)
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(0), fileSystem: fileSystem)
    try storage.append(story.records, at: .at(1))
    #expect(try storage.sealForSnapshot(at: .at(2)) == 20)
    fileSystem.files[directory.snapshot(20) + ".tmp"] = MemoryFileSystem.Node()
    storage.snapshotFailed(used: 1, at: Moment.at(3).instant)
    #expect(try directory.contents(fileSystem).temporaries.isEmpty)
    #expect(storage.journalBytes > 0 && storage.snapshotInProgress == nil)
    try storage.close(at: .at(4))
  }

  @Test func `a torn tail in a sealed segment stops a compaction`() throws {
    let fileSystem = try folder(Story(seed: 16, count: 20), parts: 1)
    fileSystem.files[directory.segment(1)]!.bytes.removeLast(2)
    do throws(StorageError) {
      _ = try Compaction.run("/data", through: 20, at: 9, fileSystem: fileSystem)
      Issue.record("it made a snapshot without the last record")
    } catch {
      #expect(error.code == .damaged, "\(error)")
    }
  }

  @Test func `a snapshot is one JSON document, line by line`() throws {
    let fileSystem = MemoryFileSystem()
    var store = JobStore()
    let submitted = JobSubmitted(
      number: 1, id: JobID("a")!, task: "t", pool: "p", args: "[1]", options: nil, at: 5)
    try store.apply(.jobSubmitted(submitted))
    try store.apply(.attemptStarted(1, attempt: 1, at: 6))
    let bytes = try SnapshotWriter.write(
      store, sequence: 2, createdAt: 7, into: directory, fileSystem)
    let text = String(decoding: fileSystem.files[directory.snapshot(2)]!.bytes, as: UTF8.self)
    let head = """
      {"snapshot":2,"seq":2,"created_at":7,"next_number":2,
      "forgotten":[],
      "jobs":[
      {"job":1,"id":"a","task":"t","pool":"p","at":5,"args":[1],"state":"running","version":2,\
      "attempt":1,"started_at":6}
      ],"count":1,"crc":"
      """
    #expect(text.hasPrefix(head) && text.hasSuffix("\"}\n"))
    #expect(bytes == text.utf8.count && bytes == head.utf8.count + 11)
    let content = try SnapshotReader.read(directory.snapshot(2), into: JobStore(), fileSystem)
    #expect(content.store == store && content.sequence == 2 && content.bytes == bytes)
  }

  @Test func `a state without jobs has a snapshot too`() throws {
    let fileSystem = MemoryFileSystem()
    _ = try SnapshotWriter.write(
      JobStore(), sequence: 2, createdAt: 7, into: directory, fileSystem)
    let content = try SnapshotReader.read(directory.snapshot(2), into: JobStore(), fileSystem)
    #expect(content.store == JobStore())
  }
}
