import JobCore
import Testing

@testable import JobStorage

/// A folder that was written in any version of the journal's format is restored for ever. What lies
/// in `fixtures` is never written again; a later version gets a folder of its own (see
/// `RecordCodec.swift`).
struct FormatFixtureTests {
  private static let fixtures =
    #filePath.split(separator: "/").dropLast().reduce(into: "") { $0 += "/" + $1 } + "/fixtures"

  private static let options = JobOptions(
    kwargs: #"{"n":1,"text":"é\u2028"}"#, timeout: 1_500, attemptsMax: 3, onInterrupt: .fail,
    tags: ["nightly", "tag \"2\""], idempotencyKey: "order-17")

  private static let error = JobError(
    code: .raised, type: "ValueError", message: "line 1\nline 2", traceback: "at f()", exitcode: -9,
    attempt: 1)

  /// Every kind of record of version 1 with every member that it may have. The first thirteen are
  /// in the snapshot as well (of later versions more), and the next begins the second segment.
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

  /// What came with later versions, behind those.
  private static let news: [[Record]] = [
    [], [submitted(6, "job-6", nil), .jobWithdrawn(6), submitted(7, "job-6", nil)], version3,
  ]

  /// How many records the snapshot of a version's folder holds.
  static func snapshotCount(_ version: Int) -> Int {
    version < 3 ? 13 : records.count + news[1].count + version3InSnapshot.count
  }

  /// What the folder of a version holds.
  static func records(_ version: Int) -> [Record] {
    records + news[..<version].joined()
  }

  private static func submitted(
    _ number: JobNumber, _ id: String, _ options: JobOptions?
  ) -> Record {
    .jobSubmitted(
      JobSubmitted(
        number: number, id: JobID(id)!, task: "tâche", pool: "default", args: #"[7,"x"]"#,
        options: options, at: 1_767_225_600_000 + Timestamp(number)))
  }

  private static func state(_ version: Int) throws -> JobStore {
    var store = JobStore()
    for record in records(version) { try store.apply(record) }
    return store
  }

  private static func folder(_ version: Int) -> String { "\(fixtures)/v\(version)" }

  @Test(arguments: RecordCodec.versions)
  func `a folder of each version is restored: snapshot and journal`(version: Int) throws {
    let recovery = try Recovery.read(Self.folder(version))
    #expect(recovery.store == (try Self.state(version)))
    #expect(recovery.live?.version == version)
    let count = Self.snapshotCount(version)
    #expect(recovery.report.snapshotSequence == UInt64(count))
    #expect(recovery.report.recordsReplayed == Self.records(version).count - count)
    #expect(recovery.report.notes.isEmpty)
    #expect(try FolderCheck(of: Self.folder(version)).verdict == .whole)
  }

  @Test(arguments: RecordCodec.versions)
  func `a folder of each version is restored from the journal alone`(version: Int) throws {
    let fileSystem = try Self.copy(version)
    #expect(fileSystem.files.count == 2)
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == Self.state(version))
  }

  /// The journal of a folder, in memory.
  private static func copy(_ version: Int) throws -> MemoryFileSystem {
    let fileSystem = MemoryFileSystem()
    let disk = POSIXFileSystem()
    for name in try disk.list(folder(version)) where name.hasSuffix(".jsonl") {
      let path = "\(folder(version))/\(name)"
      let file = try disk.open(path, for: .reading)
      let node = MemoryFileSystem.Node()
      node.bytes = [UInt8](repeating: 0, count: try disk.size(path))
      _ = try node.bytes.withUnsafeMutableBytes { bytes in
        Result { () throws(StorageError) in try disk.read(file, at: 0, into: bytes) }
      }.get()
      disk.close(file)
      fileSystem.files["/data/\(name)"] = node
    }
    return fileSystem
  }

  @Test(arguments: RecordCodec.versions)
  func `a folder of each version goes on in this one, whose lines the old ones do not get`(
    version: Int
  ) throws {
    let fileSystem = try Self.copy(version)
    let old = fileSystem.files.mapValues(\.bytes)
    let (storage, store, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(1), fileSystem: fileSystem)
    let next = store.nextNumber
    let more: [Record] = [Self.submitted(next, "job-99", nil), .jobWithdrawn(next)]
    #expect(store == (try Self.state(version)))
    try storage.append(more, at: .at(2))
    try storage.close(at: .at(3))
    if version < RecordCodec.version {
      for (path, bytes) in old { #expect(fileSystem.files[path]?.bytes == bytes) }
    }
    var expected = try Self.state(version)
    for record in more { try expected.apply(record) }
    let recovery = try Recovery.read("/data", fileSystem: fileSystem)
    #expect(recovery.store == expected && recovery.live?.version == RecordCodec.version)
  }

  @Test func `an empty segment of an old version is replaced`() throws {
    let fileSystem = try Self.copy(1)
    let path = "/data/journal-00000000000000000014.jsonl"
    let node = try #require(fileSystem.files[path])
    node.bytes = Array(node.bytes.prefix(through: try #require(node.bytes.firstIndex(of: 10))))
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(1), fileSystem: fileSystem)
    try storage.append([.jobQueued(2)], at: .at(2))
    try storage.close(at: .at(3))
    let recovery = try Recovery.read("/data", fileSystem: fileSystem)
    #expect(recovery.report.lastSequence == 14 && recovery.live?.version == RecordCodec.version)
  }

  @Test(arguments: [
    (1, #""job_withdrawn":{"job":1}"#, #""job_withdrawn" has no place in this line"#),
    (2, #""map_forgotten":{"map":1}"#, #""map_forgotten" has no place in this line"#),
    (2, #""map_withdrawn":{"map":1}"#, #""map_withdrawn" has no place in this line"#),
    (2, #""pool_closed":{"pool":"a"}"#, #""pool_closed" has no place in this line"#),
    (1, submission(#""encoding":"pickle""#), #"job_submitted has no member "encoding""#),
    (2, submission(#""main":"/a""#), #"job_submitted has no member "main""#),
    (2, submission(#""map":1,"first":0,"count":1"#), #"job_submitted has no member "count""#),
    (2, failure(#""args":[]"#), #"an error has no member "args""#),
    (2, failure(#""values":[]"#), #"an error has no member "values""#),
  ])
  func `what is of a later version has no place in an older segment`(
    version: Int, record: String, fault: String
  ) throws {
    var decoder = RecordDecoder()
    let line = Array(#"{"crc":"00000000","seq":1,\#(record)}"#.utf8)
    let header = Array(
      #"{"crc":"00000000","journal":\#(version),"first":1,"created_at":1}"#.utf8)
    _ = try header.withUnsafeBufferPointer { try decoder.header($0) }
    #expect(throws: RecordDecoder.Unreadable.content(fault)) {
      try line.withUnsafeBufferPointer { try decoder.record($0) }
    }
    // In the version of today it is right.
    var today = RecordDecoder()
    _ = try line.withUnsafeBufferPointer { try today.record($0) }
  }

  private static func submission(_ members: String) -> String {
    #""job_submitted":{"job":1,"id":"a","task":"t","pool":"p","at":5,"args":[],\#(members)}"#
  }

  private static func failure(_ members: String) -> String {
    #""job_ended":{"job":1,"at":5,"error":{"code":"raised","type":"E","message":"m","attempt":1,"#
      + members + "}}"
  }
}
