import Glibc
import Multiprocessing
import TestSupport

/// The end of main and of a parent. The test that runs these reads what they and their children
/// print, and ends some of them.
enum EndRows {
  private typealias Tasks = ProcessTasks

  static let all: [String: ConformanceProgram.Row] = [
    "P6": parentsEnd, "fault": fault,
  ]

  /// Those that leave children behind.
  static let withChildren: [String: ConformanceProgram.Row] = [
    "end-of-main": endOfMain, "orphans": orphans, "worker-starts": workerStarts,
    "generations": generations,
  ]

  /// Returns at once: the end of main waits for one child and ends the other.
  private static func endOfMain(_ context: Context) throws {
    let daemon = Process(Tasks.endure, daemon: true)
    try daemon.start()
    print("process \(try daemon.pid!)")
    try Process(Tasks.work).start()
  }

  /// A child, which is killed, and its child, which sees that.
  private static func parentsEnd(_ context: Context) throws {
    let child = Process(Tasks.beWatched)
    try child.start()
    try child.join()
    try check(child.exitcode, equals: -SIGKILL)
  }

  /// Two children and a grandchild of each, until this process ends.
  private static func orphans(_ context: Context) throws {
    for isDaemon in [false, false] { try Process(Tasks.stayWithChild, daemon: isDaemon).start() }
    while true { pause() }
  }

  /// A child by the fork server, which this process holds on to, and two generations by fork.
  private static func generations(_ context: Context) throws {
    let first = Process(Tasks.stay, context: .forkserver)
    try first.start()
    let child = Process {
      Tasks.tell("process \(getpid())")
      let grandchild = Process {
        Tasks.tell("grandchild \(getpid())")
        while true { pause() }
      }
      try grandchild.start()
      while true { pause() }
    }
    try child.start()
    while try first.isAlive { pause() }
  }

  /// A worker that is a fork of this process starts one of its own, after this process has.
  private static func workerStarts(_ context: Context) throws {
    do {
      // Gone by the time of the fork but for what the library itself keeps.
      let first = Process(Tasks.leave, 0, context: .forkserver)
      try first.start()
      try first.join()
      let dropped = Process(Tasks.endure, daemon: true, context: .forkserver)
      try dropped.start()
    }
    let codes = try Pool.with(processes: 1, context: context) { pool in
      try [StartMethod.forkserver, .spawn].map { try pool.apply(Tasks.startByMethod, $0.rawValue) }
    }
    check(codes, equals: [6, 6])
  }

  /// The task throws, and a child of its own is still there.
  private static func fault(_ context: Context) throws {
    let child = Process(Tasks.throwError)
    try child.start()
    try child.join()
    try check(child.exitcode, equals: 1)
  }
}
