import Multiprocessing

/// The squares of five numbers, put into a queue by another process.
@main
enum QueueExample {
  struct Work: Codable, Sendable {
    var numbers: [Int]
    var squares: Queue<Int>
  }

  static let square = TaskDefinition<Work, NoResult>("square") { work in
    for number in work.numbers { try work.squares.put(number * number) }
    return NoResult()
  }

  static func main() throws {
    bootstrap([square])
    let squares = try Queue<Int>()
    let process = Process(square, Work(numbers: [1, 2, 3, 4, 5], squares: squares))
    try process.start()
    // Before the items are taken: nothing waits for a reader.
    try process.join()
    while try !squares.isEmpty { print(try squares.get()) }
  }
}
