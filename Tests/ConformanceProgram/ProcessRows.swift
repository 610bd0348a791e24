import Glibc
import Multiprocessing

/// The rows of section 1.1 about `Process`.
enum ProcessRows {
  static let all: [String: ConformanceProgram.Row] = ["P1": current]

  static let tasks: [any RegistrableTask] = [hello]

  static let hello = TaskDefinition<String, NoResult>("hello") {
    print("hello \($0) from \(currentProcess().name), child of \(parentProcess()!.name)")
    return NoResult()
  }

  static func current(_ context: Context) throws {
    let current = currentProcess()
    try check(current.isAlive && !current.isDaemon, "\(current)")
    try check(current.authenticationKey.count, equals: 32)
    try check(current.pid, equals: getpid())
    try check(current.exitcode, equals: nil)
    let p = Process(hello, "x")
    try p.start()
    try p.join()
    try check(p.exitcode, equals: 0)
  }
}
