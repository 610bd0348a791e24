import Glibc
import Multiprocessing
import TestSupport

/// The rows of the conformance list that need processes, one a run, by the public interface of the
/// library alone: `ConformanceProgram <start method> <row>`. Prints `ok`, or what is wrong, and
/// then ends with 1.
@main
enum ConformanceProgram {
  /// A row, given the context that it is to hold for.
  typealias Row = @Sendable (Context) throws -> Void

  static let rows = [
    ProcessRows.all, StartMethodRows.all, EndRows.all, EndRows.withChildren, SharedRows.all,
    ExchangeRows.all,
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
    if arguments[1] != "T11" { bootstrap(tasks, preload: ProcessTasks.preload) }
    do {
      if arguments[1] != "T9" { try setStartMethod(method) }
      // What the library makes once and keeps, it shall have made by now.
      if arguments[1] != "T11", arguments[1] != "closed-within" {
        let isOfAll = ["T1", "T2", "T7"].contains(arguments[1])
        for each in isOfAll ? allStartMethods() : [method] {
          let first = Process(ProcessTasks.leave, 0, name: "first", context: Context(each))
          try first.start()
          try first.join()
        }
      }
      let before = Resources.now()
      try row(Context(method))
      // Those have children to the end of main and beyond it: their tests see to these.
      if EndRows.withChildren[arguments[1]] == nil, BadStartRows.alone[arguments[1]] == nil {
        check(Resources.now(), equals: before)
      }
      print("ok")
    } catch {
      fail("\(type(of: error)): \(error)")
    }
  }
}

/// Ends the program unless an error of this code comes.
func check<Failure: Error, Value>(
  _ body: @autoclosure () throws -> Value, throws isExpected: (Failure) -> Bool,
  file: StaticString = #fileID, line: Int = #line
) {
  do {
    _ = try body()
    fail("no error", line: line, file: file)
  } catch let error as Failure where isExpected(error) {
  } catch {
    fail("another error: \(error)", line: line, file: file)
  }
}
