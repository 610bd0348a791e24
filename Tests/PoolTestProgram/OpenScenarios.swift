import Glibc
import Multiprocessing
import TestSupport

/// What a program has open when it makes a `fork` pool, and the pool's workers have as well: by
/// `fork` alone. (By the other methods a worker has globals of its own, or none.)
enum OpenScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "open-queue": queueBesideArray, "open-pipe": pipe, "open-replaced": replacedArray,
    "open-state": sharedState, "open-nested": nested, "open-rest": nothingElse,
  ]

  nonisolated(unsafe) static var queue: Queue<String>?
  nonisolated(unsafe) static var ends: (Connection, Connection)?
  nonisolated(unsafe) static var array: Shared.Array<Int32>?
  nonisolated(unsafe) static var counter: Shared.Value<Int>?
  nonisolated(unsafe) static var lock: Lock?
  nonisolated(unsafe) static var held: Process?

  static let keep = TaskDefinition<Shared.Array<Int32>, NoResult>("openKeep") { given in
    array = given
    return NoResult()
  }
  static let put = TaskDefinition<String, Int>("openPut") { text in
    try queue!.put(text)
    return try queue!.qsize
  }
  static let send = TaskDefinition<Int, Int>("openSend") { number in
    try ends!.0.send(number)
    return number
  }
  static let add = TaskDefinition<Int, Int>("openAdd") { number in
    try lock!.withLock { counter!.value += number }
    try array!.withLock { $0[number] += 1 }
    return number
  }
  static let nest = TaskDefinition<Int, [Bool]>("openNest") { _ in
    try Pool.with(processes: 1, context: .fork) { try $0.apply(isWhole, 0) } + isWhole.body(0)
  }
  /// Whether the parent lives, and its sentinel is a descriptor that is open.
  static let isWhole = TaskDefinition<Int, [Bool]>("openIsWhole") { _ in
    [parentProcess()!.isAlive, fcntl(parentProcess()!.sentinel, F_GETFD) >= 0]
  }
  static let openFiles = TaskDefinition<Int, [String]>("openFiles") { _ in
    ProcessFiles.openDescriptors.map(file)
  }

  static let registered: [any RegistrableTask] = [
    keep, put, send, add, nest, isWhole, openFiles,
  ]

  /// The queue has the number that the first descriptor of the initializer would have had.
  static func queueBesideArray() throws {
    for offset in 0..<4 as Range<Int32> {
      let fillers = (0..<offset).map { _ in fcntl(0, F_DUPFD, 3) }
      let made = try Queue<String>()
      let numbers = try Shared.Array<Int32>(repeating: 0, count: 100_000)
      queue = made
      let pool = try Pool(
        processes: 1, initializer: keep, initArgument: numbers, context: .fork)
      try check(try pool.map(put, ["a", "b", "c"]), equals: [1, 2, 3])
      try end(pool)
      check(numbers.elements.allSatisfy { $0 == 0 }, "the array has changed")
      try check(try (0..<3).map { _ in try made.get() }, equals: ["a", "b", "c"])
      queue = nil
      made.close()
      for filler in fillers { close(filler) }
    }
  }

  /// Its ends have the numbers 3 and 4.
  static func pipe() throws {
    let (near, far) = try Pipe()
    ends = (near, far)
    try Pool.with(processes: 1, context: .fork) { pool in
      try check(try pool.applyAsync(send, 7).get(timeout: .seconds(20)), equals: 7)
      try check(try far.receive(Int.self), equals: 7)
    }
    ends = nil
    near.close()
    far.close()
  }

  /// The initializer drops the array that has the number 3.
  static func replacedArray() throws {
    array = try Shared.Array<Int32>(repeating: 0, count: 100)
    let given = try Shared.Array<Int32>(repeating: 0, count: 100)
    let pool = try Pool(processes: 1, initializer: keep, initArgument: given, context: .fork)
    try check(try pool.applyAsync(Tasks.square, 3).get(timeout: .seconds(20)), equals: 9)
    try end(pool)
    array = nil
  }

  /// The commonest program of Python's: globals, and a pool that uses them.
  static func sharedState() throws {
    array = try Shared.Array<Int32>(repeating: 0, count: 200)
    counter = try Shared.Value(0)
    lock = try Lock()
    try Pool.with(processes: 3, maxTasksPerChild: 10, context: .fork) { pool in
      try check(try pool.map(add, 0..<200, chunkSize: 1), equals: Array(0..<200))
    }
    check(counter!.value, equals: 199 * 100)
    check(array!.elements, equals: [Int32](repeating: 1, count: 200))
    (array, counter, lock) = (nil, nil, nil)
  }

  static func nested() throws {
    try Pool.with(processes: 1, context: .fork) { pool in
      try check(try pool.apply(nest, 0), equals: [true, true, true, true])
    }
  }

  /// Of the library's own a worker has its channel, but neither the socket nor the epoll of a fork
  /// server, though the program holds on to a process of that, nor what is another worker's.
  static func nothingElse() throws {
    held = Process(Tasks.nothing, context: .forkserver)
    try held!.start()
    try held!.join()
    let (near, far) = try Pipe()
    try Pool.with(processes: 3, context: .fork) { pool in
      for files in try pool.map(openFiles, 0..<9, chunkSize: 1) {
        check(files.filter { $0.hasPrefix("socket:") }.count, equals: 3)
        check(files.filter { $0.contains("eventpoll") }, equals: [])
      }
    }
    near.close()
    far.close()
    print("ok")
    exit(0)  // The fork server of the program stays open, which the others do not have.
  }

  private static func file(_ number: Int) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    let count = readlink("/proc/self/fd/\(number)", &buffer, 255)
    return String(decoding: buffer[..<max(0, count)].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static func end(_ pool: Pool) throws {
    pool.close()
    try pool.join()
  }
}
