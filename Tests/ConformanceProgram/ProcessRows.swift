import Glibc
import Multiprocessing
import Synchronization
import TestSupport

/// The rows of section 1.1: `Process`.
enum ProcessRows {
  private typealias Tasks = ProcessTasks

  static let all: [String: ConformanceProgram.Row] = [
    "P1": current, "P3": arguments, "P4": daemon, "P5": parentAttributes, "P7": lifeCycle,
    "P8": nativeID, "P9": terminate, "P10": kill, "P12": interrupt, "P13": processors,
    "P14": children, "P15": recursion, "P16": sentinel, "P17": close, "P18": many,
    "P20": inheritedFiles, "P22": closedStandardFiles, "P29": errorText, "P30": exitCodes,
    "P31": atExit, "misuse": misuse, "join-itself": joinItself, "names": names,
    "P7-key": key, "P23": closedByChild, "C16": joinUnderSignals, "C18": unrelatedFile,
    "folder": folder, "no-descriptors": noDescriptors,
    "asked-meanwhile": askedMeanwhile,
  ]

  private static func run<A, R>(_ task: TaskDefinition<A, R>, _ argument: A) throws -> Int32? {
    let process = Process(task, argument)
    try process.start()
    try process.join()
    return try process.exitcode
  }

  private static func current(_ context: Context) throws {
    let current = currentProcess()
    check(current.isAlive && !current.isDaemon, "\(current)")
    check(current.authenticationKey.count, equals: 32)
    check(current.pid, equals: getpid())
    check(current.exitcode, equals: nil)
    check(current.name, equals: "MainProcess")
    check(parentProcess() == nil, "main has a parent")
  }

  private static func arguments(_ context: Context) throws {
    try check(run(Tasks.compare, Tasks.Values()), equals: 0)
    try check(run(Tasks.leave, 3), equals: 3)
  }

  private static func daemon(_ context: Context) throws {
    check(Process(Tasks.leave, 0).isDaemon, equals: false)
    for isDaemon in [true, false] {
      let process = Process(Tasks.expectDaemon, isDaemon, daemon: isDaemon)
      check(process.isDaemon, equals: isDaemon)
      try process.start()
      try process.join()
      try check(process.exitcode, equals: 0)
    }
  }

  private static func parentAttributes(_ context: Context) throws {
    try check(
      run(Tasks.expectParent, .init(parent: getpid(), name: "MainProcess")), equals: 0)
  }

  private static func lifeCycle(_ context: Context) throws {
    let process = Process(Tasks.endure, name: "a name", daemon: true)
    try check(!process.isAlive, "alive before its start")
    try check(process.exitcode, equals: nil)
    try check(process.pid, equals: nil)
    check(activeChildren().isEmpty, "a child before its start")
    try process.start()
    try check(process.isAlive, "not alive")
    try check(process.exitcode, equals: nil)
    check(activeChildren().contains { $0 === process }, "no child")
    try check(process.pid! > 1 && process.pid! != getpid(), "pid")
    try check(Glibc.kill(process.pid!, 0), equals: 0)
    try process.terminate()
    try process.join()
    try check(!process.isAlive, "alive after its end")
    check(activeChildren().isEmpty, "a child after its end")
    try check(run(Tasks.expectName, "Process-3"), equals: 0)
  }

  private static func nativeID(_ context: Context) throws {
    let (reader, writer) = try Pipe(duplex: false)
    let process = Process(Tasks.tellThread, writer)
    try process.start()
    let ids: [Int32] = try reader.receive()
    try process.join()
    try check(process.exitcode, equals: 0)
    check(ids[1] != ProcessFiles.thread(), "the same thread")
    check(ProcessFiles.thread(), equals: getpid())
    // The task runs in the main thread of the process that `pid` tells.
    try check(ids, equals: [process.pid!, process.pid!])
    reader.close()
    writer.close()
  }

  private static func end(_ signal: Int32, _ end: (Process) throws -> Void) throws {
    let process = Process(Tasks.endure)
    try process.start()
    try check(process.join(timeout: .zero), equals: false)
    try check(process.join(timeout: .seconds(-1)), equals: false)
    try check(process.isAlive, "not alive")
    try end(process)
    try check(process.join(), equals: true)
    try check(process.join(), equals: true)
    try check(process.exitcode, equals: -signal)
    try check(!process.isAlive && activeChildren().isEmpty, "alive after its end")
    try end(process)  // Of no effect.
  }

  private static func terminate(_ context: Context) throws {
    try end(SIGTERM) { try $0.terminate() }
  }

  private static func kill(_ context: Context) throws { try end(SIGKILL) { try $0.kill() } }

