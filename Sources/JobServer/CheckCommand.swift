import ArgumentParser
import Glibc
import JobCore
import JobStorage

/// `lido check`: what a start would make of a data folder.
struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Say whether a data folder is whole, and what a start would make of it.",
    discussion: """
      Reads every file of the folder with the code that recovers it at a start, and changes nothing.

      Exit status:
        0  every checksum holds
        1  'lido serve' starts, but something is damaged that it drops or does not need, such as a \
      torn tail: what was being written when the power went, and was never known to be on the disk \
      (a note says how many whole records stand behind a hole; 'lido serve' keeps a copy of those)
        2  'lido serve' refuses to start: what was acknowledged is damaged or missing
        3  there is nothing to check, or it cannot be read
      """)

  @Argument(help: DataFolder.help) var directory: String

  func run() throws {
    let path = DataFolder.normalised(directory)
    if let holder = FolderHolder.name(of: path) {
      print("\(holder) uses the folder: what it is writing just now may look torn")
    }
    let check: FolderCheck
    do throws(StorageError) {
      check = try FolderCheck(of: path)
    } catch {
      ServiceProgram.tell("Error: \(error)\n")
      throw ExitCode(3)
    }
    guard !check.files.isEmpty else {
      ServiceProgram.tell(
        """
        Error: \(path): there is no journal and no snapshot; '\(ServiceProgram.name) serve' would \
        begin anew here

        """)
      throw ExitCode(3)
    }
    for line in CheckReport.lines(of: check) { print(line) }
    switch check.verdict {
    case .whole: return
    case .blemished: throw ExitCode(1)
    case .refused: throw ExitCode(2)
    }
  }
}

/// What `lido check` prints.
enum CheckReport {
  /// A line a file, then what a start would do.
  static func lines(of check: FolderCheck) -> [String] {
    var lines = check.files.map { file in
      let verdict = file.fault == nil ? "whole" : file.isTorn ? "torn" : "damaged"
      return "\(verdict): \(file.fault.map { "\($0)" } ?? file.path)"
        + " (\(file.content); \(file.size) bytes)"
    }
    lines += check.unfinished.map { "\($0): never finished; the next start removes it" }
    switch check.recovery {
    case .success(let recovery):
      let report = recovery.report
      lines += report.notes.map { "note: \($0)" }
      lines.append(
        "'\(ServiceProgram.name) serve' would start with \(report.jobs) jobs, "
          + "\(recovery.store.openCount) of them open, from \(origin(of: report))")
    case .failure(let error):
      lines.append("'\(ServiceProgram.name) serve' would refuse to start: \(error)")
    }
    return lines
  }

  private static func origin(of report: RecoveryReport) -> String {
    let records = "\(report.recordsReplayed) records of the journal"
    return report.snapshotSequence == 0
      ? records : "the snapshot of record \(report.snapshotSequence) and \(records) after it"
  }
}

/// A data folder that is named on the command line.
enum DataFolder {
  static let help = ArgumentHelp(
    "The data folder, as given to 'lido serve --data'.", valueName: "dir")

  /// Without slashes at its end.
  static func normalised(_ path: String) -> String {
    var path = path
    while path.count > 1, path.last == "/" { path.removeLast() }
    return path
  }
}
