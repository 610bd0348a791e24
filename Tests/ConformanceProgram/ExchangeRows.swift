import Glibc
import Multiprocessing

/// The rows of sections 1.3 and 1.4, and others, that need processes at both ends.
enum ExchangeRows {
  static let all: [String: ConformanceProgram.Row] = [
    "C1": echoes, "C3": closedByParent, "C15": waits, "Q3": order, "Q12": simpleQueue,
    "T8": nested, "tree": tree, "join-before-drain": joinBeforeDrain, "C14": connectionOverPipe,
  ]

  static let tasks: [any RegistrableTask] = [
    echo, tell, fill, putLetters, passOn, grow, putMany, useOther,
  ]

  /// Sends back what comes, and ends with what says so: a forked child has a copy of the other end,
  /// and would wait for the end of the file for ever, as in Python.
  static let echo = TaskDefinition<Connection, NoResult>("echo") { connection in
    while true {
      let message = try connection.receiveBytes()
      try connection.sendBytes(message)
      if message == last { return NoResult() }
    }
  }

  private static let last = Array("this is the last one".utf8)

  private static func echoes(_ context: Context) throws {
    let (parent, child) = try Pipe()
    let process = Process(echo, child)
    try process.start()
    child.close()
    for message in [[], Array("text".utf8), [UInt8](repeating: 7, count: 16 << 20), last] {
      try parent.sendBytes(message)
      try check(parent.poll(timeout: nil), "nothing comes")
      try check(parent.receiveBytes() == message, "another message")
    }
    try process.join()
    parent.close()
    try check(process.exitcode, equals: 0)
  }

  static let tell = TaskDefinition<Connection, NoResult>("tell") { connection in
    try connection.send(["hello"])
    return NoResult()
  }

  private static func closedByParent(_ context: Context) throws {
    let (reader, writer) = try Pipe(duplex: false)
    let process = Process(tell, writer)
    try process.start()
    writer.close()
    try check(reader.receive([String].self), equals: ["hello"])
    check(
      try reader.receive(String.self),
      throws: { (error: ConnectionError) in error.code == .endOfFile })
    try process.join()
    reader.close()
  }

  private static func waits(_ context: Context) throws {
    let (reader, writer) = try Pipe(duplex: false)
    let process = Process(tell, writer)
    try check(wait(for: [reader], timeout: .milliseconds(20)).isEmpty, "ready before")
    try process.start()
    writer.close()
    let objects: [any Waitable] = [reader, try process.sentinel]
    try check(!wait(for: objects, timeout: .seconds(20)).isEmpty, "nothing is ready")
    try check(wait(for: [try process.sentinel], timeout: .seconds(20)).count, equals: 1)
    try process.join()
    try check(wait(for: objects, timeout: .zero).count, equals: 2)
    _ = try reader.receive([String].self)
    try check(wait(for: [reader]).count, equals: 1)  // The end is something to receive.
    reader.close()
  }

  static let fill = TaskDefinition<Queue<Int>, NoResult>("fill") { queue in
    for number in 10..<20 { try queue.put(number) }
    return NoResult()
  }

  private static func order(_ context: Context) throws {
    let queue = try Queue<Int>()
    for number in 0..<10 { try queue.put(number) }
    let process = Process(fill, queue)
    try process.start()
    for number in 0..<20 { try check(queue.get(timeout: .seconds(20)), equals: number) }
    check(try queue.getNoWait(), throws: { (error: QueueError) in error.code == .empty })
    try process.join()
    queue.close()
  }

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

  /// Hands its queue on to a child of its own.
  static let passOn = TaskDefinition<Queue<Int>, NoResult>("passOn") { queue in
    let child = Process(fill, queue)
    try child.start()
    try child.join()
    return NoResult()
  }

  private static func nested(_ context: Context) throws {
    let queue = try Queue<Int>()
    let process = Process(passOn, queue)
    try process.start()
    try process.join()
    try check((0..<10).map { _ in try queue.get(timeout: .seconds(20)) }, equals: Array(10..<20))
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
    try check(paths, equals: [[], [0], [0, 0], [0, 1], [1], [1, 0], [1, 1]])
    reader.close()
    writer.close()
  }

  private static func joinBeforeDrain(_ context: Context) throws {
    let queue = try Queue<String>()
    let text = String(repeating: "x", count: 1_000)
    let process = Process(putMany, Letters(queue: queue, text: text))
    try process.start()
    try check(process.join(timeout: .seconds(30)), "it waits for a reader")
    try check(queue.qsize, equals: 2_000)
    for _ in 0..<2_000 { try check(queue.getNoWait() == text, "another item") }
    queue.close()
  }

  struct Letters: Codable, Sendable {
    var queue: Queue<String>
    var text: String
  }

  static let putMany = TaskDefinition<Letters, NoResult>("putMany") { letters in
    for _ in 0..<2_000 { try letters.queue.put(letters.text) }
    return NoResult()
  }

  /// Gets a connection over the one it has, and answers over that.
  static let useOther = TaskDefinition<Connection, NoResult>("useOther") { connection in
    let other = try connection.receive(Connection.self)
    try other.send("over the other")
    return NoResult()
  }

  private static func connectionOverPipe(_ context: Context) throws {
    let (parent, child) = try Pipe()
    let (reader, writer) = try Pipe(duplex: false)
    let process = Process(useOther, child)
    try process.start()
    try parent.send(writer)
    writer.close()
    try check(reader.receive(String.self), equals: "over the other")
    try process.join()
    for end in [parent, child, reader] { end.close() }
  }
}
