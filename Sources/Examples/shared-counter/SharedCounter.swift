import Multiprocessing

/// Four processes add 1 a hundred times each to one number: 400, because each addition is made
/// under the lock of the number.
@main
enum SharedCounter {
  static let add = TaskDefinition<Shared.Value<Int>, NoResult>("add") { counter in
    for _ in 0..<100 { try counter.withLock { $0 += 1 } }
    return NoResult()
  }

  static func main() throws {
    bootstrap([add])
    let counter = try Shared.Value(0)
    let processes = (0..<4).map { _ in Process(add, counter) }
    for process in processes { try process.start() }
    for process in processes { try process.join() }
    print("4 x 100 = \(counter.value)")
  }
}
