import Multiprocessing

enum CallScenarios {
  static func calls() throws {
    let pool = try Pool(processes: 2)
    check(try pool.apply(Tasks.square, 5), equals: 25)
    check(try pool.apply(Tasks.mul, 5, 3), equals: 15)
    check(try pool.map(Tasks.square, 0..<10), equals: (0..<10).map { $0 * $0 })
    check(try pool.starmap(Tasks.mul, [(2, 3), (4, 5)]), equals: [6, 20])
    check(try pool.imap(Tasks.square, 0..<10).map { try $0.get() }, equals: (0..<10).map { $0 * $0 })
    pool.close()
    try pool.join()
  }
}
