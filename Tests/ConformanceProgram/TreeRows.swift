import Glibc
import Multiprocessing
import TestSupport

/// Rows with several generations of processes, or the plainest queue, at both ends.
enum TreeRows {
  static let all: [String: ConformanceProgram.Row] = [
    "Q12": simpleQueue, "tree": tree, "T7": allMethods,
  ]

  static let tasks: [any RegistrableTask] = [putLetters, grow]

  static let putLetters = TaskDefinition<SimpleQueue<String>, NoResult>("putLetters") { queue in
    for letter in ["a", "b", "c"] { try queue.put(letter) }
    return NoResult()
  }

  private static func simpleQueue(_ context: Context) throws {
    let queue = try SimpleQueue<String>()
    try check(queue.isEmpty, "not empty before")
    let process = Process(putLetters, queue)
    try process.start()
    try process.join()
    try check(!queue.isEmpty, "empty after a put")
    try check((0..<3).map { _ in try queue.get() }, equals: ["a", "b", "c"])
    try check(queue.isEmpty, "not empty after")
    queue.close()
  }

  /// One queue, and processes by every method.
  private static func allMethods(_ context: Context) throws {
    let queue = try SimpleQueue<String>()
    for method in [StartMethod.fork, .spawn, .forkserver] {
      let process = Process(putLetters, queue, context: Context(method))
      try process.start()
      try process.join()
    }
    let letters = try (0..<9).map { _ in try queue.get() }
    check(letters, equals: ["a", "b", "c", "a", "b", "c", "a", "b", "c"])
    queue.close()
  }

  struct Node: Codable, Sendable {
    var path: [Int]
    var connection: Connection
  }

  /// Tells its place in the tree, and starts two below it, two deep.
  static let grow: TaskDefinition<Node, NoResult> = TaskDefinition("grow") { node in
    try node.connection.send(node.path)
    guard node.path.count < 2 else { return NoResult() }
    for index in 0..<2 {
      let child = Process(grow, Node(path: node.path + [index], connection: node.connection))
      try child.start()
      try child.join()
    }
    return NoResult()
  }

  private static func tree(_ context: Context) throws {
    let (reader, writer) = try Pipe(duplex: false)
    let process = Process(grow, Node(path: [], connection: writer))
    try process.start()
    try process.join()
    var paths: [[Int]] = []
    while try reader.poll() { paths.append(try reader.receive()) }
    check(paths, equals: [[], [0], [0, 0], [0, 1], [1], [1, 0], [1, 1]])
    reader.close()
    writer.close()
  }
}
