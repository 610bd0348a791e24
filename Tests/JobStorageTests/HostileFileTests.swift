import JobCore
import Testing

@testable import JobStorage

/// Files with right checksums that nobody but somebody with bad intent has written: they are
/// refused, or left alone, and end no process.
struct HostileFileTests {
  private let directory = DataDirectory(path: "/data")
  private static let header = #""journal":3,"first":1,"created_at":1}"#

  private static func digits(_ bytes: [UInt8]) -> String {
    let checksum = bytes.withUnsafeBytes { Checksum(of: $0).value }
    let digits = String(checksum, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  /// Lines of a journal with what follows their checksums.
  private static func segment(_ contents: String...) -> MemoryFileSystem.Node {
    let node = MemoryFileSystem.Node()
    for content in contents {
      node.bytes += Array("{\"crc\":\"\(digits(Array(content.utf8)))\",\(content)\n".utf8)
    }
    return node
  }

  private static func submission(_ sequence: Int, _ number: Int, _ more: String = "") -> String {
    #""seq":\#(sequence),"job_submitted":{"job":\#(number),"id":"j\#(number)","task":"t","#
      + #""pool":"p","at":1,"args":[]\#(more)}}"#
  }

  private static func snapshot(
    sequence: Int = 1, next: Int, _ rows: String = "", count: Int
  ) -> MemoryFileSystem.Node {
    let text = """
      {"snapshot":2,"seq":\(sequence),"created_at":1,"next_number":\(next),
      "forgotten":[],
      "jobs":[
      \(rows)],"count":\(count),"crc":"
      """
    let node = MemoryFileSystem.Node()
    node.bytes = Array(text.utf8) + Array((digits(Array(text.utf8)) + "\"}\n").utf8)
    return node
  }

  private static func job(_ number: Int, _ version: Int = 1) -> String {
    #"{"job":\#(number),"id":"j\#(number)","task":"t","pool":"p","at":1,"args":[],"#
      + #""state":"queued","version":\#(version)}"#
  }

  private static func map(_ number: Int, released: Int) -> String {
    #"{"map":\#(number),"id":"m\#(number)","task":"t","pool":"p","at":1,"chunk_size":1,"#
      + #""version":1,"released_chunks":1,"released_succeeded":\#(released),"#
      + #""released_failed":\#(released)}"#
  }

  @Test func `what these tests write is read when it is right`() throws {
    let fileSystem = MemoryFileSystem()
    fileSystem.files[directory.segment(1)] = Self.segment(
      Self.header, Self.submission(1, 1), Self.submission(2, 2))
    #expect(try Recovery.read("/data", fileSystem: fileSystem).store.count == 2)
    fileSystem.files[directory.snapshot(7)] = Self.snapshot(
      sequence: 7, next: 5, Self.job(2) + ",\n" + Self.map(4, released: 9) + "\n", count: 2)
    fileSystem.files[directory.segment(8)] = Self.segment(
      #""journal":3,"first":8,"created_at":1}"#, Self.submission(8, 5))
    let recovery = try Recovery.read("/data", fileSystem: fileSystem)
    #expect(recovery.store.count == 2 && recovery.store.mapCount == 1)
  }

  @Test(arguments: [
    submission(1, 2), submission(1, 1 << 40), submission(1, 1 << 47), submission(1, Int.max),
    submission(1, 1, #","map":1,"first":9223372036854775807,"count":4294967295"#),
    #""seq":9223372036854775807,"job_queued":{"job":1}}"#,
  ])
  func `a record that cannot be stops the start`(record: String) throws {
    let fileSystem = MemoryFileSystem()
    fileSystem.files[directory.segment(1)] = Self.segment(Self.header, record)
    do throws(StorageError) {
      _ = try Recovery.read("/data", fileSystem: fileSystem)
      Issue.record("it was read")
    } catch {
      #expect(error.code == .damaged || error.code == .gap)
      #expect(error.line == 2, "\(error)")
    }
  }

  @Test(arguments: [
    (1, 2, "", -1), (1, 2, "", Int.min), (1, 2, "", 1), (1, Int.max, "", 0), (1, 3, "", 0),
    (Int.max, 1 << 49, "", 0), (1 << 50, (1 << 48) + 1, job(1 << 48) + "\n", 1),
    (1 << 50, 1 << 47, job(1) + ",\n" + job((1 << 47) - 1) + "\n", 2), (1, 2, job(2) + "\n", 1),
    (1, 2, job(1, Int(UInt32.max)) + "\n", 1), (1, 2, map(1, released: Int.max) + "\n", 1),
  ])
  func `a snapshot that cannot be is damaged`(
    sequence: Int, next: Int, rows: String, count: Int
  ) throws {
    let fileSystem = MemoryFileSystem()
    let path = directory.snapshot(1)
    fileSystem.files[path] = Self.snapshot(sequence: sequence, next: next, rows, count: count)
    do throws(StorageError) {
      _ = try SnapshotReader.read(path, into: JobStore(), fileSystem)
      Issue.record("it was read")
    } catch {
      #expect(error.code == .damaged, "\(error)")
    }
  }

  @Test func `names with numbers that no record has are none of ours`() throws {
    let fileSystem = MemoryFileSystem()
    for digits in ["18446744073709551615", "09223372036854775807", "00000000000000000000"] {
      for name in [
        "snapshot-\(digits).json", "journal-\(digits).jsonl", "journal-\(digits).jsonl.begun",
      ] {
        fileSystem.files["/data/\(name)"] = MemoryFileSystem.Node()
      }
    }
    fileSystem.folders.insert("/data")
    #expect(try directory.contents(fileSystem) == DataDirectory.Contents())
    let (storage, _, report) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(0), fileSystem: fileSystem)
    #expect(report.lastSequence == 0)
    try storage.close(at: .at(1))
    #expect(fileSystem.files.count == 11, "they were touched")
  }
}
