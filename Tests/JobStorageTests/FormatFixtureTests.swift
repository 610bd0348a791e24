import JobCore
import Testing

@testable import JobStorage

/// A folder that was written in version 1 of both formats is restored for ever. `fixtures/v1` is
/// never written again; a later version gets a folder of its own (see `RecordCodec.swift`).
struct FormatFixtureTests {
  private static let fixtures =
    #filePath.split(separator: "/").dropLast().reduce(into: "") { $0 += "/" + $1 } + "/fixtures"

  private static let options = JobOptions(
    kwargs: #"{"n":1,"text":"é\u2028"}"#, timeout: 1_500, attemptsMax: 3, onInterrupt: .fail,
    tags: ["nightly", "tag \"2\""], idempotencyKey: "order-17")

  private static let error = JobError(
    code: .raised, type: "ValueError", message: "line 1\nline 2", traceback: "at f()", exitcode: -9,
    attempt: 1)

  /// Every kind of record with every member that it may have. The first thirteen are in the
  /// snapshot as well, and the fourteenth begins the second segment.
  private static let records: [Record] = [
    submitted(1, "01890a5d-ac96-774b-bcce-b302099a8057", nil),
    submitted(2, "own.id_2-x", options),
    submitted(3, "job-3", JobOptions()),
    submitted(4, "job-4", nil),
    .attemptStarted(1, attempt: 1, at: 1_767_225_600_200),
    .jobEnded(1, .succeeded(#"[1,{"a":null},"é👩‍🚀",-0.5e+300]"#), at: 1_767_225_600_300),
    .attemptStarted(2, attempt: 1, at: 1_767_225_600_210),
    .attemptFailed(2, error, retryAt: 1_767_225_601_000),
    .attemptStarted(3, attempt: 1, at: 1_767_225_600_220),
    .attemptRevoked(3, .interrupted),
    .jobEnded(4, .cancelled, at: 1_767_225_600_400),
    submitted(5, "job-5", nil),
    .jobForgotten(4),
    .jobQueued(2),
    .attemptStarted(2, attempt: 2, at: 1_767_225_601_010),
    .cancelRequested(2),
    .jobEnded(2, .failed(error), at: 1_767_225_601_020),
    .attemptStarted(3, attempt: 1, at: 1_767_225_601_030),
    .attemptRevoked(3, .notStarted),
    .attemptStarted(5, attempt: 1, at: 1_767_225_601_040),
    .jobEnded(
      5, .succeededWithBytes(BytesResult(contentType: "image/png", base64: "iVBORw0KGgo=")),
      at: 1_767_225_601_050),
  ]

  private static func submitted(
    _ number: JobNumber, _ id: String, _ options: JobOptions?
  ) -> Record {
    .jobSubmitted(
      JobSubmitted(
        number: number, id: JobID(id)!, task: "tâche", pool: "default", args: #"[7,"x"]"#,
        options: options, at: 1_767_225_600_000 + Timestamp(number)))
  }

  private static func state() throws -> JobStore {
    var store = JobStore()
    for record in records { try store.apply(record) }
    return store
  }

  @Test func `a folder of version 1 is restored: snapshot and journal`() throws {
    let recovery = try Recovery.read(Self.fixtures + "/v1")
    #expect(recovery.store == (try Self.state()))
    #expect(recovery.report.snapshotSequence == 13)
    #expect(recovery.report.recordsReplayed == Self.records.count - 13)
    #expect(recovery.report.notes.isEmpty)
    #expect(try FolderCheck(of: Self.fixtures + "/v1").verdict == .whole)
  }

  @Test func `a folder of version 1 is restored from the journal alone`() throws {
    let fileSystem = MemoryFileSystem()
    let disk = POSIXFileSystem()
    for name in try disk.list(Self.fixtures + "/v1") where name.hasSuffix(".jsonl") {
      let path = "\(Self.fixtures)/v1/\(name)"
      let file = try disk.open(path, for: .reading)
      let node = MemoryFileSystem.Node()
      node.bytes = [UInt8](repeating: 0, count: try disk.size(path))
      _ = try node.bytes.withUnsafeMutableBytes { bytes in
        Result { () throws(StorageError) in try disk.read(file, at: 0, into: bytes) }
      }.get()
      disk.close(file)
      fileSystem.files["/data/\(name)"] = node
    }
    #expect(fileSystem.files.count == 2)
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == Self.state())
  }
}

/// The same for version 2, which has maps: `fixtures/v2`.
struct FormatFixture2Tests {
  private static let fixtures =
    #filePath.split(separator: "/").dropLast().reduce(into: "") { $0 += "/" + $1 } + "/fixtures"

