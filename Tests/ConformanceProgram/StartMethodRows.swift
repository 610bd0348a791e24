import Glibc
import Multiprocessing

/// The rows of section 1.9: start methods, the fork server, fork and threads.
enum StartMethodRows {
  private typealias Tasks = ProcessTasks

  static let all: [String: ConformanceProgram.Row] = [
    "T1": contexts, "T3": allMethods, "T4": setTwice, "T9": contextSetsNothing,
    "T11": unguarded, "T12": forkWithThreads, "T6": preload, "worker-identity": workerIdentity,
    "P24": interruptedForkServer,
    "P25": killedForkServer,
  ]

  private static func contexts(_ context: Context) throws {
    for method in allStartMethods() {
      let process = Process(Tasks.expectMethod, method.rawValue, context: Context(method))
      try process.start()
      try process.join()
      try check(process.exitcode, equals: 0)
    }
    try check(startMethod(), equals: context.startMethod)
  }

  private static func allMethods(_ context: Context) throws {
    try check(allStartMethods(), equals: [.forkserver, .spawn, .fork])
  }

  private static func setTwice(_ context: Context) throws {
    check(
      try setStartMethod(.spawn),
      throws: { (e: ProgramError) in e.code == .startMethodIsSet(context.startMethod) })
    try setStartMethod(.spawn, force: true)
    try check(startMethod(), equals: .spawn)
  }

  private static func preload(_ context: Context) throws {
    let process = Process(Tasks.tellPreload)
    try process.start()
    try process.join()
    try check(process.exitcode, equals: context == .forkserver ? 1 : 0)
    let codes = try Pool.with(processes: 1, context: context) { pool in
      try pool.apply(Tasks.preloaded)
    }
    try check(codes, equals: context == .forkserver)
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
    try check(startMethod(), equals: .fork)
  }

  /// Is run without `bootstrap`.
  private static func unguarded(_ context: Context) throws {
    let process = Process(Tasks.leave, 0, context: context)
    check(try process.start(), throws: ProcessRows.isProgram(.notBootstrapped))
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

  /// The only child of this process, but for what is forked.
  static func forkServer() throws -> Int32 {
    let list = Resources.contents(of: "/proc/self/task/\(getpid())/children") ?? ""
    let children = list.split(separator: " ").compactMap { Int32($0) }
    try check(children.count, equals: 1)
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
