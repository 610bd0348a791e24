import Multiprocessing

/// Numbers to another process, and their squares back, through a pipe.
@main
enum PipeExample {
  static let square = TaskDefinition<Connection, NoResult>("square") { connection in
    while let number = try connection.receive(Int?.self) { try connection.send(number * number) }
    return NoResult()
  }

  static func main() throws {
    bootstrap([square])
    let (parent, child) = try Pipe()
    let process = Process(square, child)
    try process.start()
    child.close()
    for number in 1...5 {
      try parent.send(number)
      print("\(number) x \(number) = \(try parent.receive(Int.self))")
    }
    try parent.send(Int?.none)  // The end.
    try process.join()
  }
}
