import CPlatform
import Glibc
import Testing

@testable import Multiprocessing

/// A shell that runs a script, with descriptors 0, 1 and 3 a socket that ends with this object: a
/// `cat <&3` is a process that lasts as long as the test (a shell gives its background processes
/// /dev/null for 0), and what the script says is read here.
private final class Shell {
  let process: Int32
  private let socket: Int32

  init(_ script: String) throws {
    var ends: [Int32] = [0, 0]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    try #require(socketpair(AF_UNIX, kind, 0, &ends) == 0)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    for target: Int32 in [0, 1, 3] {
      posix_spawn_file_actions_adddup2(&actions, ends[1], target)
    }
    // The runner's threads block signals, and a shell that does not hear of its child's end waits
    // for ever.
    var attributes = posix_spawnattr_t()
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_init(&attributes)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var arguments: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", script].map {
      (text: String) in strdup(text)
    }
    arguments.append(nil)
    var process: Int32 = 0
    let failure = posix_spawnp(&process, "sh", &actions, &attributes, &arguments, environ)
    posix_spawn_file_actions_destroy(&actions)
    posix_spawnattr_destroy(&attributes)
    for argument in arguments { free(argument) }
    close(ends[1])
    (self.process, socket) = (process, ends[0])
    try #require(failure == 0)
  }

  deinit {
    close(socket)
    waitpid(process, nil, 0)
  }

  /// Waits until the script says something, at most 20 s.
  func hear() throws {
    var set = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    try #require(poll(&set, 1, 20_000) == 1)
    var byte: UInt8 = 0
    try #require(read(socket, &byte, 1) == 1)
    try #require(read(socket, &byte, 1) == 1)  // The end of the line.
  }
}

@Suite struct ProcessTreeTests {
  private static let methods = [LIDO_TREE_CHILDREN.rawValue, LIDO_TREE_SCAN.rawValue]

  private func usage(_ process: Int32, _ method: UInt32) throws -> ResourceReading {
    try #require(ProcessTree.usage(of: process, by: lido_tree_method(method)))
  }

  @Test(arguments: methods)
  func `descendants count, in whatever session`(method: UInt32) throws {
    let shell = try Shell("cat <&3 & setsid sh -c 'cat <&3 & echo x; wait' & wait")
    try shell.hear()
    let reading = try usage(shell.process, method)
    #expect(reading.processCount == 4)
    #expect(reading.memoryBytes > 4 * 4096 && reading.memoryBytes < 64 << 20)
    #expect(reading.startedAt > 0)
  }

  @Test(arguments: methods)
  func `children that were waited for count with their CPU time`(method: UInt32) throws {
    let loop = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
    let shell = try Shell("sh -c '\(loop)'; echo x; exec cat")
    try shell.hear()
    let reading = try usage(shell.process, method)
    #expect(reading.processCount == 1)
    #expect(reading.cpuMicroseconds > 10_000 && reading.cpuMicroseconds < 10_000_000)
  }

  @Test(arguments: methods)
  func `a zombie counts`(method: UInt32) throws {
    // `cat` does not know of the child that the shell before it had.
    let shell = try Shell("(echo x) & exec cat")
    try shell.hear()
    #expect(try usage(shell.process, method).processCount == 2)
  }

  @Test func `children of any thread count`() throws {
    let before = try usage(getpid(), LIDO_TREE_CHILDREN.rawValue).processCount
    let shell = try Shell("cat <&3 & cat <&3 & cat <&3 & cat <&3 & echo x; wait")
    try shell.hear()
    // This process has threads, and its children are those of other tests as well.
    let reading = try usage(getpid(), LIDO_TREE_CHILDREN.rawValue)
    #expect(reading.processCount >= 6 && before >= 1)
    #expect(try usage(shell.process, LIDO_TREE_CHILDREN.rawValue).processCount == 5)
  }

  @Test(arguments: methods)
  func `a process that is gone cannot be read`(method: UInt32) throws {
    var process: Int32 = 0
    do {
      let shell = try Shell("exit 0")
      process = shell.process
    }
    #expect(ProcessTree.usage(of: process, by: lido_tree_method(method)) == nil)
  }

  @Test func `the own time is exact`() throws {
    let before = try #require(ProcessTree.usage(of: getpid()))
    var own = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own)
    let after = try #require(ProcessTree.usage(of: getpid()))
    #expect(before.cpuMicroseconds <= after.cpuMicroseconds)
    #expect(before.startedAt == after.startedAt)
    let microseconds = UInt64(own.tv_sec) * 1_000_000 + UInt64(own.tv_nsec) / 1000
    #expect(after.cpuMicroseconds + 50_000 >= microseconds)
  }
}
