import Multiprocessing

/// Factorials in parallel, and what becomes of an error in another process. It prints no speed-up:
/// a few multiplications are nothing beside the way there and back, see `million-squares`.
@main
enum Factorials {
  struct NegativeNumber: Error, Codable, CustomStringConvertible {
    var number: Int
    var description: String { "a negative number has no factorial: \(number)" }
  }

  static let factorial = TaskDefinition<Int, Int>(
    "factorial", throwing: [NegativeNumber.self]
  ) { number in
    if number < 0 { throw NegativeNumber(number: number) }
    return (0..<number).reduce(1) { $0 * ($1 + 1) }
  }

  static func main() throws {
    bootstrap([factorial])
    let numbers = [5, 8, 10, 15, 3, 6, 4]
    let pool = try Pool(processes: 4)
    for (number, result) in zip(numbers, try pool.map(factorial, numbers)) {
      print("\(number)! = \(result)")
    }
    print("0! = \(try pool.apply(factorial, 0))")
    do {
      print("-3! = \(try pool.apply(factorial, -3))")
    } catch let error as NegativeNumber {
      print("error: \(error)")
    }
    pool.close()
    try pool.join()
  }
}
