import Glibc
import Multiprocessing
import TestSupport

/// A program as a user of the library writes it: `bootstrap`, then what the arguments name, a start
/// method and a scenario. Prints "ok" at the end, or what went wrong and exits with 1.
@main
enum PoolTestProgram {
  static func main() throws {
    bootstrap(Tasks.all)
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count >= 2, let method = StartMethod(rawValue: arguments[0]),
      let scenario = scenarios[arguments[1]]
    else { fail("no scenario \(arguments)") }
    // The test runner's descriptors, the pipes of tests that run meanwhile among them.
    for descriptor in ProcessFiles.openDescriptors where descriptor > 2 { close(Int32(descriptor)) }
    try setStartMethod(method)
    // What the library makes once and keeps, it shall have made by now.
    if let kept = ["L34": method, "depth": .spawn][arguments[1]] {
      let first = Process(Tasks.nothing, context: Context(kept))
      try first.start()
      try first.join()
    }
    let before = Resources.now()
    try scenario()
    // The pools of these end some time after they were dropped, or with the program.
    if !["L25", "L31", "kept-alive", "imap-input-waits"].contains(arguments[1]) {
      check(Resources.now(), equals: before)
    }
    print("ok")
  }

  static let scenarios: [String: @Sendable () throws -> Void] =
    CallScenarios.all
    .merging(StreamScenarios.all) { first, _ in first }
    .merging(LifeScenarios.all) { first, _ in first }
    .merging(FailureScenarios.all) { first, _ in first }
    .merging(ChannelScenarios.all) { first, _ in first }
    .merging(NamesakeScenarios.all) { first, _ in first }
    .merging(CatchScenarios.all) { first, _ in first }
    .merging(PrintScenarios.all) { first, _ in first }
    .merging(TextScenarios.all) { first, _ in first }
    .merging(ChaosScenarios.all) { first, _ in first }
    .merging(OpenScenarios.all) { first, _ in first }
    .merging(ScarcityScenarios.all) { first, _ in first }
}
