import Glibc
import JobCore
import JobStorage

@testable import JobServer
@testable import Multiprocessing

/// A fork server whose only child is the compactor, which it runs on the simulated disk; it is lost
/// and replaced by plan.
final class SimulatedForkServer: ForkServerDriver {
  /// The compactor between its start and its end.
  private struct Compactor {
    let token: ProcessToken
    let sequence: UInt64
    let directory: String
  }

  private let disk: SimulatedDisk
  private let chance: Chance
  private let note: (String) -> Void
  private var lastToken: UInt64 = 0
  private var events: [ForkServerEvent] = []
  private var compactor: Compactor?
  private var isLost = false
  /// How often a replacement still fails.
  var replacementsToFail = 0
  /// What the next compactor meets.
  var compactorCallsToLive: Int?
  var compactorFault: SimulatedFileSystem.Fault?
  var refusesStart = false

  var process: Int32 { 1_000 }
  var fileDescriptor: Int32 { -1 }
  var nextDeadline: UInt64? { nil }

  init(_ disk: SimulatedDisk, _ chance: Chance, note: @escaping (String) -> Void) {
    self.disk = disk
    self.chance = chance
    self.note = note
  }

  /// Whether there is something to drain.
  var hasNews: Bool { !events.isEmpty }
  /// Whether a compactor is at work.
  var isCompacting: Bool { compactor != nil }

  func startProcess(_ specification: ProcessSpecification) throws -> ProcessToken {
    guard case .fork(let entry) = specification.program else {
      preconditionFailure("only the compactor is started")
    }
    lastToken += 1
    let token = ProcessToken(rawValue: lastToken)
    if isLost { throw StartFailure(stage: .forkServerLost, errorNumber: ECONNRESET) }
    if refusesStart {
      refusesStart = false
      note("compactor not started")
      events.append(
        .startFailed(token: token, failure: StartFailure(stage: .fork, errorNumber: EAGAIN)))
      return token
    }
    let parts = String(decoding: entry.payload, as: UTF8.self)
      .split(separator: "\n", maxSplits: 2).map(String.init)
    guard parts.count == 3, let sequence = UInt64(parts[0]) else {
      preconditionFailure("the compactor is told nonsense")
    }
    compactor = Compactor(token: token, sequence: sequence, directory: parts[2])
    events.append(.started(token: token, process: 2_000, sentinel: -1))
    return token
  }

  /// The compactor does its work, all of it or up to its death, and its end is told.
  func compact(at timestamp: Timestamp) {
    guard let compactor = compactor.take() else { return }
    let fileSystem = SimulatedFileSystem(disk, chance) { [note] in note("compactor \($0)") }
    fileSystem.callsToLive = compactorCallsToLive.take()
    fileSystem.fault = compactorFault.take()
    var status = ExitStatus.exited(0)
    do throws(StorageError) {
      _ = try Compaction.run(
        compactor.directory, through: compactor.sequence, at: timestamp, fileSystem: fileSystem)
      note("snapshot")
    } catch {
      status = fileSystem.isDead ? .signalled(SIGKILL) : .exited(70)
      note(fileSystem.isDead ? "compactor killed" : "compactor failed: \(error.code)")
    }
    let use = ResourceUse(cpuMicroseconds: 5_000)
    events.append(.exited(token: compactor.token, status: status, use: use))
  }

  /// The fork server dies, and the compactor with it.
  func lose() {
    guard !isLost else { return }
    isLost = true
    note("fork server lost")
    events.append(.lost)
    if let compactor = compactor.take() {
      events.append(
        .exited(token: compactor.token, status: .signalled(SIGKILL), use: ResourceUse()))
    }
  }

  func drain(into report: inout [ForkServerEvent]) {
    report += events
    events.removeAll()
  }

  func replace() throws(SystemCallError) {
    precondition(isLost, "only a lost fork server is replaced")
    guard replacementsToFail == 0 else {
      replacementsToFail -= 1
      note("fork server not replaced")
      throw SystemCallError("fork", number: EAGAIN)
    }
    isLost = false
  }

  func timePassed(at now: UInt64) -> Bool { false }
  func isLookDue(at now: UInt64) -> Bool { false }
}
