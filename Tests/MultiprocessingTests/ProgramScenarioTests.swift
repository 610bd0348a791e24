import TestSupport
import Testing

/// Runs each scenario of `ProcessTestProgram` about pools of programs in a process of its own.
@Suite(.serialized) struct ProgramScenarioTests {
  @Test(arguments: [
    "program-gets", "program-failing", "program-inputs", "program-outputs", "program-follows",
    "program-failures", "program-no-descriptors", "program-leaks", "program-ladder",
    "program-at-once", "program-grandchildren", "program-folders",
    "program-folders-unprivileged", "program-leftovers", "program-fork-server-lost",
    "program-pool-ends", "program-chaos",
  ])
  func scenario(_ name: String) throws {
    let run = try TestProgram(name)
    let output = run.readToEnd(within: 90)
    #expect(output?.hasSuffix("ok\n") == true, "\(output ?? "it did not end in time")")
    #expect(run.wait() == 0)
  }
}
