internal import JobCore

/// What is in a data folder and what a start would make of it: each file for itself, those that
/// recovery does not need included, and then recovery as `JobStorage.open` runs it. Changes
/// nothing.
///
/// On a folder that a server uses, a record that is just being written looks torn, and a file may
/// go while it is looked at.
public struct FolderCheck {
  /// What became of it all, from good to bad.
  public enum Verdict: Sendable {
    /// Every byte is as it was written.
    case whole
    /// A start succeeds, and something is not as it was written: it is dropped or not needed.
    case blemished
    /// A start refuses.
    case refused
  }

  /// A file that the service wrote.
  public struct File: Sendable {
    /// Where it is.
    public let path: String
    /// Its length in bytes.
    public let size: Int
    /// What it holds, for people: "records 1 to 17".
    public let content: String
    /// The first thing in it that is not as it was written.
    public let fault: StorageError?
    /// Whether that is a tail that was never written whole, which a start drops.
    public fileprivate(set) var isTorn = false
  }

  /// The snapshots, newest first, then the segments of the journal, oldest first, those that were
  /// begun last.
  public private(set) var files: [File] = []
  /// Names of files that were never finished, or are not part of the journal, which a start
  /// removes.
  public private(set) var unfinished: [String] = []
  /// What recovery came to: its state and what it did, or why it refuses.
  public let recovery: Result<Recovery, StorageError>

  /// Worst first.
  public var verdict: Verdict {
    guard case .success(let recovery) = recovery else { return .refused }
    let isWhole = recovery.report.notes.isEmpty && files.allSatisfy { $0.fault == nil }
    return isWhole ? .whole : .blemished
  }

  /// Looks at the folder `path`. Keeps one state in memory, of a snapshot or of recovery.
  ///
  /// - Throws: `callFailed` when the folder or a file cannot be read.
  public init(
    of path: String, fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(StorageError) {
    let directory = DataDirectory(path: path)
    let contents = try directory.contents(fileSystem)
    unfinished = contents.temporaries
    for sequence in contents.snapshots {
      files.append(try FolderCheck.snapshot(sequence, directory, fileSystem))
    }
    for first in contents.segments {
      files.append(try SegmentScan.file(first, directory.segment(first), fileSystem))
    }
    for first in contents.begun {
      files.append(try SegmentScan.file(first, directory.begun(first), fileSystem))
    }
    do throws(StorageError) {
      let recovery = try Recovery.read(directory, into: JobStore(), through: nil, fileSystem)
      self.recovery = .success(recovery)
      note(recovery, directory)
    } catch {
      guard error.isAboutContent else { throw error }
      recovery = .failure(error)
    }
  }

  /// What recovery makes of the segments that were not synced.
  private mutating func note(_ recovery: Recovery, _ directory: DataDirectory) {
    for segment in recovery.unsealed where segment.tornBytes > 0 {
      let path =
        segment.isBegun ? directory.begun(segment.first) : directory.segment(segment.first)
      if let index = files.firstIndex(where: { $0.path == path }) { files[index].isTorn = true }
    }
    let leftOut = Set(recovery.leftOut.map(directory.begun))
    files.removeAll { leftOut.contains($0.path) }
    unfinished += leftOut.sorted().map { String($0.dropFirst(directory.path.count + 1)) }
  }

  private static func snapshot(
    _ sequence: UInt64, _ directory: DataDirectory, _ fileSystem: any FileSystem
  ) throws(StorageError) -> File {
    let path = directory.snapshot(sequence)
    let size = try fileSystem.size(path)
    do throws(StorageError) {
      let content = try SnapshotReader.read(path, into: JobStore(), fileSystem)
      let fault = content.sequence == sequence ? nil : misnamed(path, content.sequence)
      return File(
        path: path, size: size,
        content: "\(content.store.count) jobs after record \(content.sequence)", fault: fault)
    } catch {
      guard error.isAboutContent else { throw error }
      return File(path: path, size: size, content: "jobs after record \(sequence)", fault: error)
    }
  }

  private static func misnamed(_ path: String, _ sequence: UInt64) -> StorageError {
    StorageError(
      .damaged, path: path, line: 1,
      reason: "the snapshot is of record \(sequence), not of the one in its name")
  }
}

/// A segment of the journal on its own: its checksums and its sequence numbers. Whether its records
/// fit the state before them is recovery's to say.
private struct SegmentScan {
  private let path: String
  private let first: UInt64
  private var decoder = RecordDecoder()
  private var next: UInt64

  static func file(
    _ first: UInt64, _ path: String, _ fileSystem: any FileSystem
  ) throws(StorageError) -> FolderCheck.File {
    var scan = SegmentScan(first, path)
    let size = try fileSystem.size(scan.path)
    let fault = try scan.fault(fileSystem)
    let content =
      scan.next == first ? "no record yet" : "records \(first) to \(scan.next - 1)"
    return FolderCheck.File(path: scan.path, size: size, content: content, fault: fault)
  }

  private init(_ first: UInt64, _ path: String) {
    self.path = path
    self.first = first
    next = first
  }

  /// The first thing that is wrong.
  private mutating func fault(_ fileSystem: any FileSystem) throws(StorageError) -> StorageError? {
    let lines = try LineReader(path, fileSystem)
    while let line = try lines.next() {
      guard line.isTerminated, RecordCodec.isWhole(line.bytes) else {
        return damaged("the line is not whole: its checksum is wrong", line.number)
      }
      do throws(RecordDecoder.Unreadable) {
        if line.number == 1 {
          let begin = try decoder.header(line.bytes).first
          if begin != first { return damaged("the segment begins with record \(begin)", 1) }
          continue
        }
        let sequence = try decoder.record(line.bytes).sequence
        if sequence != next {
          return damaged("record \(next) should stand here, and \(sequence) does", line.number)
        }
        next += 1
      } catch {
        return StorageError(error, path: path, line: line.number)
      }
    }
    return lines.bytesRead == 0 ? damaged("the segment is empty", 1) : nil
  }

  private func damaged(_ reason: String, _ line: Int) -> StorageError {
    StorageError(.damaged, path: path, line: line, reason: reason)
  }
}

extension StorageError {
  /// Whether the files were read, and do not hold what they must.
  fileprivate var isAboutContent: Bool {
    code == .damaged || code == .gap || code == .unknownVersion
  }
}
