import Multiprocessing

/// How fast it is; for people, beside the same in Python.
enum MeasureScenarios {
  static func measure() throws {
    let pool = try Pool(processes: 2)
    for _ in 0..<3 {
      let numbers = Array(0..<1_000_000)
      var began = now()
      let squares = try pool.map(Tasks.square, numbers)
      print("map of a million:", now() - began, "s")
      check(squares[999_999], equals: 999_999 * 999_999)
      began = now()
      let results = try (0..<100_000).map { try pool.applyAsync(Tasks.square, $0) }
      let submitted = now() - began
      for result in results { _ = try result.get() }
      let time = now() - began
      print("applyAsync:", Int(100_000 / time), "jobs/s; submitted after", submitted)
      began = now()
      for number in 0..<10_000 { _ = try pool.apply(Tasks.square, number) }
      print("apply:", Int((now() - began) * 100), "µs each")
      began = now()
      var sum = 0
      for item in try pool.imap(Tasks.square, 0..<20_000) { sum &+= try item.get() }
      print("imap:", Int(20_000 / (now() - began)), "items/s")
    }
    pool.close()
    try pool.join()
  }
}
