import Glibc
import Multiprocessing
import TestSupport

/// What errors and objects say of themselves.
enum TextScenarios {
  static let all: [String: @Sendable () throws -> Void] = [
    "places": places, "places-imap": placesOfIterators, "places-lost": placesOfLost,
    "depth": depth, "descriptions": descriptions, "too-many": tooMany,
  ]

  /// Fails for 7.
  static let not7 = TaskDefinition<Int, Int>("not7") { number in
    if number == 7 { throw Tasks.PlainError(text: "it is 7") }
    return number
  }
  /// Ends its worker at 7.
  static let deadlyAt7 = TaskDefinition<Int, Int>("deadlyAt7") { number in
    if number == 7 { kill(getpid(), SIGKILL) }
    return number
  }

  /// Nodes within one another.
  final class Node: Codable, Sendable {
    let next: Node?
    init(depth: Int) { next = depth > 1 ? Node(depth: depth - 1) : nil }
    var depth: Int { 1 + (next?.depth ?? 0) }
  }

  static let depthOf = TaskDefinition<Node, Int>("depthOf") { $0.depth }
  static let nodes = TaskDefinition<Int, Node>("nodes") { Node(depth: $0) }
  static let ignore = TaskDefinition<[Queue<Int>], NoResult>("ignore") { _ in NoResult() }

  static let registered: [any RegistrableTask] = [not7, deadlyAt7, depthOf, nodes, ignore]

  /// The item is that of the whole map, and the message is said once.
  static func places() throws {
    try Pool.with(processes: 2) { pool in
      let error = thrown(RemoteError.self) { try pool.map(not7, 0..<10, chunkSize: 4) }
      check(error.item, equals: 7)
      check(error.traceback.contains("item 7, in process \(error.pid)"), error.traceback)
      let text = "\(error)"
      check(text.hasPrefix("PlainError: PlainError(text: \"it is 7\") [task 'not7', "), text)
      check(text.split(separator: "it is 7").count, equals: 2)
      check(!text.contains("\n"), text)
      let single = thrown(RemoteError.self) { try pool.apply(not7, 7) }
      check(single.item == nil && !single.traceback.contains("item"), single.traceback)
      let pairs = (0..<10).map { ($0, 7) }
      try check(try pool.starmap(Tasks.mul, pairs).count, equals: 10)
    }
  }

  static func placesOfIterators() throws {
    try Pool.with(processes: 2) { pool in
      for chunkSize in [1, 3] {
        var items: [Int?] = []
        for result in try pool.imap(not7, 0..<10, chunkSize: chunkSize) {
          if case .failure(let error as RemoteError) = result { items.append(error.item) }
        }
        check(items, equals: [7])
      }
      for result in try pool.imapUnordered(not7, 7..<8) {
        guard case .failure(let error as RemoteError) = result else { fail("\(result)") }
        check(error.item, equals: 0)
      }
    }
  }

  static func placesOfLost() throws {
    try Pool.with(processes: 2) { pool in
      let lost = thrown(PoolError.self) { try pool.map(deadlyAt7, 0..<10, chunkSize: 1) }
      check(lost.task, equals: "deadlyAt7")
      check(lost.items, equals: 7..<8)
      check("\(lost)".contains("it ran task 'deadlyAt7', item 7: ended by signal 9"), "\(lost)")
      let chunk = thrown(PoolError.self) { try pool.map(deadlyAt7, 0..<10, chunkSize: 4) }
      check("\(chunk)".contains("task 'deadlyAt7', one of the items 4 to 7: "), "\(chunk)")
      let single = thrown(PoolError.self) { try pool.apply(deadlyAt7, 7) }
      check("\(single)".contains("it ran task 'deadlyAt7': ended by signal 9"), "\(single)")
      let left = thrown(PoolError.self) { try pool.map(Tasks.leave, [3]) }
      check("\(left)".hasPrefix("task 'leave', item 0 ended its worker "), "\(left)")
    }
  }

  /// How deep an argument and a result may be, and that the limit is said beyond it.
  static func depth() throws {
    // A fork has its argument as it is.
    let process = Process(depthOf, Node(depth: 64), context: .spawn)
    try process.start()
    try process.join()
    try check(try process.exitcode, equals: 0)
    for depth in [65, 600] {
      let deeper = Process(depthOf, Node(depth: depth), context: .spawn)
      let error = thrown(ProcessError.self) { try deeper.start() }
      check("\(error)".contains("at most 64 "), "\(depth): \(error)")
    }
    try Pool.with(processes: 1) { pool in
      try check(try pool.apply(depthOf, Node(depth: 63)), equals: 63)
      try check(try pool.apply(nodes, 63).depth, equals: 63)
      for depth in [64, 65, 499, 500, 600] {
        let error = thrown(PoolError.self) { try pool.apply(depthOf, Node(depth: depth)) }
        check("\(error)".contains("at most 64 "), "\(depth): \(error)")
        let remote = thrown(RemoteError.self) { try pool.apply(nodes, depth) }
        check("\(remote)".contains("at most 64 "), "\(depth): \(remote)")
      }
    }
  }

  static func descriptions() throws {
    let pool = try Pool(processes: 2)
    check("\(pool)", equals: "<Pool processes=2 running>")
    pool.close()
    check("\(pool)", equals: "<Pool processes=2 closed>")
    pool.terminate()
    check("\(pool)", equals: "<Pool processes=2 terminated>")
    try pool.join()
    let queue = try Queue<Int>(maxSize: 6)
    try queue.put(1)
    check("\(queue)", equals: "<Queue 1 item, at most 6>")
    queue.close()
    check("\(queue)", equals: "<Queue closed>")
    try check("\(try SimpleQueue<Int>())", equals: "<SimpleQueue 0 items>")
    let (reader, writer) = try Pipe(duplex: false)
    check("\(reader)", equals: "<Connection descriptor=\(reader.fileDescriptor) receives>")
    check("\(writer)", equals: "<Connection descriptor=\(writer.fileDescriptor) sends>")
    writer.close()
    check("\(writer)", equals: "<Connection closed>")
    try check("\(try Pipe().0)".hasSuffix("receives and sends>"))
  }

  static func tooMany() throws {
    let queues = try (0..<25).map { _ in try Queue<Int>() }
    let error = thrown(PoolError.self) { try Pool(initializer: ignore, initArgument: queues) }
    guard case .argumentEncoding(let reason) = error.code else { fail("\(error)") }
    check(reason.contains("at most 24 descriptors") && reason.contains("queue"), reason)
  }
}
