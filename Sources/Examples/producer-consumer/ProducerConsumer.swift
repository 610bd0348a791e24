import Multiprocessing

/// A producer, a consumer, a queue with room for three between them, and a mark at the end.
@main
enum ProducerConsumer {
  /// nil is the mark.
  typealias Items = Queue<Int?>

  static let produce = TaskDefinition<Items, NoResult>("produce") { items in
    for item in 1...10 { try items.put(item) }
    try items.put(nil)
    return NoResult()
  }

  static let consume = TaskDefinition<Items, NoResult>("consume") { items in
    var sum = 0
    while let item = try items.get() {
      print("consumed \(item)")
      sum += item
    }
    print("the end; the sum is \(sum)")
    return NoResult()
  }

  static func main() throws {
    bootstrap([produce, consume])
    let items = try Items(maxSize: 3)
    let processes = [Process(consume, items), Process(produce, items)]
    for process in processes { try process.start() }
    for process in processes { try process.join() }
  }
}
