import Multiprocessing

/// A number and an array in shared memory, changed by another process.
@main
enum ValueAndArray {
  struct Both: Codable, Sendable {
    var number: Shared.Value<Double>
    var array: Shared.Array<Int32>
  }

  static let change = TaskDefinition<Both, NoResult>("change") { both in
    both.number.value = 3.1415927
    for index in both.array.indices { both.array[index] = -both.array[index] }
    return NoResult()
  }

  static func main() throws {
    bootstrap([change])
    let number = try Shared.Value(0.0)
    let array = try Shared.Array<Int32>(0..<10)
    let process = Process(change, Both(number: number, array: array))
    try process.start()
    try process.join()
    print(number.value)
    print(Array(array))
  }
}
