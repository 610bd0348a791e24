import Glibc
import Multiprocessing

/// Every way to have a pool do something.
@main
enum PoolMethods {
  static let square = TaskDefinition<Int, Int>("square") { $0 * $0 }
  static let product = TaskDefinition("product") { (x: Int, y: Int) in x * y }
  static let slowly = TaskDefinition<Int, Int>("slowly") { number in
    usleep(500_000)
    return number
  }

  static func main() throws {
    bootstrap([square, product, slowly])
    try Pool.with(processes: 4) { pool in
      print("map: \(try pool.map(square, 0..<5))")
      for result in try pool.imap(square, 0..<5) {
        print("imap: \(try result.get())")
      }
      for result in try pool.imapUnordered(square, 0..<5) {
        print("imapUnordered, in any order: \(try result.get())")
      }
      print("starmap: \(try pool.starmap(product, [(1, 2), (3, 4), (5, 6)]))")
      print("apply: \(try pool.apply(product, 6, 7))")
      try asynchronously(pool)
    }
  }

  static func asynchronously(_ pool: Pool) throws {
    let squares = try pool.mapAsync(square, 0..<5)
    print("mapAsync goes on at once")
    print("mapAsync: \(try squares.get())")

    let late = try pool.applyAsync(slowly, 10)
    do {
      print(try late.get(timeout: .milliseconds(50)))
    } catch let error as TimeoutError {
      print("applyAsync with a timeout: \(error)")
    }
    print("applyAsync without: \(try late.get())")

    let called = try pool.applyAsync(square, 12, callback: { print("callback: \($0)") })
    called.wait()
  }
}
