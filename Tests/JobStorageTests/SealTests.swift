import JobCore
import Testing

@testable import JobStorage

/// A segment is sealed while the journal goes on, and old files go while it does.
struct SealTests {
  private let directory = DataDirectory(path: "/data")
  private let story = Story(seed: 5, count: 60)

  /// A server in the midst of a seal.
  private struct Life {
    let fileSystem = MemoryFileSystem()
    let storage: JobStorage
    var given = 0

    init(_ policy: SyncPolicy, segmentBytesMax: Int = 1 << 20) throws {
      storage = try JobStorage.open(
        "/data", sync: policy, segmentBytesMax: segmentBytesMax, processID: 1, at: .at(0),
        fileSystem: fileSystem
      ).storage
    }

    mutating func append(_ count: Int, of story: Story) throws {
      try storage.append(Array(story.records[given..<given + count]), at: .at(1))
      given += count
    }

    /// Lets the background make one call, and hears of it.
    func step() throws -> Bool {
      let isMade = fileSystem.background?.step() ?? false
      try storage.drainSyncs()
      return isMade
    }
  }

  /// Ten records, the begin of a seal, and then in turns two more records and a call of the
  /// background, `steps` times.
  private func life(_ policy: SyncPolicy, steps: Int) throws -> Life {
    var life = try Life(policy)
    try life.append(10, of: story)
    try life.storage.drainSyncs()
    life.fileSystem.isDeferring = true
    #expect(try life.storage.beginSnapshot(at: .at(2)))
    for _ in 0..<steps {
      try life.append(2, of: story)
      _ = try life.step()
    }
    return life
  }

