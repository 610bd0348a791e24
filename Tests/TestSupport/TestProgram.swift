internal import CPlatform
import Glibc

/// A run of `ProcessTestProgram`, or another of the tests' programs, in a process group of its own,
/// with its stdout and stderr in one pipe.
public final class TestProgram {
  /// Its process id.
  public let process: Int32
  private let output: Int32
  /// A variable of its environment, and of what it starts: `NAME=value`.
  private let mark: String
  private var hasEnded = false

  /// The program is not there, or the system refuses.
  public struct CannotStart: Error {
    /// Where it was looked for.
    public var path: String
    /// The `errno`.
    public var number: Int32
  }

  /// Starts a scenario of `ProcessTestProgram`.
  public convenience init(_ scenario: String) throws {
    try self.init("ProcessTestProgram", [scenario])
  }

  /// Starts a program that is built beside the tests, with arguments.
  public init(_ program: String, _ names: [String]) throws {
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
    mark = "LIDO_TEST_PROGRAM=\(getpid()).\(UInt64.random(in: 0...UInt64.max))"
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    var arguments = ([path] + names).map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = []
    while let variable = environ[variables.count] { variables.append(strdup(variable)) }
    variables += [strdup(mark), nil]
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    // The runner's threads block nearly every signal.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
    var process: Int32 = 0
    let failure = posix_spawn(&process, path, &actions, &attributes, &arguments, &variables)
    posix_spawnattr_destroy(&attributes)
    posix_spawn_file_actions_destroy(&actions)
    for string in arguments + variables { free(string) }
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
  public func read(within seconds: Int) -> String? {
    var set = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    guard poll(&set, 1, Int32(seconds * 1000)) == 1 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = Glibc.read(output, &buffer, buffer.count)
    return String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
  }

  /// All that comes until it is enough; nil if that takes too long, or nobody can write any more.
  public func read(within seconds: Int, until isEnough: (String) -> Bool) -> String? {
    var all = ""
    let deadline = time(nil) + seconds
    while !isEnough(all) {
      guard let piece = read(within: max(deadline - time(nil), 1)), !piece.isEmpty,
        time(nil) <= deadline
      else { return nil }
      all += piece
    }
    return all
  }

  /// All that comes until nobody can write any more; nil if that takes too long.
  public func readToEnd(within seconds: Int) -> String? {
    var all = ""
    let deadline = time(nil) + seconds
    while true {
      guard let piece = read(within: max(deadline - time(nil), 1)) else { return nil }
      if piece.isEmpty { return all }
      if time(nil) > deadline { return nil }
      all += piece
    }
  }

  /// Processes that it has started, or those have, and that are still there after its end: they
  /// have some time to go. What runs in a cleared environment is not found.
  public func remains(within seconds: Double = 5) -> [Int32] {
    let end = now() + seconds
    while true {
      let found = ProcessFiles.all.filter { ProcessFiles.environment(of: $0).contains(mark[...]) }
      guard let first = found.first else { return [] }
      let sentinel = pidfd_open(first, 0)
      guard sentinel >= 0 else { continue }
      var entry = pollfd(fd: sentinel, events: Int16(POLLIN), revents: 0)
      let ended = poll(&entry, 1, Int32(max(0, end - now()) * 1_000))
      close(sentinel)
      if ended == 0 { return found }
    }
  }

  /// The wait status.
  public func wait() -> Int32 {
    var status: Int32 = -1
    waitpid(process, &status, 0)
    hasEnded = true
    return status
  }
}
