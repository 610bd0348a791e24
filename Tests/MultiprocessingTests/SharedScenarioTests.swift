import TestSupport
import Testing

/// Runs the scenarios of shared state, each in a process of its own. One after the other, as some
/// keep both CPUs busy.
@Suite(.serialized) struct SharedScenarioTests {
  @Test(arguments: [
    "lock-killed", "lock-killed-while-others-wait", "lock-other-ends", "lock-killed-in-a-value",
    "lock-inherited", "lock-counter", "lock-chaos", "shared-values", "shared-arrays",
    "shared-zero-fill", "shared-leaks", "shared-refusals",
  ])
  func scenario(_ name: String) throws {
    let run = try TestProgram(name)
    let output = run.readToEnd(within: 60)
    #expect(output?.hasSuffix("ok\n") == true, "\(output ?? "it did not end in time")")
    #expect(run.wait() == 0)
  }
}
