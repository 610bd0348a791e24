import Glibc
import Multiprocessing

/// The rows of the conformance list that need processes, one a run, by the public interface of the
/// library alone: `ConformanceProgram <start method> <row>`. Prints `ok`, or what is wrong, and
/// then ends with 1.
@main
enum ConformanceProgram {
  /// A row, given the context that it is to hold for.
  typealias Row = @Sendable (Context) throws -> Void

  static let rows = [
    ProcessRows.all, StartMethodRows.all, EndRows.all, SharedRows.all, ExchangeRows.all,
    TreeRows.all, Measures.all, BadStartRows.all, BadStartRows.alone,
    BadStartRows.early,
  ]
  .reduce(into: [String: Row]()) { rows, more in rows.merge(more) { first, _ in first } }

  private static let tasks =
    ProcessTasks.all + SharedRows.tasks + ExchangeRows.tasks + TreeRows.tasks

  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 2, let method = StartMethod(rawValue: arguments[0]),
      let row = rows[arguments[1]]
    else { fail("usage: ConformanceProgram <start method> <row>") }
    if let early = BadStartRows.early[arguments[1]] {
      try? early(Context(method))
      fail("bootstrap returned")
    }
    if arguments[1] != "T11" { bootstrap(tasks) { ProcessTasks.preloadedBy = getpid() } }
    do {
      if arguments[1] != "T9" { try setStartMethod(method) }
      // What the library makes once and keeps, it shall have made by now.
      if arguments[1] != "T11", arguments[1] != "closed-within" {
        let first = Process(ProcessTasks.leave, 0, name: "first", context: Context(method))
        try first.start()
        try first.join()
      }
      let before = Resources.now()
      try row(Context(method))
      if EndRows.all[arguments[1]] == nil, BadStartRows.alone[arguments[1]] == nil,
        arguments[1] != "T1", arguments[1] != "T7"
      {
        try check(Resources.now(), equals: before)
      }
      print("ok")
    } catch {
      fail("\(type(of: error)): \(error)")
    }
  }
}

/// Ends the program unless the two are equal.
func check<Value: Equatable>(
  _ value: @autoclosure () throws -> Value, equals expected: Value, file: StaticString = #file,
  line: UInt = #line
) throws {
  let value = try value()
  if value != expected { fail("\(value) is not \(expected)", file, line) }
}

/// Ends the program unless it is so.
func check(
  _ condition: @autoclosure () throws -> Bool, _ text: String, file: StaticString = #file,
  line: UInt = #line
) throws {
  if try !condition() { fail(text, file, line) }
}

/// Ends the program unless an error of this code comes.
func check<Failure: Error, Value>(
  _ body: @autoclosure () throws -> Value, throws isExpected: (Failure) -> Bool,
  file: StaticString = #file, line: UInt = #line
) {
  do {
    _ = try body()
    fail("no error", file, line)
  } catch let error as Failure where isExpected(error) {
  } catch {
    fail("another error: \(error)", file, line)
  }
}

/// Ends the program.
func fail(_ text: String, _ file: StaticString = #file, _ line: UInt = #line) -> Never {
  fflush(nil)
  print("\(file):\(line): \(text)")
  exit(1)
}
