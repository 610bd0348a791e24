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

  @Test func `a folder of version 1 is gone on with in a segment of the present version`() throws {
    let fileSystem = try folder { _ in true }
    let last = JobNumber(Self.records.count)
    let (storage, store, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(0), fileSystem: fileSystem)
    #expect(try store == Self.state())
    let more = Self.submitted(6, "job-6", JobOptions(encoding: .pickle, main: "/a.py"))
    try storage.append([more], at: .at(1))
    let begun = try #require(fileSystem.files[DataDirectory(path: "/data").segment(last + 1)])
    let line = String(decoding: begun.bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    #expect(line.contains(#""journal":2,"first":\#(last + 1),"#))
    try storage.close(at: .at(2))
    var expected = try Self.state()
    try expected.apply(more)
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == expected)
  }

  @Test func `a folder of version 1 is restored from the journal alone`() throws {
    let fileSystem = try folder { $0.hasSuffix(".jsonl") }
    #expect(fileSystem.files.count == 2)
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store == Self.state())
  }

  /// Those files of the fixture that are wanted, as `/data`.
  private func folder(_ isWanted: (String) -> Bool) throws -> MemoryFileSystem {
    let fileSystem = MemoryFileSystem()
    let disk = POSIXFileSystem()
    for name in try disk.list(Self.fixtures + "/v1") where isWanted(name) {
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
    return fileSystem
  }
}
