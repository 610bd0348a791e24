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
      Recovers the folder as 'lido serve' does at its start, writes the state, and removes what of \
      the journal is no longer needed. For a copy that is small, or a start that is quick.

      Exit status: 0, or 1 with the reason; the folder is then as fit to start from as it was.
      """)

  @Argument(help: DataFolder.help) var directory: String

  func run() throws {
    let moment = Moment(
      instant: Instant(nanoseconds: SystemClock.monotonicNanoseconds),
      timestamp: SystemClock.wallMilliseconds)
    do throws(StorageError) {
      let report = try OfflineSnapshot.make(
        of: DataFolder.normalised(directory), processID: getpid(), at: moment)
      for note in report.notes { print("note: \(note)") }
      print(
        report.sequence == 0
          ? "there has never been a record: nothing to write"
          : "\(report.jobs) jobs after record \(report.sequence), \(report.bytes) bytes")
    } catch {
      ServiceProgram.tell("Error: \(error)\n")
      throw ExitCode.failure
    }
  }
}
