import Multiprocessing

/// The same process by each start method: its own process id, and that of its parent.
@main
enum StartMethods {
  static let tell = TaskDefinition<NoArgument, NoResult>("tell") { _ in
    print(
      "\(startMethod().rawValue): parent \(parentProcess()!.pid), own \(currentProcess().pid)")
    return NoResult()
  }

  static func main() throws {
    bootstrap([tell])
    print("main: \(currentProcess().pid)")
    for method in allStartMethods() {
      try setStartMethod(method, force: true)
      let process = Process(tell)
      try process.start()
      try process.join()
    }
  }
}
