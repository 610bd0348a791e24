import Glibc
import Multiprocessing
import TestSupport

/// The rows of section 1.9: start methods, the fork server, fork and threads.
enum StartMethodRows {
  private typealias Tasks = ProcessTasks

  static let all: [String: ConformanceProgram.Row] = [
    "T1": contexts, "T2": forced, "T3": allMethods, "T4": setTwice, "T9": contextSetsNothing,
    "T11": unguarded, "T12": forkWithThreads, "T6": preload, "worker-identity": workerIdentity,
    "P24": interruptedForkServer,
    "P25": killedForkServer, "stopped-server": stoppedForkServer, "thread-ends": endingThread,
  ]

  private static func contexts(_ context: Context) throws {
    for method in allStartMethods() {
      let process = Process(Tasks.expectMethod, method.rawValue, context: Context(method))
      try process.start()
      try process.join()
      try check(process.exitcode, equals: 0)
    }
    check(startMethod(), equals: context.startMethod)
  }

  private static func allMethods(_ context: Context) throws {
    check(allStartMethods(), equals: [.forkserver, .spawn, .fork])
  }

  private static func setTwice(_ context: Context) throws {
    check(
      try setStartMethod(.spawn),
      throws: { (e: ProgramError) in e.code == .startMethodIsSet(context.startMethod) })
    try setStartMethod(.spawn, force: true)
    check(startMethod(), equals: .spawn)
  }

  /// What is set by force is what the next ones are started by, and what they and workers know.
  private static func forced(_ context: Context) throws {
    for method in allStartMethods() + [context.startMethod] {
      try setStartMethod(method, force: true)
      check(startMethod(), equals: method)
      let process = Process(Tasks.expectMethod, method.rawValue)
      try process.start()
      try process.join()
      try check(process.exitcode, equals: 0)
      let identity = try Pool.with(processes: 1) { pool in try pool.apply(Tasks.tellIdentity) }
      check(identity.method, equals: method.rawValue)
    }
  }

  private static func preload(_ context: Context) throws {
    let process = Process(Tasks.tellPreload)
    try process.start()
    try process.join()
    try check(process.exitcode, equals: context == .forkserver ? 1 : 0)
    let codes = try Pool.with(processes: 1, context: context) { pool in
      try pool.apply(Tasks.preloaded)
    }
    check(codes, equals: context == .forkserver)
    guard context == .forkserver else { return }
    // What it has opened is there as well, one open file for all: 9 bytes each.
    for size in [9, 18] as [Int32] {
      let writer = Process(Tasks.writePreloaded)
      try writer.start()
      try writer.join()
      try check(writer.exitcode, equals: size)
    }
  }

  /// A pool's workers are part of the program that made it, whatever way they came into being.
  private static func workerIdentity(_ context: Context) throws {
    let wanted = Tasks.Identity(
      key: currentProcess().authenticationKey, method: context.startMethod.rawValue,
      parent: getpid(), parentName: "MainProcess", isParentAlive: true, codeOfChild: 0)
    for method in allStartMethods() {
      try Pool.with(processes: 1, maxTasksPerChild: 1, context: Context(method)) { pool in
        for _ in 0..<2 { try check(pool.apply(Tasks.tellIdentity), equals: wanted) }
      }
    }
  }

  /// Is run without a start method set.
  private static func contextSetsNothing(_ context: Context) throws {
    let process = Process(Tasks.leave, 0, context: context)
    try process.start()
    try process.join()
    try setStartMethod(.fork)
    check(startMethod(), equals: .fork)
  }

  /// Is run without `bootstrap`.
  private static func unguarded(_ context: Context) throws {
    let process = Process(Tasks.leave, 0, context: context)
    check(try process.start(), throws: ProcessRows.isProgram(.notBootstrapped))
    let isExpected = { (error: ProgramError) in error.code == .notBootstrapped }
    check(try Pool(processes: 1, context: context), throws: isExpected)
    check(
      try Pool(processes: 1, initializer: Tasks.stay, context: context), throws: isExpected)
  }

  private static func forkWithThreads(_ context: Context) throws {
    var thread = pthread_t()
    pthread_create(&thread, nil, { _ in while true { pause() } }, nil)
    let process = Process(Tasks.leave, 0)
    guard context == .fork else {
      try process.start()
      try process.join()
      return try check(process.exitcode, equals: 0)
    }
    check(try process.start(), throws: ProcessRows.isProgram(.severalThreads(2)))
  }

  /// A thread that goes at that moment is none, as one that was joined but is listed still.
  private static func endingThread(_ context: Context) throws {
    guard context == .fork else { return }
    var refused = 0
    repeat {
      // Not joined: only so it is there for certain, and goes soon after.
      var thread = pthread_t()
      pthread_create(
        &thread, nil,
        { _ in
          last(milliseconds: 2)  // It is to go while it is waited for.
          return nil
        }, nil)
      pthread_detach(thread)
      let process = Process(Tasks.leave, 3)
      if (try? process.start()) == nil {
        refused += 1  // A machine that is busy for 20 ms.
        continue
      }
      try process.join()
      return try check(process.exitcode, equals: 3)
    } while refused < 20
    fail("a thread that has gone is counted")
  }

  /// One that was stopped costs a single wait for news, however many have ended meanwhile.
  private static func stoppedForkServer(_ context: Context) throws {
    if context == .fork { return }
    let processes = (0..<4).map { _ in Process(Tasks.endure) }
    for process in processes { try process.start() }
    let server = try forkServer()
    kill(server, SIGSTOP)
    while ProcessFiles.state(of: server) != "T" { sched_yield() }
    for process in processes { try process.kill() }
    let begin = time(nil)
    for process in processes {
      try process.join()
      try check(process.exitcode, equals: 255)
    }
    check(activeChildren().count, equals: 0)
    check(time(nil) - begin < 9, "it took \(time(nil) - begin) s")
    kill(server, SIGCONT)
    let later = Process(Tasks.leave, 3)
    try later.start()
    try later.join()
    try check(later.exitcode, equals: 3)
  }

  /// The only child of this process, but for what is forked.
  static func forkServer() throws -> Int32 {
    let children = ProcessFiles.children ?? []
    check(children.count, equals: 1)
    return children[0]
  }

  private static func interruptedForkServer(_ context: Context) throws {
    if context == .fork { return }
    let earlier = Process(Tasks.endure)
    try earlier.start()
    for number in [SIGINT, SIGTERM, SIGHUP] { kill(try forkServer(), number) }
    let later = Process(Tasks.leave, 3)
    try later.start()
    try later.join()
    try check(later.exitcode, equals: 3)
    try check(earlier.isAlive, "the earlier child is gone")
    try earlier.terminate()
    try earlier.join()
    try check(earlier.exitcode, equals: -SIGTERM)
  }

  private static func killedForkServer(_ context: Context) throws {
    if context == .fork { return }
    let earlier = Process(Tasks.endure)
    try earlier.start()
    kill(try forkServer(), SIGKILL)
    let later = Process(Tasks.leave, 3)
    try later.start()
    try later.join()
    try check(later.exitcode, equals: 3)
    try check(earlier.isAlive, "the earlier child has not survived")
    try earlier.terminate()
    try earlier.join()
    try check(earlier.exitcode, equals: 255)
  }
}
