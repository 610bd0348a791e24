import ArgumentParser
import Glibc
import JobCore
import JobStorage
import Reactor

/// `lido snapshot`: a compact snapshot of a folder that no server uses.
struct SnapshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot",
    abstract: "Write the state of a data folder as one snapshot; no server may use the folder.",
    discussion: """
      Recovers the folder as 'lido serve' does at its start, writes the state, reads it back, and \
      removes everything older: journal and snapshots. For a small copy, or a start that is \
      quick.

      Exit status: 0, or 1 with the reason: no snapshot was made, or something older could not be \
      removed. The folder is then as fit to start from as it was. 3: there is no data folder, and \
      none was made.
      """)

  @Argument(help: DataFolder.help) var directory: String

  func run() throws {
    let moment = Moment(
      instant: Instant(nanoseconds: SystemClock.monotonicNanoseconds),
      timestamp: SystemClock.wallMilliseconds)
    let report: OfflineSnapshot.Report
    do throws(StorageError) {
      report = try OfflineSnapshot.make(
        of: DataFolder.normalised(directory), processID: getpid(), at: moment)
    } catch {
      ServiceProgram.tell("Error: \(error)\n")
      throw error.code == .absent ? ExitCode(3) : ExitCode.failure
    }
    for note in report.notes { print("note: \(note)") }
    print(
      report.sequence == 0
        ? "there has never been a record: nothing to write"
        : "\(report.jobs) jobs after record \(report.sequence), \(report.bytes) bytes")
    for failure in report.removalFailures { ServiceProgram.tell("Error: \(failure)\n") }
    if !report.removalFailures.isEmpty { throw ExitCode.failure }
  }
}
