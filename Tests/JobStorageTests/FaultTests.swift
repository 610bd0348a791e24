import JobCore
import Testing

@testable import JobStorage

/// Fail the nth call of the file system, for every n, in every way; then die, start again, and
/// compare with the model.
struct FaultTests {
  private let story = Story(seed: 77, count: 60)

  /// How far a run came.
  private struct Progress {
    /// Records of which an append said that they are in the journal.
    var acknowledged = 0
    /// Records that were given to an append.
    var given = 0
    /// Whether the run ended because the storage said to stop.
    var isStopped = false
  }

  /// One life of a server that follows the rules: it repeats what failed and stops when told to.
  private func run(_ fileSystem: MemoryFileSystem, segmentBytesMax: Int) -> Progress {
    var progress = Progress()
    do throws(StorageError) {
      let storage = try opened(fileSystem, segmentBytesMax)
      for batch in 0..<12 {
        progress.given += 5
        let records = Array(story.records[progress.given - 5..<progress.given])
        try persist { () throws(StorageError) in
          if storage.pendingCount == 0 {
            try storage.append(records, at: .at(1))
          } else {
            try storage.retryPending(at: .at(1))
          }
        }
        progress.acknowledged = Int(storage.appendedSequence)
        try storage.drainSyncs()
        if batch % 4 == 3 { try snapshot(storage, fileSystem) }
      }
      try storage.close(at: .at(3))
    } catch {
      progress.isStopped = true
    }
    return progress
  }

  private func opened(
    _ fileSystem: MemoryFileSystem, _ segmentBytesMax: Int
  ) throws(StorageError) -> JobStorage {
    var last: StorageError?
    for _ in 0..<10 {
      do throws(StorageError) {
        return try JobStorage.open(
          "/data", sync: .always, segmentBytesMax: segmentBytesMax, processID: 1, at: .at(0),
          fileSystem: fileSystem
        ).storage
      } catch {
        last = error
      }
    }
    throw last!
  }

  /// Tries until it works, or until the error says to stop.
  private func persist(
    _ action: () throws(StorageError) -> Void
  ) throws(StorageError) {
    for attempt in 1...10 {
      do throws(StorageError) {
        return try action()
      } catch {
        if error.code == .syncFailed || attempt == 10 { throw error }
      }
    }
  }

  private func snapshot(
    _ storage: JobStorage, _ fileSystem: MemoryFileSystem
  ) throws(StorageError) {
    let sequence: UInt64
    do throws(StorageError) {
      guard let sealed = try storage.sealForSnapshot(at: .at(2)) else { return }
      sequence = sealed
    } catch {
      if error.code == .syncFailed { throw error }
      return
    }
    do throws(StorageError) {
      _ = try Compaction.run("/data", through: sequence, at: 2, fileSystem: fileSystem)
    } catch {
      return storage.snapshotFailed(used: 1, at: Moment.at(2).instant)
    }
    // A file that cannot be removed is removed the next time.
    try? storage.snapshotFinished(used: 1, at: Moment.at(2).instant)
  }

  @Test(arguments: MemoryFileSystem.Fault.allCases, [400, 1 << 20])
  func `whatever call fails, what was acknowledged is there`(
    fault: MemoryFileSystem.Fault, segmentBytesMax: Int
  ) throws {
    var stops = 0
    for number in 1... {
      let fileSystem = MemoryFileSystem()
      fileSystem.fault = fault
      fileSystem.failAt = number
      let progress = run(fileSystem, segmentBytesMax: segmentBytesMax)
      let isOver = fileSystem.calls < number
      stops += progress.isStopped ? 1 : 0
      try check(fileSystem, progress, "call \(number)")
      if isOver {
        #expect(!progress.isStopped && progress.acknowledged == 60)
        #expect(number > 90, "the run is too short to mean anything")
        break
      }
    }
    #expect(stops > 0, "no sync ever failed")
  }

