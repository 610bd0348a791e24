import Glibc
import Multiprocessing
import TestSupport

/// Processes of a program that is short of something, or whose fork server was killed.
enum BadStartRows {
  private typealias Tasks = ProcessTasks

  static let all: [String: ConformanceProgram.Row] = [
    "closed-at-start": closedAtStart, "file-size": fileSize,
  ]

  /// Those that end otherwise than by a return, and are run by tests of their own.
  static let alone: [String: ConformanceProgram.Row] = [
    "closed-within": closedWithin, "lost-server": lostServer, "no-timer": noTimer,
  ]

  /// Those that call `bootstrap` themselves, which ends them.
  static let early: [String: ConformanceProgram.Row] = [
    "early-thread": earlyThread, "named-twice": namedTwice,
  ]

  /// This program anew, with none of the descriptors 0, 1 and 2.
  private static func closedAtStart(_ context: Context) throws {
    try ProcessRows.execute(
      "sh", "-c", "exec \"$0\" \"$1\" closed-within 0<&- 1>&- 2>&-", "/proc/\(getpid())/exe",
      context.startMethod.rawValue)
  }

  /// Ends with the line where something has taken the number of stdin, stdout or stderr.
  private static func closedWithin(_ context: Context) throws {
    expectNothing(mayBeClosed: false)
    let pool = try Pool(processes: 1, context: context)
    for descriptor in Int32(0)...2 { close(descriptor) }
    // The worker is replaced, over a channel of its own.
    let first = pool.processIDs
    if (try? pool.apply(Tasks.leave, 1)) != nil { _exit(1) }
    if try pool.apply(Tasks.preloaded) != (context == .forkserver) { _exit(2) }
    if pool.processIDs == first { _exit(3) }
    expectNothing()
    let value = try Shared.Value(1)
    expectNothing()
    let queue = try Queue<Int>()
    expectNothing()
    let ends = try Pipe()
    expectNothing()
    // A wait of one of several threads is over an event.
    if try ends.0.poll(timeout: .milliseconds(1)) { _exit(4) }
    expectNothing()
    try ends.1.send(Array(repeating: 7, count: 100_000))
    if try ends.0.receive() as [Int] != Array(repeating: 7, count: 100_000) { _exit(5) }
    pool.close()
    try pool.join()
    _ = (value, queue)
    exit(0)
  }

  /// Ends the process unless the standard descriptors are /dev/null, or closed.
  private static func expectNothing(mayBeClosed: Bool = true, line: Int32 = #line) {
    for descriptor in Int32(0)...2 {
      if mayBeClosed, fcntl(descriptor, F_GETFD) < 0 { continue }
      if ProcessFiles.file(of: descriptor) != "/dev/null" { _exit(line) }
    }
  }

  /// An argument that may not be written is an error, and not the end of the program.
  private static func fileSize(_ context: Context) throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    let before = limit
    limit.rlim_cur = 64 << 10
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    defer {
      limit = before
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    }
    let large = Process(Tasks.expectName, String(repeating: "x", count: 100_000))
    if context == .fork {
      try large.start()
      try large.join()
      try check(large.exitcode, equals: 1)
    } else {
      check(
        try large.start(),
        throws: { (error: ProcessError) in
          error.code == .startFailed(StartFailure(stage: .descriptors, errorNumber: EFBIG))
        })
    }
    let small = Process(Tasks.leave, 3)
    try small.start()
    try small.join()
    try check(small.exitcode, equals: 3)
  }

  private static func earlyThread(_ context: Context) throws {
    print("printed before")
    var thread = pthread_t()
    pthread_create(&thread, nil, { _ in while true { pause() } }, nil)
    bootstrap([Tasks.leave])
  }

  private static func namedTwice(_ context: Context) throws {
    bootstrap([Tasks.leave, TaskDefinition<Int32, NoResult>("leave") { _ in NoResult() }])
  }

  /// A child whose fork server is killed, and then this process.
  private static func lostServer(_ context: Context) throws {
    try Process(Tasks.stay).start()
    let server = try StartMethodRows.forkServer()
    kill(server, SIGKILL)
    var end = siginfo_t()
    // The library is to reap it.
    check(waitid(P_PID, id_t(server), &end, WEXITED | WNOWAIT), equals: 0)
    print("lost")
    fflush(nil)
    while true { pause() }
  }

  /// A child that can have no timer, and then the end of this process.
  private static func noTimer(_ context: Context) throws {
    var limit = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(__RLIMIT_SIGPENDING.rawValue), &limit)
    try Process(Tasks.stay).start()
    while true { pause() }
  }
}
