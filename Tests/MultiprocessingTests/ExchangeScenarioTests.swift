import TestSupport
import Testing

/// Pipes and queues between processes, each scenario in a process of its own. One after the other:
/// they kill at random moments, and want the CPUs for that.
@Suite(.serialized) struct ExchangeScenarioTests {
  @Test(arguments: [
    // C1, C3, the end of the file, several processes at one end.
    "pipe-echo", "pipe-ends", "pipe-crowd", "pipe-killed-writers",
    // C5 to C7 and C14; C15; C16.
    "pipe-transfer", "pipe-waiting", "pipe-interrupted", "pipe-leaks", "pipe-many",
    // Q1, Q2, Q4, Q12; Q3; failures 2 and 12 and "join before drain".
    "queue-both", "queue-forked", "queue-left-behind", "queue-crowd", "queue-memory",
    "queue-no-memory", "queue-killed-producers", "queue-killed-consumers",
    "queue-killed-near-sleepers", "queue-stopped", "queue-death-putting", "queue-death-getting",
    "queue-death-recovering",
  ])
  func scenario(_ name: String) throws {
    let run = try TestProgram(name)
    let output = run.readToEnd(within: 60)
    #expect(output?.hasSuffix("ok\n") == true, "\(output ?? "it did not end in time")")
    #expect(run.wait() == 0)
  }
}