  private func check(
    _ fileSystem: MemoryFileSystem, _ progress: Progress, _ place: String
  ) throws {
    fileSystem.processDied()
    let (storage, store, report) = try JobStorage.open(
      "/data", sync: .always, processID: 2, at: .at(9), fileSystem: fileSystem)
    let last = Int(report.lastSequence)
    try #require(last >= progress.acknowledged && last <= progress.given, "\(place): \(last)")
    #expect(store == story.states[last], "\(place)")
    // It goes on from there.
    try storage.append(Array(story.records[last...]), at: .at(9))
    #expect(storage.syncedSequence < 60 || last == 60)
    #expect(try storage.drainSyncs() == 60)
    try storage.close(at: .at(9))
    #expect(fileSystem.openCount == 0, "\(place): a file was left open")
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == story.states[60])
    let contents = try DataDirectory(path: "/data").contents(fileSystem)
    #expect(contents.temporaries.isEmpty && contents.begun.isEmpty, "\(place)")
  }

  @Test(arguments: Array(stride(from: 200, to: 9_000, by: 97)))
  func `a full disk takes whole records or none, and goes on when there is room`(
    capacity: Int
  ) throws {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .every(milliseconds: 50), processID: 1, at: .at(0), fileSystem: fileSystem)
    fileSystem.capacity = capacity
    var acknowledged = 0
    for given in stride(from: 0, to: 60, by: 5) {
      do throws(StorageError) {
        try storage.append(Array(story.records[given..<given + 5]), at: .at(1))
        acknowledged = given + 5
        #expect(storage.pendingCount == 0)
      } catch {
        #expect(error.code == .appendFailed && error.errno == 28)
        #expect(storage.pendingCount == given + 5 - acknowledged)
        #expect(Int(storage.appendedSequence) == acknowledged)
      }
      // Nothing but whole, acknowledged records is ever left in the file.
      let recovery = try Recovery.read("/data", fileSystem: fileSystem)
      #expect(recovery.store == story.states[acknowledged] && recovery.report.notes.isEmpty)
    }
    fileSystem.capacity = .max
    try storage.retryPending(at: .at(2))
    #expect(storage.appendedSequence == 60 && storage.pendingCount == 0)
    try storage.close(at: .at(3))
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == story.states[60])
  }

  @Test(arguments: [.always, .every(milliseconds: 50), .never] as [SyncPolicy])
  func `what counts as synced is, and a sealed segment is synced to its end`(
    policy: SyncPolicy
  ) throws {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: policy, processID: 1, at: .at(0), fileSystem: fileSystem)
    let node = fileSystem.files[DataDirectory(path: "/data").segment(1)]!
    for (index, record) in story.records[..<20].enumerated() {
      let time = 1_000 + 40 * UInt64(index)
      try storage.append([record], at: .at(time))
      storage.deadlineReached(at: Moment.at(time).instant)
      let synced = Int(try storage.drainSyncs())
      if policy == .always { #expect(synced == index + 1) }
      let lines = node.bytes.prefix(fileSystem.syncedBytes[ObjectIdentifier(node)] ?? 0)
        .count { $0 == UInt8(ascii: "\n") }
      #expect(lines == synced + 1, "the first line is the segment's header")
      if policy == .never { #expect(synced == 0) }
    }
    #expect(try storage.sealForSnapshot(at: .at(9_000)) == 20)
    #expect(storage.syncedSequence == 20)
    #expect(fileSystem.syncedBytes[ObjectIdentifier(node)] == node.bytes.count)
    storage.snapshotFailed(used: 1, at: Moment.at(9_000).instant)
    try storage.close(at: .at(9_000))
  }

  @Test func `a seal syncs what came after the last sync was asked for`() throws {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .every(milliseconds: 50), processID: 1, at: .at(0), fileSystem: fileSystem)
    let node = fileSystem.files[DataDirectory(path: "/data").segment(1)]!
    try storage.append([story.records[0]], at: .at(0))
    storage.deadlineReached(at: Moment.at(50).instant)
    try storage.append([story.records[1]], at: .at(51))
    #expect(try storage.drainSyncs() == 1)
    #expect(try storage.sealForSnapshot(at: .at(52)) == 2)
    #expect(storage.syncedSequence == 2)
    #expect(fileSystem.syncedBytes[ObjectIdentifier(node)] == node.bytes.count)
    storage.snapshotFailed(used: 1, at: Moment.at(53).instant)
    try storage.close(at: .at(54))
  }

  @Test func `an end with records that cannot be written syncs those that were`() throws {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(0), fileSystem: fileSystem)
    try storage.append(Array(story.records[..<5]), at: .at(1))
    let node = fileSystem.files[DataDirectory(path: "/data").segment(1)]!
    let length = node.bytes.count
    fileSystem.capacity = 0
    #expect(throws: StorageError.self) {
      try storage.append(Array(story.records[5..<10]), at: .at(2))
    }
    do throws(StorageError) {
      try storage.close(at: .at(3))
      Issue.record("it said that all of it is safe")
    } catch {
      #expect(error.code == .appendFailed)
    }
    #expect(fileSystem.syncedBytes[ObjectIdentifier(node)] == length)
    #expect(fileSystem.openCount == 0)
  }

  @Test func `after a failed sync every call says stop`() throws {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .always, processID: 1, at: .at(0), fileSystem: fileSystem)
    fileSystem.failAt = fileSystem.calls + 2
    try storage.append(Array(story.records[..<5]), at: .at(1))
    for _ in 0..<2 {
      #expect(throws: StorageError.self) { try storage.drainSyncs() }
      do throws(StorageError) {
        try storage.append([], at: .at(1))
        Issue.record("it went on after a failed sync")
      } catch {
        #expect(error.code == .syncFailed)
      }
      do throws(StorageError) {
        _ = try storage.sealForSnapshot(at: .at(1))
        Issue.record("it went on after a failed sync")
      } catch {
        #expect(error.code == .syncFailed)
      }
    }
    #expect(storage.syncedSequence == 0)
  }
}
