import Glibc
import TestSupport
import Testing

/// Runs each scenario of `ProcessTestProgram` in a process of its own.
@Suite(.serialized) struct ProcessScenarioTests {
  @Test(arguments: [
    "calls-in-order", "deaths", "arguments", "large-values", "ladder", "end-prefetched", "recall",
    "spawn", "fork-refused", "maxtasksperchild", "initializer-fails", "initializer-runs",
    "garbage", "hundred-workers", "descriptors", "resize", "fork-server-killed",
    "fork-server-signals", "exec", "exec-fails", "large-request", "fork-payload", "slow-client",
    "group-dies", "chaos", "closed-stdio", "end", "hello-first", "signalled-at-once",
    "stopped-for-a-while", "stopped-for-good", "stopped-at-the-end", "strays-apart", "stray-chain",
    "stray-late",
    "leftover", "refused-while-waiting", "channel-busy", "channel-returning", "channel-idle",
    "channel-full", "channel-replaced", "channel-held", "no-room-above-standard",
    "channel-backward", "batch", "channel-urgent", "channel-hurried",
  ])
  func scenario(_ name: String) throws {
    let run = try TestProgram(name)
    let output = run.readToEnd(within: 90)
    #expect(output?.hasSuffix("ok\n") == true, "\(output ?? "it did not end in time")")
    #expect(run.wait() == 0)
  }

  /// Everything below the server holds its stdout: the fork server, the workers, and a grandchild
  /// in a session of its own. So the pipe ends when the last of them is gone.
  @Test func `a server that is killed leaves nothing behind, within one second`() throws {
    let run = try TestProgram("victim")
    var said = ""
    while !(said.contains("started\n") && said.contains("stubborn\n")) {
      let piece = run.read(within: 10)
      try #require(piece != nil && piece != "", "it said only: \(said)")
      said += piece!
    }
    kill(run.process, SIGKILL)
    #expect(run.readToEnd(within: 1) != nil, "something lives on")
    #expect(run.wait() == SIGKILL)
  }
}
