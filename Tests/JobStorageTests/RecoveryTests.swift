import JobCore
import Testing

@testable import JobStorage

struct RecoveryTests {
  private let directory = DataDirectory(path: "/data")

  /// A folder with one segment that holds a story, and where each of its lines ends.
  private func journal(_ story: Story) throws -> (MemoryFileSystem, [Int]) {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(0), fileSystem: fileSystem)
    try storage.append(story.records, at: .at(1))
    try storage.close(at: .at(2))
    let bytes = fileSystem.files[directory.segment(1)]!.bytes
    return (fileSystem, bytes.indices.filter { bytes[$0] == UInt8(ascii: "\n") }.map { $0 + 1 })
  }

  private func recover(_ fileSystem: MemoryFileSystem) throws(StorageError) -> Recovery {
    try Recovery.read("/data", fileSystem: fileSystem)
  }

  @Test func `a journal cut at any byte is recovered up to the last whole record`() throws {
    let story = Story(seed: 1, count: 25)
    let (fileSystem, ends) = try journal(story)
    let node = fileSystem.files[directory.segment(1)]!
    let whole = node.bytes
    for cut in 0...whole.count {
      node.bytes = Array(whole[..<cut])
      guard cut >= ends[0] else {
        // The first line was on the disk before the file had its name: this is no torn write.
        #expect(throws: StorageError.self) { try recover(fileSystem) }
        continue
      }
      let recovery = try recover(fileSystem)
      let records = ends.count { $0 <= cut } - 1
      #expect(recovery.store == story.states[records], "cut at \(cut)")
      #expect(recovery.report.lastSequence == UInt64(records))
      #expect(recovery.live?.length == ends[records])
      #expect(recovery.report.tornBytes == cut - ends[records])
      #expect(recovery.report.notes.count == (cut > ends[records] ? 1 : 0))
    }
  }

  @Test(arguments: [0x01, 0x20, 0x80, 0xFF] as [UInt8])
  func `a journal with any byte changed, its last line feed included, stops the start`(
    mask: UInt8
  ) throws {
    let story = Story(seed: 2, count: 12)
    let (fileSystem, ends) = try journal(story)
    let node = fileSystem.files[directory.segment(1)]!
    for index in node.bytes.indices {
      node.bytes[index] ^= mask
      do throws(StorageError) {
        _ = try recover(fileSystem)
        Issue.record("byte \(index) was changed and nobody noticed")
      } catch {
        #expect(error.code == .damaged, "\(error)")
        #expect(error.path == directory.segment(1))
        #expect(error.line == ends.count { $0 <= index } + 1)
      }
      node.bytes[index] ^= mask
    }
  }

  /// What a loss of power leaves of a write is its beginning, or zeros where something was.
  @Test func `the last record is torn by zeros up to the end of a sector, and by none else`() throws
  {
    let args = "[\"" + String(repeating: "x", count: 2_000) + "\"]"
    let submitted = JobSubmitted(
      number: 1, id: JobID("big")!, task: "t", pool: "p", args: args, options: nil, at: 1)
    let fileSystem = MemoryFileSystem()
    let node = segment(1, [.jobSubmitted(submitted)])
    fileSystem.files[directory.segment(1)] = node
    let whole = node.bytes
    let start = try #require(whole.firstIndex(of: UInt8(ascii: "\n"))) + 1
    for (zeros, isTorn) in [
      (512..<1_024, true), (600..<1_024, true), (start..<512, true), (1_536..<whole.count, true),
      (whole.count - 1..<whole.count, true), (512..<1_023, false), (600..<601, false),
      (whole.count - 2..<whole.count - 1, false),
    ] {
      node.bytes = whole
      for index in zeros { node.bytes[index] = 0 }
      do throws(StorageError) {
        let recovery = try recover(fileSystem)
        #expect(isTorn && recovery.report.tornBytes == whole.count - start, "\(zeros)")
        #expect(recovery.report.notes.count == 1 && recovery.report.lastSequence == 0)
      } catch {
        #expect(!isTorn && error.code == .damaged && error.line == 2, "\(zeros): \(error)")
      }
    }
  }

  /// A journal of a story that was appended record by record, each known to be on the disk before
  /// the next if the policy has it so, and where each line ends.
  private func synced(_ story: Story, _ policy: SyncPolicy) throws -> (MemoryFileSystem, [Int]) {
    let fileSystem = MemoryFileSystem()
    let (storage, _, _) = try JobStorage.open(
      "/data", sync: policy, processID: 1, at: .at(0), fileSystem: fileSystem)
    for record in story.records {
      try storage.append([record], at: .at(1))
      try storage.drainSyncs()
    }
    // Dropped without a close, as by a death.
    let bytes = fileSystem.files[directory.segment(1)]!.bytes
    return (fileSystem, bytes.indices.filter { bytes[$0] == UInt8(ascii: "\n") }.map { $0 + 1 })
  }

  @Test(arguments: [.always, .never] as [SyncPolicy])
  func `a sector that is lost from what was not synced is where the journal ends`(
    policy: SyncPolicy
  ) throws {
    let story = Story(seed: 7, count: 60)
    let (fileSystem, ends) = try synced(story, policy)
    let node = fileSystem.files[directory.segment(1)]!
    let whole = node.bytes
    #expect(whole.count > 6 * 512)
    for start in stride(from: 512, to: whole.count, by: 512) {
      let end = min(start + 512, whole.count)
      node.bytes.replaceSubrange(start..<end, with: repeatElement(0, count: end - start))
      let records = ends.count { $0 <= start } - 1
      // Each line tells that the one before it is on the disk: one behind the sector is enough.
      let isSynced = policy == .always && ends.dropLast().contains { $0 >= end }
      do throws(StorageError) {
        let recovery = try recover(fileSystem)
        #expect(!isSynced, "sector at \(start)")
        #expect(recovery.store == story.states[records])
        #expect(recovery.live?.length == ends[records])
        #expect(recovery.report.tornBytes == whole.count - ends[records])
        #expect(recovery.report.notes.count == 1)
      } catch {
        #expect(isSynced && error.code == .damaged && error.line == records + 2, "\(error)")
      }
      node.bytes = whole
    }
    // It goes on from there.
    guard policy == .never else { return }
    node.bytes.replaceSubrange(1_024..<1_536, with: repeatElement(0, count: 512))
    let (storage, _, report) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(3), fileSystem: fileSystem)
    try storage.append(Array(story.records[Int(report.lastSequence)...]), at: .at(4))
    try storage.close(at: .at(5))
    #expect(try recover(fileSystem).store == story.states[60])
  }

  @Test func `what is cut off with whole records behind a hole is kept`() throws {
    let story = Story(seed: 3, count: 60)
    let (fileSystem, ends) = try journal(story)
    let node = fileSystem.files[directory.segment(1)]!
    let start = 512 * (ends[5] / 512 + 1)
    for index in start..<start + 512 { node.bytes[index] = 0 }
    let before = node.bytes
    let records = ends.count { $0 <= start } - 1
    let cut = ends.dropFirst().count { $0 > start + 512 } - 1
    let note = try recover(fileSystem).report.notes.joined()
    #expect(note.contains("with \(cut) whole records behind the hole"), "\(note)")
    let (storage, _, report) = try JobStorage.open(
      "/data", sync: .never, processID: 1, at: .at(3), fileSystem: fileSystem)
    #expect(report.cutRecords == cut && report.recordsReplayed == records && cut > 10)
    try storage.close(at: .at(4))
    let kept = fileSystem.files[directory.segment(1) + ".cut"]?.bytes
    #expect(kept == Array(before[ends[records]...]))
    #expect(try FolderCheck(of: "/data", fileSystem: fileSystem).verdict == .whole)
  }

  @Test func `after a torn tail the next record follows the last whole one`() throws {
    let story = Story(seed: 3, count: 20)
    let (fileSystem, ends) = try journal(story)
    let node = fileSystem.files[directory.segment(1)]!
    node.bytes.removeLast(node.bytes.count - ends[11] + 3)
    let (storage, store, report) = try JobStorage.open(
      "/data", sync: .always, processID: 1, at: .at(3), fileSystem: fileSystem)
    #expect(report.lastSequence == 10 && report.tornBytes > 0)
    #expect(store == story.states[10])
    #expect(node.bytes.count == ends[10])
    try storage.append(Array(story.records[10...]), at: .at(4))
    try storage.close(at: .at(5))
    #expect(try recover(fileSystem).store == story.states[20])
  }

  @Test func `a tail of zeros is torn`() throws {
    let story = Story(seed: 4, count: 5)
    let (fileSystem, _) = try journal(story)
    fileSystem.files[directory.segment(1)]!.bytes += [UInt8](repeating: 0, count: 5_000)
    let recovery = try recover(fileSystem)
    #expect(recovery.store == story.states[5] && recovery.report.tornBytes == 5_000)
  }

  /// Lines of one journal in pieces, to put together wrongly.
  private func lines(
    _ records: ArraySlice<Record>, from sequence: UInt64, synced: UInt64 = 0
  ) -> [UInt8] {
    var encoder = RecordEncoder()
    let records = Array(records)
    for index in records.indices {
      encoder.append(records, at: index, sequence: sequence + UInt64(index), synced: synced)
    }
    return encoder.bytes
  }

  private func segment(
    _ first: UInt64, _ records: ArraySlice<Record>, synced: UInt64 = 0
  ) -> MemoryFileSystem.Node {
    var header = RecordEncoder()
    header.appendHeader(first: first, createdAt: 7)
    let node = MemoryFileSystem.Node()
    node.bytes = header.bytes + lines(records, from: first, synced: synced)
    return node
  }

  private func refusal(_ fileSystem: MemoryFileSystem) -> (StorageError.Code, Int?)? {
    do throws(StorageError) {
      _ = try recover(fileSystem)
      return nil
    } catch {
      return (error.code, error.line)
    }
  }

  @Test func `records that are missing between segments stop the start`() throws {
    let records = Story(seed: 5, count: 30).records
    let fileSystem = MemoryFileSystem()
    fileSystem.files[directory.segment(1)] = segment(1, records[..<10])
    fileSystem.files[directory.segment(11)] = segment(11, records[10..<20])
    fileSystem.files[directory.segment(21)] = segment(21, records[20...])
    #expect(refusal(fileSystem) == nil)
    for gone in [1, 11] as [UInt64] {
      let node = fileSystem.files.removeValue(forKey: directory.segment(gone))
      let (code, _) = try #require(refusal(fileSystem))
      #expect(code == .gap)
      fileSystem.files[directory.segment(gone)] = node
    }
    // A tail that is torn in a segment which is not the last was once whole.
    fileSystem.files[directory.segment(11)]!.bytes.removeLast(3)
    let (code, line) = try #require(refusal(fileSystem))
    #expect(code == .damaged && line == 11)
  }

  @Test(
    arguments: [
      (14, .gap), (11, .damaged), (5, .damaged),
    ] as [(UInt64, StorageError.Code)])
  func `a segment with a name behind one that was only begun stops the start`(
    first: UInt64, code: StorageError.Code
  ) throws {
    let records = Story(seed: 5, count: 20).records
    let fileSystem = MemoryFileSystem()
    fileSystem.files[directory.begun(1)] = segment(1, records[..<10])
    #expect(refusal(fileSystem) == nil)
    fileSystem.files[directory.segment(first)] = segment(first, records[(Int(first) - 1)...])
    #expect(try #require(refusal(fileSystem)) == (code, nil))
  }

  @Test func `a segment that was begun behind one that has gone stops the start`() throws {
    let fileSystem = MemoryFileSystem()
    fileSystem.files[directory.begun(11)] = segment(11, Story(seed: 5, count: 20).records[10...])
    #expect(try #require(refusal(fileSystem)) == (.gap, nil))
  }

  /// Records 1 to 10 and from 12 on; the latter tell that those up to `synced` were on the disk.
  @Test(arguments: [0, 10, 11, 12] as [UInt64])
  func `a segment that was begun is left out, unless it tells that what is missing was there`(
    synced: UInt64
  ) throws {
    let records = Story(seed: 5, count: 20).records
    let fileSystem = MemoryFileSystem()
    fileSystem.folders = ["/data"]
    fileSystem.files[directory.segment(1)] = segment(1, records[..<10])
    fileSystem.files[directory.begun(12)] = segment(12, records[11...], synced: synced)
    if synced > 10 {
      #expect(throws: StorageError.self) { try recover(fileSystem) }
    } else {
      #expect(try recover(fileSystem).leftOut == [12])
    }
  }

  @Test func `a line in the wrong place stops the start`() throws {
    let records = Story(seed: 6, count: 10).records
    let fileSystem = MemoryFileSystem()
    let node = segment(1, records[..<5])
    fileSystem.files[directory.segment(1)] = node
    node.bytes += lines(records[6...], from: 7)
    #expect(try #require(refusal(fileSystem)) == (.gap, 7))
  }

  @Test func `a record that does not fit stops the start`() throws {
    let fileSystem = MemoryFileSystem()
    fileSystem.files[directory.segment(1)] = segment(1, [.jobQueued(5)])
    #expect(try #require(refusal(fileSystem)) == (.damaged, 2))
  }

  @Test func `a segment of another version, or with another name, stops the start`() throws {
    let fileSystem = MemoryFileSystem()
    let node = segment(1, [])
    fileSystem.files[directory.segment(2)] = node
    fileSystem.files[directory.segment(1)] = segment(1, Story(seed: 1, count: 1).records[...])
    #expect(try #require(refusal(fileSystem)) == (.damaged, 1))

    fileSystem.files[directory.segment(2)] = nil
    fileSystem.files[directory.segment(1)] = node
    let content = #""journal":4,"first":"x"}"#
    let checksum = Array(content.utf8).withUnsafeBytes { Checksum(of: $0).value }
    var digits = [UInt8](repeating: 0, count: 8)
    digits.withUnsafeMutableBytes { RecordCodec.write(checksum, to: $0.baseAddress!) }
    node.bytes = Array("{\"crc\":\"".utf8) + digits + Array("\",\(content)\n".utf8)
    #expect(try #require(refusal(fileSystem)) == (.unknownVersion, 1))
    do throws(StorageError) {
      _ = try recover(fileSystem)
    } catch {
      #expect(error.description.contains("version 4"))
    }
  }

  @Test func `every case is in exactly one row of the tables`() {
    for content in RecoveryTable.Content.allCases {
      for reach in RecoveryTable.Reach.allCases {
        for rank in RecoveryTable.Rank.allCases {
          let rows = RecoveryTable.starts.count {
            $0.0 == content && $0.1 ?? reach == reach && $0.2 ?? rank == rank
          }
          #expect(rows == 1, "\(content), \(reach), \(rank)")
        }
      }
    }
    for fault in RecoveryTable.LineFault.allCases {
      for place in RecoveryTable.Place.allCases {
        for rest in RecoveryTable.Rest.allCases {
          let rows = RecoveryTable.lines.count {
            $0.0 == fault && $0.1 ?? place == place && $0.2 ?? rest == rest
          }
          #expect(rows == 1, "\(fault), \(place), \(rest)")
        }
      }
    }
    for content in RecoveryTable.Begun.allCases {
      for joint in RecoveryTable.Joint.allCases {
        let rows = RecoveryTable.begun.count { $0.0 == content && $0.1 ?? joint == joint }
        #expect(rows == 1, "\(content), \(joint)")
      }
    }
    for joint in RecoveryTable.Joint.allCases {
      #expect(RecoveryTable.unread.count { $0.0 == joint } == 1, "\(joint)")
    }
  }

  @Test func `lines longer than any buffer are read whole`() throws {
    let text = "[\"" + String(repeating: "x", count: 5 << 20) + "\"]"
    let id = JobID("big")!
    let record = Record.jobSubmitted(
      JobSubmitted(
        number: 1, id: id, task: "t", pool: "p", args: text, options: nil, at: 1))
    let fileSystem = MemoryFileSystem()
    fileSystem.files[directory.segment(1)] = segment(1, [record, .jobEnded(1, .cancelled, at: 2)])
    let recovery = try recover(fileSystem)
    #expect(recovery.store[1]?.args == text && recovery.store[1]?.state == .cancelled)
  }
}
