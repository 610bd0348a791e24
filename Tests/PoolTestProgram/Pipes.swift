import Glibc
import Multiprocessing
import TestSupport

/// A named pipe that workers write to and the scenario reads.
final class NamedPipe {
  let path: String
  private let descriptor: Int32

  init() {
    path = "/tmp/lido-pool-\(getpid())-\(NamedPipe.next())"
    check(mkfifo(path, 0o600), equals: 0)
    descriptor = open(path, O_RDWR | O_CLOEXEC)
  }

  deinit {
    close(descriptor)
    unlink(path)
  }

  nonisolated(unsafe) private static var count = 0

  private static func next() -> Int {
    count += 1
    return count
  }

  /// Whether nothing was written that was not read.
  var isEmpty: Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 0
  }

  /// The next line, which must come within ten seconds.
  func line(_ number: Int = #line) -> String {
    var line = ""
    while true {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, 10_000) == 1 else { fail("nobody wrote", line: number) }
      var byte: UInt8 = 0
      guard read(descriptor, &byte, 1) == 1 else { fail("no byte", line: number) }
      if byte == UInt8(ascii: "\n") { return line }
      line.append(Character(UnicodeScalar(byte)))
    }
  }
}

/// What `body` and the processes that it starts write to stderr, until all of them are gone.
func errorOutput(_ body: () throws -> Void) rethrows -> String {
  var ends: [Int32] = [0, 0]
  check(pipe(&ends), equals: 0)
  let before = fcntl(2, F_DUPFD_CLOEXEC, 3)
  dup2(ends[1], 2)
  close(ends[1])
  defer {
    close(before)
    close(ends[0])
  }
  do {
    defer { dup2(before, 2) }
    try body()
  }
  var text = ""
  while true {
    var entry = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, 10_000) == 1 else { fail("somebody still holds stderr: \(text)") }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = read(ends[0], &buffer, buffer.count)
    if count <= 0 { return text }
    text += String(decoding: buffer[..<count], as: UTF8.self)
  }
}

/// Ends the scenario unless `body` throws `wanted`.
func expect<Value>(
  _ wanted: PoolError.Code, line: Int = #line, _ body: () throws -> Value
) {
  do {
    let value = try body()
    fail("no error, but \(value)", line: line)
  } catch let error as PoolError {
    check(error.code, equals: wanted, line: line)
  } catch {
    fail("\(error)", line: line)
  }
}

/// The error of a type that `body` must throw.
func thrown<Failure: Error, Value>(
  _: Failure.Type, line: Int = #line, _ body: () throws -> Value
) -> Failure {
  do {
    let value = try body()
    fail("no error, but \(value)", line: line)
  } catch let error as Failure {
    return error
  } catch {
    fail("\(type(of: error)): \(error)", line: line)
  }
}

/// Bytes from one thread of a scenario to another. To be ended, and closed.
struct BytePipe: Sendable {
  private let reading: Int32
  private let writing: Int32

  init() {
    var ends: [Int32] = [0, 0]
    check(pipe(&ends), equals: 0)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (reading, writing) = (ends[0], ends[1])
  }

  /// Writes one byte.
  func say(_ byte: UInt8) {
    check(withUnsafePointer(to: byte) { write(writing, $0, 1) }, equals: 1)
  }

  /// The next byte, for which it waits; nil at the end.
  func hear() -> UInt8? {
    var byte: UInt8 = 0
    return read(reading, &byte, 1) == 1 ? byte : nil
  }

  /// No more is written.
  func end() { close(writing) }

  /// Nobody reads any more.
  func endReading() { close(reading) }
}