  private func check(
    _ fileSystem: MemoryFileSystem, _ range: ClosedRange<UInt64>, _ place: String
  ) throws {
    let (storage, store, report) = try JobStorage.open(
      "/data", sync: .always, processID: 2, at: .at(9), fileSystem: fileSystem)
    try #require(range.contains(report.lastSequence), "\(place): \(report)")
    #expect(store == story.states[Int(report.lastSequence)], "\(place)")
    let contents = try directory.contents(fileSystem)
    #expect(contents.begun.isEmpty && contents.temporaries.isEmpty, "\(place): \(contents)")
    try storage.append(Array(story.records[Int(report.lastSequence)...]), at: .at(9))
    try storage.close(at: .at(9))
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == story.states[60])
  }

  @Test(arguments: [.always, .never] as [SyncPolicy])
  func `a death in a seal loses nothing, and a loss of power nothing that was synced`(
    policy: SyncPolicy
  ) throws {
    // With `always`, syncs that were held back follow the four calls of the seal.
    for steps in 0...10 {
      let life = try life(policy, steps: steps)
      let storage = life.storage
      let appended = storage.appendedSequence
      #expect(appended == UInt64(life.given))
      let kept = MemoryFileSystem.Rest.allCases
      for areNamesSynced in [false, true] {
        for old in kept {
          for new in kept {
            let disk = life.fileSystem.afterPowerLoss(areNamesSynced: areNamesSynced) { path in
              path.hasSuffix(directory.segment(1)) ? old : new
            }
            try check(
              disk, storage.syncedSequence...appended,
              "\(steps) steps, names synced: \(areNamesSynced), \(old), \(new)")
          }
        }
      }
      try check(life.fileSystem.afterDeath(), appended...appended, "\(steps) steps, killed")
      #expect((steps >= 4) == (try directory.contents(life.fileSystem).begun.isEmpty))
    }
  }

  @Test func `what is appended during a seal is synced when the old segment is`() throws {
    var life = try Life(.always)
    try life.append(10, of: story)
    try life.storage.drainSyncs()
    #expect(life.storage.syncedSequence == 10)
    life.fileSystem.isDeferring = true
    #expect(try life.storage.beginSnapshot(at: .at(2)))
    try life.append(5, of: story)
    // Two files and the folder.
    for _ in 0..<3 {
      #expect(try life.step())
      #expect(life.storage.syncedSequence == 10)
      #expect(try life.storage.sealedForSnapshot(at: Moment.at(2).instant) == nil)
    }
    #expect(life.fileSystem.files[directory.segment(11)] == nil)
    #expect(try life.step())
    #expect(life.fileSystem.files[directory.segment(11)] != nil)
    #expect(try life.storage.sealedForSnapshot(at: Moment.at(2).instant) == 10)
    #expect(try life.storage.sealedForSnapshot(at: Moment.at(2).instant) == nil)
    #expect(try life.step())
    #expect(life.storage.syncedSequence == 15)
    life.storage.snapshotFailed(used: 1, at: Moment.at(2).instant)
    try life.storage.close(at: .at(3))
  }

  @Test func `a full segment is sealed while appends go on, and a snapshot takes what it seals`()
    throws
  {
    var life = try Life(.never, segmentBytesMax: 400)
    life.fileSystem.isDeferring = true
    try life.append(10, of: story)
    try life.append(5, of: story)
    #expect(try directory.contents(life.fileSystem).begun == [11])
    // The next one is not begun before this one is done.
    try life.append(10, of: story)
    try life.append(5, of: story)
    #expect(try directory.contents(life.fileSystem).begun == [11])
    #expect(try life.storage.beginSnapshot(at: .at(2)))
    while try life.step() {}
    #expect(try life.storage.sealedForSnapshot(at: Moment.at(2).instant) == 10)
    let bytes = try Compaction.run("/data", through: 10, at: 2, fileSystem: life.fileSystem)
    #expect(bytes > 0)
    try life.storage.snapshotFinished(used: 1, at: Moment.at(3).instant)
    #expect(life.storage.journalBytes > 0, "what came after the seal is not in the snapshot")
    try life.append(5, of: story)
    #expect(try directory.contents(life.fileSystem).begun == [31])
    try life.storage.close(at: .at(3))
    #expect(try Recovery.read("/data", fileSystem: life.fileSystem).store == story.states[35])
  }

  @Test func `a segment that cannot get its name is used all the same, and tried again`() throws {
    var life = try Life(.always)
    try life.append(10, of: story)
    try life.storage.drainSyncs()
    life.fileSystem.isDeferring = true
    #expect(try life.storage.beginSnapshot(at: .at(2)))
    for _ in 0..<3 { #expect(try life.step()) }
    life.fileSystem.failAt = life.fileSystem.calls + 1
    #expect(try life.step())
    #expect(throws: StorageError.self) {
      try life.storage.sealedForSnapshot(at: Moment.at(2).instant)
    }
    #expect(life.storage.snapshotInProgress == nil)
    try life.append(10, of: story)
    #expect(try life.step())
    #expect(life.storage.syncedSequence == 20)
    let left = life.fileSystem.afterPowerLoss(areNamesSynced: true) { _ in .nothing }
    try check(left, 20...20, "power lost")
    #expect(try life.storage.beginSnapshot(at: .at(3)))
    while try life.step() {}
    #expect(try life.storage.sealedForSnapshot(at: Moment.at(3).instant) == 10)
    #expect(try directory.contents(life.fileSystem).segments == [1, 11])
    life.storage.snapshotFailed(used: 1, at: Moment.at(3).instant)
    try life.storage.close(at: .at(3))
  }

  /// Or a loss of power brings back whole records, whose numbers the next segment has as well.
  @Test func `what was cut off is gone from the disk before the next segment is begun`() throws {
    var life = try Life(.never)
    try life.append(10, of: story)
    life.fileSystem.isDeferring = true
    life.fileSystem.fault = .tearsOnce
    life.fileSystem.failAt = life.fileSystem.calls + 1
    #expect(throws: StorageError.self) {
      try life.storage.append(Array(story.records[10..<20]), at: .at(1))
    }
    let node = try #require(life.fileSystem.files[directory.segment(1)])
    #expect(try life.storage.beginSnapshot(at: .at(2)))
    #expect(life.fileSystem.files[directory.begun(11)] != nil)
    #expect(life.fileSystem.syncedBytes[ObjectIdentifier(node)] == node.bytes.count)
    try life.storage.retryPending(at: .at(3))
    while try life.step() {}
    life.storage.snapshotFailed(used: 1, at: Moment.at(3).instant)
    // Once is enough.
    let next = try #require(life.fileSystem.files[directory.segment(11)])
    let synced = life.fileSystem.syncedBytes[ObjectIdentifier(next)]
    try life.storage.append([story.records[20]], at: .at(4))
    #expect(try life.storage.beginSnapshot(at: .at(5)))
    #expect(life.fileSystem.syncedBytes[ObjectIdentifier(next)] == synced)
    life.storage.snapshotFailed(used: 1, at: Moment.at(6).instant)
    try life.storage.close(at: .at(7))
  }

  /// Or a loss of power takes a name and leaves that of the segment behind it.
  @Test func `a start gives no segment its name before the names of others are on the disk`() throws
  {
    var life = try life(.never, steps: 4)
    life.storage.snapshotFailed(used: 1, at: Moment.at(3).instant)
    #expect(try life.storage.beginSnapshot(at: .at(4)))
    try life.append(2, of: story)
    let disk = life.fileSystem.afterDeath()
    #expect(try directory.contents(disk).begun == [19])
    try check(disk, 20...20, "killed")
    #expect(disk.namesAhead == 0)
  }

  @Test(arguments: [0, 4])
  func `a loss of power that takes a segment's name, and not the snapshot's, costs nothing`(
    records: Int
  ) throws {
    var life = try Life(.never)
    try life.append(10, of: story)
    #expect(try life.storage.sealForSnapshot(at: .at(2)) == 10)
    try life.append(records, of: story)
    _ = try Compaction.run("/data", through: 10, at: 2, fileSystem: life.fileSystem)
    let disk = life.fileSystem.afterDeath()
    disk.files[directory.begun(11)] = disk.files.removeValue(forKey: directory.segment(11))
    let last = UInt64(10 + records)
    try check(disk, last...last, "\(records) records")
  }

  @Test func `old files go in the background, and who cannot be removed is told once`() throws {
    var life = try Life(.always)
    for part in 1...3 {
      try life.append(10, of: story)
      let sequence = try #require(try life.storage.sealForSnapshot(at: .at(UInt64(part))))
      _ = try Compaction.run("/data", through: sequence, at: 2, fileSystem: life.fileSystem)
      if part == 3 { life.fileSystem.isDeferring = true }
      try life.storage.snapshotFinished(used: 1, at: Moment.at(UInt64(part)).instant)
    }
    #expect(try directory.contents(life.fileSystem).snapshots == [30, 20, 10])
    // An append and its sync go on between two removals.
    try life.append(5, of: story)
    #expect(try life.step())
    #expect(life.storage.syncedSequence == 35)
    life.fileSystem.failAt = life.fileSystem.calls + 1
    #expect(try life.step())
    #expect(life.storage.takeRemovalFailure()?.code == .callFailed)
    #expect(life.storage.takeRemovalFailure() == nil)
    #expect(try directory.contents(life.fileSystem).snapshots == [30, 20, 10])
    try life.storage.close(at: .at(9))
  }

  @Test func `each kind of begun segment is dealt with as the table says`() throws {
    let life = try life(.never, steps: 2)
    let begun = directory.begun(11)
    func recovered(_ change: (MemoryFileSystem) -> Void) throws -> (Recovery?, StorageError?) {
      let disk = life.fileSystem.afterDeath()
      change(disk)
      do throws(StorageError) {
        return (try Recovery.read("/data", fileSystem: disk), nil)
      } catch {
        return (nil, error)
      }
    }
    let whole = try #require(life.fileSystem.files[begun]?.bytes)
    let lines = whole.indices.filter { whole[$0] == UInt8(ascii: "\n") }.map { $0 + 1 }
    // Cut at any byte: a tail of the journal.
    for cut in 0...whole.count {
      let (recovery, _) = try recovered { $0.files[begun]?.bytes = Array(whole[..<cut]) }
      let records = max(lines.count { $0 <= cut } - 1, 0)
      #expect(recovery?.store == story.states[10 + records], "cut at \(cut)")
      #expect(recovery?.leftOut == (records == 0 ? [11] : []), "cut at \(cut)")
      let end = cut < lines[0] ? 0 : lines.last { $0 <= cut } ?? 0
      #expect(recovery?.report.tornBytes == cut - end, "cut at \(cut)")
      #expect(recovery?.report.notes.count == (cut > end ? 1 : 0), "cut at \(cut)")
    }
    // Damaged before a line that is whole, and in the last one, and in its line feed.
    for place in [3, lines[0] + 3, whole.count - 3, whole.count - 1] {
      let (_, error) = try recovered { $0.files[begun]?.bytes[place] ^= 1 }
      #expect(error?.code == .damaged && error?.path == begun, "byte \(place)")
      // … which does not matter when the segment before it has lost its end.
      let (recovery, _) = try recovered {
        $0.files[begun]?.bytes[place] ^= 1
        $0.files[directory.segment(1)]?.bytes.removeLast(5)
      }
      #expect(recovery?.store == story.states[9] && recovery?.leftOut == [11])
      #expect(recovery?.report.notes.count == 2)
    }
    // It begins before the end of the journal.
    let (_, error) = try recovered { disk in
      let line = disk.files[directory.segment(1)]!.bytes
      var more = RecordEncoder()
      more.append(story.records, at: 10, sequence: 11)
      disk.files[directory.segment(1)]?.bytes = line + Array(more.bytes)
    }
    #expect(error?.code == .damaged)
  }
}
