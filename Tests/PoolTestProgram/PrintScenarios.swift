import Glibc
import Multiprocessing
import TestSupport

/// What tasks print.
enum PrintScenarios {
  static let all: [String: @Sendable () throws -> Void] = ["printed-piece": printedPiece]

  static let dot = TaskDefinition<Int, Int>("dot") { number in
    print(".", terminator: "")
    return number
  }
  static let dotFirst = TaskDefinition<NoArgument, NoResult>("dotFirst") { _ in
    print("(", terminator: "")
    return NoResult()
  }

  static let registered: [any RegistrableTask] = [dot, dotFirst]

  /// A piece of a line is there, before the workers are terminated, when its result is.
  static func printedPiece() throws {
    let text = try output {
      let pool = try Pool(processes: 2, initializer: dotFirst)
      try check(try pool.map(dot, 0..<20, chunkSize: 1).count, equals: 20)
      try check(try pool.apply(dot, 1), equals: 1)
      pool.terminate()
      try pool.join()
    }
    check(text.filter { $0 == "." }.count, equals: 21)
    check(text.contains("("), text)
  }

  /// What `body` and what it starts write to stdout, until all of them are gone.
  private static func output(_ body: () throws -> Void) rethrows -> String {
    var ends: [Int32] = [0, 0]
    check(pipe(&ends), equals: 0)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    fflush(nil)
    let before = fcntl(1, F_DUPFD_CLOEXEC, 3)
    dup2(ends[1], 1)
    close(ends[1])
    defer {
      close(before)
      close(ends[0])
    }
    do {
      defer { dup2(before, 1) }
      try body()
    }
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(ends[0], &buffer, buffer.count)
      if count <= 0 { return text }
      text += String(decoding: buffer[..<count], as: UTF8.self)
    }
  }
}