  private static let error = JobError(
    code: .raised, type: "ValueError", message: "no", attempt: 1, item: 1, values: #"[{"a":1}]"#)

  /// Every kind of record that has to do with maps. The first twelve are in the snapshot as well.
  private static let records: [Record] = [
    .mapCreated(
      MapCreated(
        number: 1, id: JobID("map-1")!, task: "tâche", pool: "default", isStar: true, chunkSize: 2,
        total: 3,
        options: JobOptions(timeout: 1_500, tags: ["nightly"], idempotencyKey: "order-17"),
        at: 1_767_225_600_000)),
    chunk(2, of: 1, first: 0, count: 2),
    chunk(3, of: 1, first: 2, count: 1),
    .mapInputEnded(1, nil, at: 1_767_225_600_010),
    .attemptStarted(3, attempt: 1, at: 1_767_225_600_020),
    .attemptStarted(2, attempt: 1, at: 1_767_225_600_030),
    .jobEnded(3, .succeeded("[9]"), at: 1_767_225_600_040),
    .jobEnded(2, .failed(error), at: 1_767_225_600_050),
    .mapCreated(
      MapCreated(
        number: 4, id: JobID("map-2")!, task: "square", pool: "default", chunkSize: 1_000,
        total: nil, at: 1_767_225_600_060)),
    chunk(5, of: 4, first: 0, count: 2),
    .attemptStarted(5, attempt: 1, at: 1_767_225_600_070),
    .jobEnded(5, .succeeded("[1,4]"), at: 1_767_225_600_080),
    .chunkReleased(5),
    chunk(6, of: 4, first: 2, count: 1),
    .mapCancelRequested(4),
    .mapInputEnded(4, InputError(.cancelled, "line 1\nline 2"), at: 1_767_225_600_090),
    .jobEnded(6, .cancelled, at: 1_767_225_600_100),
    .mapForgotten(1),
  ]

  private static func chunk(
    _ number: JobNumber, of map: MapNumber, first: Int, count: Int
  ) -> Record {
    .jobSubmitted(
      JobSubmitted(
        number: number, id: JobID("chunk-\(number)")!, task: "square", pool: "default",
        args: count == 1 ? "[3]" : "[1,2]",
        options: JobOptions(
          timeout: 1_500, chunk: ChunkPlace(map: map, first: first, count: count)),
        at: 1_767_225_600_005))
  }

  private static func state() throws -> JobStore {
    var store = JobStore()
    for record in records { try store.apply(record) }
    return store
  }

  @Test func `a folder of version 2 is restored: snapshot and journal`() throws {
    let recovery = try Recovery.read(Self.fixtures + "/v2")
    #expect(recovery.store == (try Self.state()))
    #expect(recovery.report.snapshotSequence == 12)
    #expect(recovery.report.recordsReplayed == Self.records.count - 12)
    #expect(recovery.report.notes.isEmpty)
    #expect(try FolderCheck(of: Self.fixtures + "/v2").verdict == .whole)
  }

  @Test func `a folder of version 1 goes on in a segment of its own`() throws {
    let fileSystem = MemoryFileSystem()
    let disk = POSIXFileSystem()
    for name in try disk.list(Self.fixtures + "/v1") {
      let path = "\(Self.fixtures)/v1/\(name)"
      let file = try disk.open(path, for: .reading)
      let node = MemoryFileSystem.Node()
      node.bytes = [UInt8](repeating: 0, count: try disk.size(path))
      _ = try node.bytes.withUnsafeMutableBytes { bytes in
        Result { () throws(StorageError) in try disk.read(file, at: 0, into: bytes) }
      }.get()
      disk.close(file)
      fileSystem.files["/data/\(name)"] = node
    }
    let before = try Recovery.read("/data", fileSystem: fileSystem)
    let moment = Moment(instant: Instant(nanoseconds: 1), timestamp: 1_767_225_700_000)
    let (storage, store, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: moment, fileSystem: fileSystem)
    #expect(store == before.store)
    let created = MapCreated(
      number: store.nextNumber, id: JobID("new")!, task: "t", pool: "p", chunkSize: 1, total: nil,
      at: 1_767_225_700_000)
    try storage.append([.mapCreated(created)], at: moment)
    try storage.close(at: moment)
    let after = try Recovery.read("/data", fileSystem: fileSystem)
    #expect(after.store.mapCount == 1)
    #expect(after.report.lastSequence == before.report.lastSequence + 1)
    #expect(try FolderCheck(of: "/data", fileSystem: fileSystem).verdict == .whole)
  }
}
