import Glibc
import Multiprocessing

/// The rows of the conformance list that need processes, one a run, by the public interface of the
/// library alone: `ConformanceProgram <start method> <row>`. Prints `ok`, or what is wrong, and then
/// ends with 1.
@main
enum ConformanceProgram {
  /// A row, given the context that it is to hold for.
  typealias Row = @Sendable (Context) throws -> Void

  static let rows: [String: Row] = ProcessRows.all

  static func main() {
    bootstrap(ProcessRows.tasks)
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.count == 2, let method = StartMethod(rawValue: arguments.first!),
      let row = rows[arguments.last!]
    else { fail("usage: ConformanceProgram <start method> <row>") }
    do {
      try setStartMethod(method)
      try row(Context(method))
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
