import CPlatform
import Glibc

/// A run of a test program, with its stdout and stderr in one pipe.
final class TestProgram {
  let process: Int32
  private let output: Int32
  private var hasEnded = false

  struct CannotStart: Error {
    var path: String
    var number: Int32
  }

  /// Runs a scenario of `ProcessTestProgram`.
  convenience init(_ scenario: String) throws {
    try self.init("ProcessTestProgram", [scenario])
  }

  /// Runs one of the test programs.
  init(_ program: String, _ given: [String]) throws {
    // The test bundle and the program lie in the same folder, whatever runs the bundle.
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    let path =
      (bundle ?? CommandLine.arguments[0]).split(
        separator: "/", omittingEmptySubsequences: false
      ).dropLast().joined(separator: "/") + "/\(program)"
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw CannotStart(path: path, number: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    output = ends[0]
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    var arguments: [UnsafeMutablePointer<CChar>?] = ([path] + given).map { strdup($0) }
    arguments.append(nil)
    var process: Int32 = 0
    let failure = posix_spawn(&process, path, &actions, nil, &arguments, environ)
    posix_spawn_file_actions_destroy(&actions)
    for argument in arguments { free(argument) }
    close(ends[1])
    self.process = process
    guard failure == 0 else { throw CannotStart(path: path, number: failure) }
  }

  deinit {
    if !hasEnded && process > 0 {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    close(output)
  }

  /// What comes next; empty when all writers are gone, nil when nothing came in time.
  func read(within seconds: Int) -> String? {
    var set = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    guard poll(&set, 1, Int32(seconds * 1000)) == 1 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = Glibc.read(output, &buffer, buffer.count)
    return String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
  }

  /// All that comes until nobody can write any more; nil if that takes too long.
  func readToEnd(within seconds: Int) -> String? {
    var all = ""
    let deadline = time(nil) + seconds
    while true {
      guard let piece = read(within: max(deadline - time(nil), 1)) else { return nil }
      if piece.isEmpty { return all }
      if time(nil) > deadline { return nil }
      all += piece
    }
  }

  /// The wait status.
  func wait() -> Int32 {
    var status: Int32 = -1
    waitpid(process, &status, 0)
    hasEnded = true
    return status
  }
}
