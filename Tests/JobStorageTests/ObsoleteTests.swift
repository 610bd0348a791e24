import JobCore
import Testing

@testable import JobStorage

/// What a snapshot makes unnecessary goes in an order, and only when the snapshot itself is there
/// to stay.
@Suite struct ObsoleteTests {
  private let directory = DataDirectory(path: "/data")

  /// A folder with nothing but these names.
  private func disk(snapshots: [UInt64], segments: [UInt64]) -> MemoryFileSystem {
    let disk = MemoryFileSystem()
    disk.folders.insert("/data")
    for path in snapshots.map(directory.snapshot) + segments.map(directory.segment) {
      disk.files[path] = MemoryFileSystem.Node()
    }
    return disk
  }

  @Test func `snapshots go before segments, and of each the oldest first`() throws {
    let disk = disk(snapshots: [10, 20, 30, 40], segments: [1, 11, 21, 31, 41])
    // The one before the newest is kept, and the segments since.
    #expect(
      try directory.obsolete(newest: 40, disk) == [
        directory.snapshot(10), directory.snapshot(20), directory.segment(1),
        directory.segment(11), directory.segment(21),
      ])
  }

  @Test func `as long as there is one snapshot every segment is kept`() throws {
    let one = disk(snapshots: [20], segments: [1, 11, 21])
    #expect(try directory.obsolete(newest: 20, one) == [])
    // And without the one that was to be written, everything.
    #expect(try directory.obsolete(newest: 30, one) == [])
  }

  @Test func `a start succeeds wherever the removal has stopped`() throws {
    let story = Story(seed: 17, count: 50)
    let disk = MemoryFileSystem()
    var files: [String: MemoryFileSystem.Node] = [:]
    for part in 1...5 {
      let (storage, _, _) = try JobStorage.open(
        "/data", sync: .never, processID: 1, at: .at(0), fileSystem: disk)
      try storage.append(Array(story.records[part * 10 - 10..<part * 10]), at: .at(1))
      let sequence = try #require(try storage.sealForSnapshot(at: .at(2)))
      _ = try Compaction.run("/data", through: sequence, at: 3, fileSystem: disk)
      storage.snapshotFailed(used: 1, at: Moment.at(4).instant)
      try storage.close(at: .at(5))
      files = disk.files
    }
    let obsolete = try directory.obsolete(newest: 50, disk)
    #expect(obsolete.count == 3 + 4)
    for count in 0...obsolete.count {
      for path in obsolete.prefix(count) { disk.files[path] = nil }
      // Both that are kept may turn out damaged as long as the journal reaches back further.
      for damaged in count <= 3 ? 0...2 : 0...1 {
        for sequence in [UInt64(50), 40].prefix(damaged) {
          disk.files[directory.snapshot(sequence)] = MemoryFileSystem.Node()
        }
        let recovery = try Recovery.read("/data", fileSystem: disk)
        #expect(recovery.store == story.states[50], "\(count) removed, \(damaged) damaged")
        for sequence in [UInt64(50), 40] {
          disk.files[directory.snapshot(sequence)] = files[directory.snapshot(sequence)]
        }
      }
    }
  }

  @Test func `a snapshot has its name on the disk when it is told to be there`() throws {
    let disk = MemoryFileSystem()
    let story = Story(seed: 18, count: 10)
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(0), fileSystem: disk)
    try storage.append(story.records, at: .at(1))
    let sequence = try #require(try storage.sealForSnapshot(at: .at(2)))
    _ = try Compaction.run("/data", through: sequence, at: 3, fileSystem: disk)
    let node = try #require(disk.files[directory.snapshot(sequence)])
    #expect(disk.syncedNames[directory.snapshot(sequence)] === node)
    #expect(disk.syncedBytes[ObjectIdentifier(node)] == node.bytes.count)
    storage.snapshotFailed(used: 1, at: Moment.at(4).instant)
    try storage.close(at: .at(5))
  }
}
