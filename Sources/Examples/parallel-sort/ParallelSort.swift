import Multiprocessing

/// Random numbers sorted in slices, each by a process of its own, and merged; against the standard
/// library's sort. They lie in shared memory, so that nothing is copied from process to process.
@main
enum ParallelSort {
  struct Slice: Codable, Sendable {
    var numbers: Shared.Array<Int>
    var range: Range<Int>
  }

  static let sort = TaskDefinition<Slice, NoResult>("sort") { slice in
    try slice.numbers.withUnsafeMutableBufferPointer { $0[slice.range].sort() }
    return NoResult()
  }

  /// How many numbers: fewer in a debug build, which takes some twenty times as long.
  static var count: Int {
    #if DEBUG
      400_000
    #else
      5_000_000
    #endif
  }

  static func main() throws {
    bootstrap([sort])
    let numbers = (0..<count).map { _ in Int.random(in: 0..<1_000_000) }
    let clock = ContinuousClock()

    var expected: [Int] = []
    let serial = clock.measure { expected = numbers.sorted() }
    print("standard sort of \(numbers.count) numbers: \(serial)")

    let slices = max(cpuCount(), 2)
    var sorted: [Int] = []
    let parallel = try clock.measure { sorted = try parallelSorted(numbers, slices: slices) }
    print("sorted in \(slices) processes and merged: \(parallel)")
    print("the same results: \(sorted == expected)")
    print("speed-up: \((serial / parallel * 100).rounded() / 100)")
  }

  static func parallelSorted(_ numbers: [Int], slices count: Int) throws -> [Int] {
    let shared = try Shared.Array(numbers, lock: .none)
    let ranges = (0..<count).map { numbers.count * $0 / count..<numbers.count * ($0 + 1) / count }
    let processes = ranges.map { Process(sort, Slice(numbers: shared, range: $0)) }
    for process in processes { try process.start() }
    for process in processes { try process.join() }
    return ranges.map { shared[$0] }.reduce([], merged)
  }

  /// Two sorted arrays as one.
  static func merged(_ left: [Int], _ right: [Int]) -> [Int] {
    if left.isEmpty { return right }
    var result: [Int] = []
    result.reserveCapacity(left.count + right.count)
    var (i, j) = (0, 0)
    while i < left.count && j < right.count {
      if right[j] < left[i] {
        result.append(right[j])
        j += 1
      } else {
        result.append(left[i])
        i += 1
      }
    }
    result.append(contentsOf: left[i...])
    result.append(contentsOf: right[j...])
    return result
  }
}
