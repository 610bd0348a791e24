import Multiprocessing

/// The squares of ten numbers, one after the other and by the processes of a pool. So little work
/// is done sooner than it is handed out: see speed-up for what a pool is for.
@main
enum Squares {
  static let square = TaskDefinition<Int, Int>("square") { $0 * $0 }

  static func main() throws {
    bootstrap([square])
    let numbers = 0..<10
    let clock = ContinuousClock()

    var squares: [Int] = []
    let serial = try clock.measure { squares = try numbers.map(square.body) }
    print("serially in \(serial): \(squares)")

    let pool = try Pool(processes: 4)
    let parallel = try clock.measure { squares = try pool.map(square, numbers) }
    print("in processes in \(parallel): \(squares)")
    pool.close()
    try pool.join()
  }
}
