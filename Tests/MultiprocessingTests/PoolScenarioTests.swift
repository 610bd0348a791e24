import Glibc
import TestSupport
import Testing

/// Runs each scenario of `PoolTestProgram` under each start method in a process of its own. Most
/// are named after the rows of the specification (multiprocessing.md, L1 to L37, and the failures
/// F1 to F15 of its section 3).
@Suite(.serialized) struct PoolScenarioTests {
  static let methods = ["forkserver", "spawn", "fork"]

  static let rows = [
    "L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L12", "L13", "L14", "L15",
    "L16", "L17", "L18", "L19", "L20", "L21", "L22", "L23", "L24", "L25", "L26", "L27", "L28",
    "L29", "L30", "L31", "L32", "L33", "L34", "L35", "L36", "L37",
  ]

  static let failures = [
    "F1", "F2", "F3", "F7", "F9", "F9-killed", "F10", "F11", "F15", "fork-server-killed",
    "inherited",
  ]

  static let others = [
    "chunks", "unknown-task", "broken-argument", "one-way-error", "large", "imap-timeout",
    "imap-errors", "imap-closed", "imap-terminated", "imap-dropped", "imap-feedback",
    "imap-endless-join", "imap-input-waits", "states", "kept-alive",
    "namesake", "namesake-types", "namesake-remade",
    "catch", "catch-outside", "printed-piece", "places", "places-imap", "places-lost",
    "depth", "descriptions", "too-many",
    "first-order", "few-descriptors", "no-thread", "join-in-callback", "terminate-in-callback",
    "channel-busy", "channel-returning", "channel-idle", "channel-replaced", "channel-held",
    "chaos",
  ]

  /// These take five seconds, the grace between SIGTERM and SIGKILL.
  static let slow = ["F8", "stopped"]

  @Test(arguments: methods, rows + failures + others)
  func scenario(_ method: String, _ name: String) throws {
    try run(name, method)
  }

  @Test(
    "the workers of a fork pool have what the program has open",
    arguments: [
      "open-queue", "open-pipe", "open-replaced", "open-state", "open-nested", "open-rest",
    ])
  func bequeathed(_ name: String) throws {
    try run(name, "fork")
  }

  /// Failure 15, as a program that does nothing about it sees it.
  @Test(arguments: methods)
  func `an interrupt ends a program that waits for a result, and all its workers`(
    _ method: String
  ) throws {
    let run = try TestProgram("PoolTestProgram", [method, "waiting"])
    #expect(run.read(within: 20) { $0.contains("waiting\n") } != nil)
    kill(-run.process, SIGINT)  // As a terminal does it: to the group.
    #expect(run.readToEnd(within: 1) != nil, "something lives on")
    #expect(run.wait() == SIGINT)
  }

  @Test(arguments: slow)
  func ladder(_ name: String) throws {
    try run(name, "forkserver")
  }

  /// Row F12.
  @Test(arguments: methods)
  func `a program that is killed leaves no worker behind, within one second`(
    _ method: String
  ) throws {
    let run = try TestProgram("PoolTestProgram", [method, "victim"])
    #expect(run.read(within: 20) == "holding\n")
    kill(run.process, SIGKILL)
    #expect(run.readToEnd(within: 1) != nil, "something lives on")
    #expect(run.wait() == SIGKILL)
    #expect(run.remains() == [])
  }

  /// The pipe ends when the last process that holds it is gone: no worker outlives the program.
  private func run(_ name: String, _ method: String) throws {
    let run = try TestProgram("PoolTestProgram", [method, name])
    let output = run.readToEnd(within: 60)
    #expect(output?.hasSuffix("ok\n") == true, "\(output ?? "it did not end in time")")
    #expect(run.wait() == 0)
    #expect(run.remains() == [])
  }
}