  private static func interrupt(_ context: Context) throws {
    try end(SIGINT) { try $0.interrupt() }
  }

  private static func processors(_ context: Context) throws {
    // Those that this process may use, which the kernel tells in words as well.
    let status = ProcessFiles.contents(of: "/proc/self/status") ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:\t") }
    let allowed = line!.dropFirst("Cpus_allowed_list:\t".count).split(separator: ",")
    let ranges = allowed.map { $0.split(separator: "-").map { Int($0)! } }
    let count = ranges.reduce(0) { $0 + $1.last! - $1[0] + 1 }
    check(count >= 1, "\(count) processors")
    check(cpuCount(), equals: count)
    try check(run(Tasks.countProcessors, NoArgument()), equals: Int32(count))
    try execute("taskset", "-pc", "\(ranges[0][0])", "\(getpid())")
    check(cpuCount(), equals: 1)
    try check(Pool.with(context: context) { $0.processes }, equals: 1)
    try execute("taskset", "-pc", allowed.joined(separator: ","), "\(getpid())")
    try check(Pool.with(context: context) { $0.processes }, equals: count)
  }

  /// Executes a program, which has to end with 0.
  static func execute(_ words: String...) throws {
    var arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process: Int32 = 0
    check(posix_spawnp(&process, words[0], nil, nil, &arguments, environ), equals: 0)
    var status: Int32 = 0
    check(waitpid(process, &status, 0), equals: process)
    check(status, equals: 0)
  }

  private static func children(_ context: Context) throws {
    let processes = (0..<3).map { _ in Process(Tasks.endure) }
    for process in processes { try process.start() }
    check(activeChildren().count, equals: 3)
    try processes[1].kill()
    try processes[1].join()
    check(activeChildren().map(\.name), equals: [processes[0].name, processes[2].name])
    for process in processes { try process.kill() }
    for process in processes { try process.join() }
    check(activeChildren().isEmpty, "children are left")
  }

  private static func recursion(_ context: Context) throws {
    try check(run(Tasks.nest, 2), equals: 5)
  }

  private static func sentinel(_ context: Context) throws {
    let process = Process(Tasks.endure)
    check(try process.sentinel, throws: { (error: ProcessError) in error.code == .notStarted })
    try process.start()
    let sentinel = try process.sentinel
    var entry = pollfd(fd: sentinel, events: Int16(POLLIN), revents: 0)
    check(poll(&entry, 1, 0), equals: 0)
    try process.kill()
    check(poll(&entry, 1, 1_000), equals: 1)
    try process.join()
    try check(process.sentinel, equals: sentinel)
  }

  private static func close(_ context: Context) throws {
    let process = Process(Tasks.endure)
    try process.start()
    check(try process.close(), throws: { (error: ProcessError) in error.code == .stillRunning })
    try process.kill()
    try process.join()
    try process.close()
    func isClosed(_ error: ProcessError) -> Bool { error.code == .closed }
    check(try process.isAlive, throws: isClosed)
    check(try process.join(), throws: isClosed)
    check(try process.terminate(), throws: isClosed)
    check(try process.exitcode, throws: isClosed)
    check(try process.start(), throws: isClosed)
    try process.close()
    weak var freed: Process?
    do {
      let other = Process(Tasks.leave, 0)
      freed = other
      try other.start()
      try other.join()
      try other.close()
    }
    check(freed == nil, "a closed process is kept")
    try Process(Tasks.leave, 0).close()
  }

  private static func many(_ context: Context) throws {
    let count = context == .spawn ? 5 : 100
    let quick = (0..<count).map { _ in Process(Tasks.leave, 0) }
    for process in quick { try process.start() }
    for process in quick { try process.join() }
    try check(quick.map { try $0.exitcode! } == .init(repeating: 0, count: count), "exit codes")
    let slow = (0..<count).map { _ in Process(Tasks.endure) }
    for process in slow { try process.start() }
    for process in slow { try process.terminate() }
    for process in slow { try process.join() }
    try check(slow.map { try $0.exitcode! } == .init(repeating: -15, count: count), "exit codes")
  }

