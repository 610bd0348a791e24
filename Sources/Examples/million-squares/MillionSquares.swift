import Multiprocessing

/// A million squares by a pool, against a sequential loop. A multiplication is nothing beside the
/// way to another process and back: what the pool costs is what is seen here.
@main
enum MillionSquares {
  static let square = TaskDefinition<Int, Int>("square") { $0 * $0 }

  static func main() throws {
    bootstrap([square])
    let numbers = 0..<1_000_000
    let clock = ContinuousClock()

    var expected: [Int] = []
    let serial = clock.measure {
      for number in numbers { expected.append(number * number) }
    }
    print("sequential loop: \(serial)")

    let pool = try Pool()
    var squares: [Int] = []
    let parallel = try clock.measure { squares = try pool.map(square, numbers) }
    print("Pool.map with \(pool.processes) processes: \(parallel)")
    print("the same results: \(squares == expected)")
    print("speed-up: \((serial / parallel * 1000).rounded() / 1000)")
    pool.close()
    try pool.join()
  }
}
