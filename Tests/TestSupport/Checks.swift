import Glibc

/// Ends the program, which is one of the tests', with what is wrong.
public func fail(_ message: String, line: Int = #line, file: StaticString = #fileID) -> Never {
  fflush(nil)
  print("failed at \(file):\(line): \(message)")
  fflush(nil)
  _exit(1)
}

/// Ends the program unless `condition` holds.
public func check(
  _ condition: @autoclosure () throws -> Bool,
  _ message: @autoclosure () -> String = "it is false", line: Int = #line,
  file: StaticString = #fileID
) rethrows {
  if try !condition() { fail(message(), line: line, file: file) }
}

/// Ends the program unless both are equal.
public func check<Value: Equatable>(
  _ value: @autoclosure () throws -> Value, equals wanted: Value, line: Int = #line,
  file: StaticString = #fileID
) rethrows {
  let value = try value()
  if value != wanted { fail("\(value) instead of \(wanted)", line: line, file: file) }
}

/// Seconds of the monotonic clock.
public func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
