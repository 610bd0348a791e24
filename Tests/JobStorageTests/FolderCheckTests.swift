import JobCore
import Testing

@testable import JobStorage

/// `FolderCheck` and `OfflineSnapshot`.
struct FolderCheckTests {
  private let directory = DataDirectory(path: "/data")
  private let story = Story(seed: 12, count: 30)

  /// Two snapshots, at 10 and 20, and the segments 1…, 11…, 21… of a story of 30 records.
  private func folder() throws -> MemoryFileSystem {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(0), fileSystem: fileSystem)
    for end in [10, 20, 30] {
      try storage.append(Array(story.records[end - 10..<end]), at: .at(1))
      guard end < 30 else { break }
      _ = try storage.sealForSnapshot(at: .at(2))
      _ = try Compaction.run("/data", through: UInt64(end), at: 3, fileSystem: fileSystem)
      try storage.snapshotFinished(used: 1, at: .init(nanoseconds: 1))
    }
    try storage.close(at: .at(4))
    return fileSystem
  }

  private func check(_ fileSystem: MemoryFileSystem) throws(StorageError) -> FolderCheck {
    try FolderCheck(of: "/data", fileSystem: fileSystem)
  }

  @Test func `a whole folder is whole, file by file`() throws {
    let fileSystem = try folder()
    let before = fileSystem.files.mapValues(\.bytes)
    let check = try check(fileSystem)
    #expect(check.verdict == .whole)
    #expect(
      check.files.map(\.path) == [
        directory.snapshot(20), directory.snapshot(10), directory.segment(11),
        directory.segment(21),
      ])
    #expect(check.files.last?.content == "records 21 to 30")
    #expect(try check.recovery.get().store == story.states[30])
    #expect(fileSystem.files.mapValues(\.bytes) == before, "it changed something")
    #expect(fileSystem.openCount == 0)
  }

  /// Recovery alone reads neither the older snapshot nor the segment before the newest one.
  @Test func `every byte of every file counts`() throws {
    let fileSystem = try folder()
    let live = directory.segment(21)
    for (path, node) in fileSystem.files where path != directory.lock {
      for index in node.bytes.indices {
        node.bytes[index] ^= 0x10
        let check = try check(fileSystem)
        let faulty = check.files.filter { $0.fault != nil }.map(\.path)
        #expect(faulty == [path], "byte \(index) of \(path)")
        let isVital = path == live
        #expect(check.verdict == (isVital ? .refused : .blemished), "byte \(index) of \(path)")
        #expect(check.files.filter(\.isTorn).isEmpty)
        node.bytes[index] ^= 0x10
      }
    }
  }

  @Test func `a last record that is cut off is torn, and no damage`() throws {
    let fileSystem = try folder()
    let node = try #require(fileSystem.files[directory.segment(21)])
    node.bytes.removeLast()
    let check = try check(fileSystem)
    #expect(check.verdict == .blemished)
    #expect(check.files.filter(\.isTorn).map(\.path) == [directory.segment(21)])
    let recovery = try check.recovery.get()
    #expect(recovery.store == story.states[29])
  }

  @Test func `a segment that is missing is told by recovery`() throws {
    let fileSystem = try folder()
    fileSystem.files[directory.segment(21)] = nil
    guard case .failure(let error) = try check(fileSystem).recovery else {
      Issue.record("it would start")
      return
    }
    #expect(error.code == .gap)
  }

  @Test func `what cannot be read is no damage`() throws {
    let fileSystem = try folder()
    let calls = fileSystem.calls
    _ = try check(fileSystem)
    for call in calls + 1...fileSystem.calls {
      let fileSystem = try folder()
      fileSystem.failAt = call
      do throws(StorageError) {
        _ = try check(fileSystem)
        Issue.record("call \(call) failed, and nobody noticed")
      } catch {
        #expect(error.code == .callFailed)
      }
      #expect(fileSystem.openCount == 0, "a file was left open")
    }
  }

  @Test func `an offline snapshot holds everything, and a start reads nothing else`() throws {
    let fileSystem = try folder()
    let report = try OfflineSnapshot.make(
      of: "/data", processID: 1, at: .at(9), fileSystem: fileSystem)
    #expect(report.sequence == 30 && report.jobs == story.states[30].count)
    let check = try check(fileSystem)
    #expect(check.verdict == .whole)
    let recovery = try check.recovery.get()
    #expect(recovery.store == story.states[30])
    #expect(recovery.report.snapshotSequence == 30 && recovery.report.recordsReplayed == 0)
    #expect(fileSystem.openCount == 0)
    let files = [directory.lock, directory.snapshot(30), directory.segment(31)].sorted()
    #expect(fileSystem.files.keys.sorted() == files && report.removalFailures.isEmpty)
    let snapshot = try #require(fileSystem.files[directory.snapshot(30)])
    #expect(report.bytes == snapshot.bytes.count)
    let again = try OfflineSnapshot.make(
      of: "/data", processID: 1, at: .at(10), fileSystem: fileSystem)
    #expect(again.sequence == 30 && again.jobs == report.jobs && again.bytes == report.bytes)
    #expect(fileSystem.files.keys.sorted() == files)
    #expect(fileSystem.files[directory.snapshot(30)] === snapshot, "it was written once more")
  }

  @Test func `of a folder with only a journal nothing is left but the snapshot`() throws {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, segmentBytesMax: 400, processID: 1, at: .at(0),
      fileSystem: fileSystem)
    for record in story.records {
      try storage.append([record], at: .at(1))
      try storage.drainSyncs()
    }
    try storage.close(at: .at(1))
    #expect(try directory.contents(fileSystem).segments.count > 3)
    _ = try OfflineSnapshot.make(of: "/data", processID: 1, at: .at(9), fileSystem: fileSystem)
    let contents = try directory.contents(fileSystem)
    #expect(contents.snapshots == [30] && contents.segments == [31])
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == story.states[30])
  }

  @Test func `what could not be removed is reported, and the rest is removed`() throws {
    let whole = try folder()
    let calls = whole.calls
    _ = try OfflineSnapshot.make(of: "/data", processID: 1, at: .at(9), fileSystem: whole)
    var told: [String] = []
    for call in calls + 1...whole.calls {
      let fileSystem = try folder()
      fileSystem.failAt = call
      let report = try? OfflineSnapshot.make(
        of: "/data", processID: 1, at: .at(9), fileSystem: fileSystem)
      guard let report, !report.removalFailures.isEmpty else { continue }
      told += report.removalFailures.map { "\($0.reason)" }
      let contents = try directory.contents(fileSystem)
      #expect(contents.snapshots.count + contents.segments.count == 3, "\(contents)")
    }
    // Two snapshots and two segments are older.
    #expect(told.count == 4, "\(told)")
  }

  @Test func `an offline snapshot that fails at any call loses nothing`() throws {
    let whole = try folder()
    let calls = whole.calls
    _ = try OfflineSnapshot.make(of: "/data", processID: 1, at: .at(9), fileSystem: whole)
    for call in calls + 1...whole.calls {
      let fileSystem = try folder()
      fileSystem.failAt = call
      _ = try? OfflineSnapshot.make(of: "/data", processID: 1, at: .at(9), fileSystem: fileSystem)
      #expect(fileSystem.openCount == 0, "call \(call): a file was left open")
      fileSystem.processDied()
      #expect(try check(fileSystem).recovery.get().store == story.states[30], "call \(call)")
    }
  }

  @Test func `nothing is made where no data folder is, and a used one is refused`() throws {
    let fileSystem = MemoryFileSystem()
    fileSystem.close(try fileSystem.open("/data/notes.txt", for: .creating))
    for path in ["/none", "/data"] {
      let files = fileSystem.files.keys.sorted()
      let error = #expect(throws: StorageError.self) {
        try OfflineSnapshot.make(of: path, processID: 1, at: .at(0), fileSystem: fileSystem)
      }
      #expect(error?.code == .absent, "\(path)")
      #expect(fileSystem.files.keys.sorted() == files)
    }
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, processID: 7, at: .at(0), fileSystem: fileSystem)
    do throws(StorageError) {
      _ = try OfflineSnapshot.make(of: "/data", processID: 1, at: .at(0), fileSystem: fileSystem)
      Issue.record("two use one folder")
    } catch {
      #expect(error.code == .inUse)
    }
    try storage.close(at: .at(1))
  }
}
