import Multiprocessing

/// Who is whose child: the process ids of `main` and of two workers.
@main
enum ProcessIDs {
  static let worker = TaskDefinition<Int, NoResult>("worker") { number in
    let parent = parentProcess()!
    print(
      "worker \(number): \(currentProcess().name), process \(currentProcess().pid), "
        + "child of \(parent.name), process \(parent.pid)")
    return NoResult()
  }

  static func main() throws {
    bootstrap([worker])
    print("main: \(currentProcess().name), process \(currentProcess().pid)")
    for number in 1...2 {
      let process = Process(worker, number)
      try process.start()
      print("started \(process.name), process \(try process.pid!)")
      try process.join()
    }
    print("both have ended")
  }
}
