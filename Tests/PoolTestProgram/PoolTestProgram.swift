import Glibc
import Multiprocessing

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
    try setStartMethod(method)
    try scenario()
    print("ok")
  }

  static let scenarios: [String: @Sendable () throws -> Void] = [
    "calls": CallScenarios.calls,
    "measure": MeasureScenarios.measure,
  ]
}

/// Ends the scenario.
func fail(_ message: String, line: Int = #line) -> Never {
  print("failed at line \(line): \(message)")
  exit(1)
}

/// Ends the scenario unless `condition` holds.
func check(_ condition: Bool, _ message: @autoclosure () -> String = "it is false", line: Int = #line) {
  if !condition { fail(message(), line: line) }
}

/// Ends the scenario unless both are equal.
func check<Value: Equatable>(_ value: Value, equals wanted: Value, line: Int = #line) {
  if value != wanted { fail("\(value) instead of \(wanted)", line: line) }
}

/// Seconds of the monotonic clock.
func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