  private static func inheritedFiles(_ context: Context) throws {
    let (counts, tell) = try Pipe(duplex: false)
    let (wait, release) = try Pipe(duplex: false)
    // What this process has open, close-on-exec or not, is nothing to the others.
    let opened = (0..<20).map { fcntl(0, $0 % 2 == 0 ? F_DUPFD : F_DUPFD_CLOEXEC, 200) }
    let processes = (0..<5).map { _ in
      Process(Tasks.tellFiles, .init(counts: tell, release: wait))
    }
    for process in processes { try process.start() }
    // All of them run: none ends before it is released.
    let files: [[Int32]] = try processes.map { _ in try counts.receive() }
    try check(processes.allSatisfy { try $0.isAlive }, "one has ended")
    try release.send(0)
    for process in processes { try process.join() }
    try check(processes.allSatisfy { try $0.exitcode == 0 }, "exit codes")
    if context == .fork {
      // All that this process has, and the order in which they were started shows.
      check(files.allSatisfy { $0.count > opened.count }, "\(files)")
    } else {
      // Standard files, the parent's sentinel and the two connections; and what was preloaded.
      check(files, equals: Array(repeating: files[0], count: 5))
      check(files[0].count, equals: context == .forkserver ? 7 : 6)
    }
    for file in opened { Glibc.close(file) }
    for end in [counts, tell, wait, release] { end.close() }
  }

  private static func closedStandardFiles(_ context: Context) throws {
    let saved = fcntl(1, F_DUPFD_CLOEXEC, 100)
    for descriptor in Int32(0)...2 { Glibc.close(descriptor) }
    let codes = try (0..<3).map { try run(Tasks.leave, $0) }
    // Its own stdout and stderr are files like others, and nobody's socket.
    let kinds = try run(Tasks.expectNullOutputs, getpid())
    let comparison = try run(Tasks.compare, Tasks.Values())
    for descriptor in Int32(0)...2 { dup2(saved, descriptor) }
    Glibc.close(saved)
    check(codes == [0, 1, 2] && comparison == 0, "\(codes), \(comparison as Any)")
    check(kinds, equals: 0)
  }

