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
    // The test runner's descriptors, the pipes of tests that run meanwhile among them.
    for descriptor in openDescriptors() where descriptor > 2 { close(Int32(descriptor)) }
    try setStartMethod(method)
    try scenario()
    if !["L25", "L31", "kept-alive", "imap-input-waits", "depth"].contains(arguments[1]) {
      check(openDescriptors(), equals: [0, 1, 2])
      check(waitpid(-1, nil, WNOHANG), equals: -1)
    }
    print("ok")
  }

  static let scenarios: [String: @Sendable () throws -> Void] =
    CallScenarios.all
    .merging(StreamScenarios.all) { first, _ in first }
    .merging(LifeScenarios.all) { first, _ in first }
    .merging(FailureScenarios.all) { first, _ in first }
    .merging(NamesakeScenarios.all) { first, _ in first }
    .merging(CatchScenarios.all) { first, _ in first }
    .merging(PrintScenarios.all) { first, _ in first }
    .merging(TextScenarios.all) { first, _ in first }
    .merging(ChaosScenarios.all) { first, _ in first }
}

/// Ends the scenario.
func fail(_ message: String, line: Int = #line, file: StaticString = #fileID) -> Never {
  print("failed at \(file):\(line): \(message)")
  fflush(nil)
  _exit(1)
}

/// Ends the scenario unless `condition` holds.
func check(
  _ condition: Bool, _ message: @autoclosure () -> String = "it is false", line: Int = #line,
  file: StaticString = #fileID
) {
  if !condition { fail(message(), line: line, file: file) }
}

/// Ends the scenario unless both are equal.
func check<Value: Equatable>(
  _ value: Value, equals wanted: Value, line: Int = #line, file: StaticString = #fileID
) {
  if value != wanted { fail("\(value) instead of \(wanted)", line: line, file: file) }
}

/// Seconds of the monotonic clock.
func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The numbers of the open descriptors of this process, without the one that reads them.
func openDescriptors() -> [Int] {
  guard let folder = opendir("/proc/self/fd") else { return [] }
  defer { closedir(folder) }
  var numbers: [Int] = []
  while let entry = readdir(folder) {
    let name = withUnsafeBytes(of: entry.pointee.d_name) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    if let number = Int(name), number != Int(dirfd(folder)) { numbers.append(number) }
  }
  return numbers.sorted()
}
