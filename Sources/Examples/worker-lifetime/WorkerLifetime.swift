import Glibc
import Multiprocessing

/// Each worker runs the initializer, then two tasks, and is replaced by another.
@main
enum WorkerLifetime {
  struct Visit: Codable, Sendable {
    var pid: Int32
    var initializedBy: Int32
    var count: Int
  }

  nonisolated(unsafe) static var initializedBy: Int32 = 0  // reason: a worker has one thread.
  nonisolated(unsafe) static var count = 0  // reason: a worker has one thread.

  static let initialize = TaskDefinition<String, NoResult>("initialize") { greeting in
    initializedBy = getpid()
    print("\(greeting) \(initializedBy)")
    return NoResult()
  }

  static let visit = TaskDefinition<Int, Visit>("visit") { _ in
    count += 1
    return Visit(pid: getpid(), initializedBy: initializedBy, count: count)
  }

  static func main() throws {
    bootstrap([initialize, visit])
    let pool = try Pool(
      processes: 2, initializer: initialize, initArgument: "hello from", maxTasksPerChild: 2)
    for (item, visit) in try pool.map(visit, 0..<8, chunkSize: 1).enumerated() {
      print(
        "item \(item): task \(visit.count) of worker \(visit.pid), ",
        "initialized by \(visit.initializedBy)", separator: "")
    }
    pool.close()
    try pool.join()
  }
}