  private static func errorText(_ context: Context) throws {
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let saved = fcntl(2, F_DUPFD_CLOEXEC, 100)
    dup2(ends[1], 2)
    let code = try run(Tasks.throwError, NoArgument())
    dup2(saved, 2)
    Glibc.close(ends[1])
    Glibc.close(saved)
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65536)
    // The fork server has the other end as well: it does not end with the child.
    while !String(decoding: text, as: UTF8.self).hasSuffix("end\n") {
      let count = read(ends[0], &piece, piece.count)
      if count <= 0 { break }
      text += piece[..<count]
    }
    Glibc.close(ends[0])
    check(code, equals: 1)
    let expected = "Process-2: Oops: \(Tasks.Oops())\n"
    check(String(decoding: text, as: UTF8.self), equals: expected)
  }

  private static func exitCodes(_ context: Context) throws {
    for (given, expected) in [(0, 0), (8, 8), (255, 255), (256, 0), (-1, 255)] as [(Int32, Int32)] {
      try check(run(Tasks.leave, given), equals: expected)
    }
  }

  private static func atExit(_ context: Context) throws {
    try check(run(Tasks.registerAtExit, NoArgument()), equals: 42)
    // What the parent has registered is not its children's, however they end.
    let parent = getpid()
    ProcessTasks.parent = parent
    atexit { if getpid() != ProcessTasks.parent { _exit(43) } }
    try check(run(Tasks.leave, 5), equals: 5)
    try check(run(Tasks.expectKey, []), equals: 1)
    try check(run(Tasks.countFiles, NoArgument())! < 40, "it does not end by itself")
    if context == .fork {
      let code = try Pool.with(processes: 1, context: .fork) { pool in
        do {
          _ = try pool.apply(Tasks.leave, 6)
          return Int32(-1)
        } catch let error as PoolError {
          guard case .workerExited(_, let code) = error.code else { throw error }
          return code
        }
      }
      check(code, equals: 6)
    }
  }

  private static func misuse(_ context: Context) throws {
    func has(_ code: ProcessError.Code) -> (ProcessError) -> Bool { { $0.code == code } }
    let process = Process(Tasks.leave, 0)
    check(try process.join(), throws: has(.notStarted))
    check(try process.terminate(), throws: has(.notStarted))
    try process.start()
    check(try process.start(), throws: has(.startedTwice))
    try process.join()
    check(try process.start(), throws: has(.startedTwice))
    let unknown = TaskDefinition<Int, Int>("unknown") { $0 }
    check(try Process(unknown, 1).start(), throws: isProgram(.unknownTask("unknown")))
    let closure = Process { exit(9) }
    try closure.start()
    try closure.join()
    try check(closure.exitcode, equals: 9)
  }

  static func isProgram(_ code: ProgramError.Code) -> (ProcessError) -> Bool {
    { error in
      guard case .program(let reason) = error.code else { return false }
      return reason.code == code
    }
  }

  private static func joinItself(_ context: Context) throws {
    check(try currentProcess().join(), throws: { (e: ProcessError) in e.code == .joinsItself })
    // A process object that a forked child has inherited.
    guard context == .fork else { return }
    let sibling = Process(Tasks.endure)
    try sibling.start()
    let process = Process {
      do {
        try sibling.join()
        exit(1)
      } catch let error as ProcessError {
        exit(error.code == .notParent ? 0 : 2)
      }
    }
    try process.start()
    try process.join()
    try sibling.kill()
    try sibling.join()
    try check(process.exitcode, equals: 0)
  }

  private static func key(_ context: Context) throws {
    try check(run(Tasks.expectKey, currentProcess().authenticationKey), equals: 0)
  }

  private static func closedByChild(_ context: Context) throws {
    try check(run(Tasks.closeOutputs, NoArgument()), equals: 0)
  }

  private static func joinUnderSignals(_ context: Context) throws {
    signal(SIGUSR1) { _ in }
    try check(run(Tasks.signalParent, NoArgument()), equals: 0)
    signal(SIGUSR1, SIG_DFL)
  }

  private static func unrelatedFile(_ context: Context) throws {
    let file = fcntl(0, F_DUPFD, 500)
    try check(run(Tasks.hasFile, file), equals: context == .fork ? 1 : 0)
    Glibc.close(file)
  }

  private static func folder(_ context: Context) throws {
    check(chdir("/usr"), equals: 0)
    try check(run(Tasks.expectFolder, "/usr"), equals: 0)
  }

  /// However few descriptors are left, a start that fails says that they are too few.
  private static func noDescriptors(_ context: Context) throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let before = limit
    let held = Resources.now()
    let next = fcntl(0, F_DUPFD, 0)
    Glibc.close(next)
    var failures = 0
    // Some numbers beyond may be taken by what this process was started with.
    for free in 0..<1_000 {
      limit.rlim_cur = UInt(Int(next) + free)
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      let process = Process(Tasks.leave, 0)
      var text = ""
      do { try process.start() } catch { text = "\(error)" }
      limit = before
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      if text.isEmpty {
        try process.join()
        break
      }
      failures += 1
      check(text.contains("Too many open files"), "\(free) are left: \(text)")
    }
    check((1..<1_000).contains(failures), "\(failures) starts have failed")
    // One for which only the last descriptor was missing did start, and was killed. What is held
    // for it goes with the news of its end, which any later process brings.
    let end = now() + 5
    while Resources.now() != held, now() < end { try check(run(Tasks.leave, 0), equals: 0) }
  }

  nonisolated(unsafe) private static var late: Process?

  /// While a thread waits for a start that the fork server is too slow for, others are answered.
  private static func askedMeanwhile(_ context: Context) throws {
    if context == .fork { return }
    let early = Process(Tasks.leave, 3)
    try early.start()
    var entry = pollfd(fd: try early.sentinel, events: Int16(POLLIN), revents: 0)
    check(poll(&entry, 1, 10_000), equals: 1)
    // It is reaped, and that is told: the fork server waits again.
    let server = try StartMethodRows.forkServer()
    while Glibc.kill(try early.pid!, 0) == 0 { sched_yield() }
    while ProcessFiles.state(of: "\(server)") != "S" { sched_yield() }
    Glibc.kill(server, SIGSTOP)
    while ProcessFiles.state(of: "\(server)") != "T" { sched_yield() }
    late = Process(Tasks.leave, 4)
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { _ in
        var place = [UInt8](repeating: 0, count: 64)
        let count = readlink("/proc/thread-self", &place, place.count)
        ProcessRows.other.withLock { $0 = String(decoding: place[..<count], as: UTF8.self) }
        try? ProcessRows.late?.start()
        return nil
      }, nil)
    while ProcessFiles.state(of: other.withLock(\.self)) != "S" { sched_yield() }
    let begin = time(nil)
    try check(early.join(timeout: .zero), equals: true)
    try check(early.exitcode, equals: 3)
    try check(!early.isAlive, "alive after its end")
    check(time(nil) - begin < 5, "it took \(time(nil) - begin) s")
    Glibc.kill(server, SIGCONT)
    pthread_join(thread, nil)
    try late?.join()
    try check(late?.exitcode, equals: 4)
    late = nil
  }

  /// The place of a second thread in /proc.
  private static let other = Mutex("none")

  private static func names(_ context: Context) throws {
    check(Process(Tasks.leave, 0).name, equals: "Process-2")
    check(Process(Tasks.leave, 0, name: "x").name, equals: "x")
    check(Process(Tasks.leave, 0).name, equals: "Process-4")
    try check(run(Tasks.expectName, "Process-5"), equals: 0)
  }
}
