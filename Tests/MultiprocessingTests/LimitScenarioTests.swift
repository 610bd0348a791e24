import TestSupport
import Testing

/// Runs the scenarios of limits, each in a process of its own. One after the other, as they keep
/// both CPUs busy.
@Suite(.serialized) struct LimitScenarioTests {
  @Test(arguments: [
    "cpu-limit", "memory-limit", "limit-of-descendants", "limit-of-a-worker", "kernel-limits",
    "open-file-limit",
  ])
  func scenario(_ name: String) throws {
    let run = try TestProgram(name)
    let output = run.readToEnd(within: 60)
    #expect(output?.hasSuffix("ok\n") == true, "\(output ?? "it did not end in time")")
    #expect(run.wait() == 0)
  }
}
