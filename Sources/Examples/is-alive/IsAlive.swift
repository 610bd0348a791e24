import Glibc
import Multiprocessing

/// A process before, during and after its life; and one that is ended before its time.
@main
enum IsAlive {
  static let work = TaskDefinition<Double, NoResult>("work") { seconds in
    usleep(UInt32(seconds * 1_000_000))
    return NoResult()
  }

  static func main() throws {
    bootstrap([work])
    let process = Process(work, 0.2)
    print("before: alive \(try process.isAlive), exit code \(describe(try process.exitcode))")
    try process.start()
    print("during: alive \(try process.isAlive), exit code \(describe(try process.exitcode))")
    try process.join()
    print("after: alive \(try process.isAlive), exit code \(describe(try process.exitcode))")

    let long = Process(work, 60)
    try long.start()
    print("a long one: joined within 0.1 s \(try long.join(timeout: .milliseconds(100)))")
    try long.terminate()
    try long.join()
    print("terminated: alive \(try long.isAlive), exit code \(describe(try long.exitcode))")
  }

  private static func describe(_ code: Int32?) -> String {
    code.map(String.init) ?? "none"
  }
}
