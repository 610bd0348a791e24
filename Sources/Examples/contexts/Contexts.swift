import Multiprocessing

/// Two start methods side by side, without setting that of the program.
@main
enum Contexts {
  static let tell = TaskDefinition<String, NoResult>("tell") { name in
    print("\(name) was started by \(startMethod().rawValue)")
    return NoResult()
  }

  static func main() throws {
    bootstrap([tell])
    let first = Process(tell, "first", context: .fork)
    let second = Process(tell, "second", context: .spawn)
    for process in [first, second] {
      try process.start()
      try process.join()
    }
    print("the program's own method is \(startMethod().rawValue)")
  }
}
