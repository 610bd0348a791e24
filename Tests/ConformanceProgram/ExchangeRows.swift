import Glibc
import Multiprocessing
import TestSupport

/// The rows of sections 1.3 and 1.4 that depend on how a process is started. The others are in
/// `ExchangeScenarioTests`, `ConnectionTests` and `QueueTests`.
enum ExchangeRows {
  static let all: [String: ConformanceProgram.Row] = [
    "C1": echoes, "C14": sentOn, "C15": sentinels, "Q1": fills, "Q3": takesTurns, "T8": handedOn,
    "join-before-drain": leavesBehind, "killed-producer": killedProducer,
    "refused-item": refusedItem,
  ]

  static let tasks: [any RegistrableTask] = [
    echo, answer, takeSix, putTen, handOn, putMany, putForEver, putConnection,
  ]

  struct Ends: Codable, Sendable {
    var own: Connection
    /// That of the parent, which a child made by `fork` has anyhow: it closes it, as in Python.
    var other: Connection
  }

  static let echo = TaskDefinition<Ends, NoResult>("echo") { ends in
    ends.other.close()
    let connection = ends.own
    do throws(ConnectionError) {
      while true { try connection.sendBytes(try connection.receiveBytes()) }
    } catch {
      if error.code != .endOfFile { throw error }
    }
    return NoResult()
  }

  /// C1, C3: the parent closes the child's end right after the start, and its own for the end.
  private static func echoes(_ context: Context) throws {
    let (parent, child) = try Pipe()
    let process = Process(echo, Ends(own: child, other: parent))
    try process.start()
    child.close()
    for count in [0, 5, 65_537, 16 << 20] {
      let bytes = [UInt8](repeating: 9, count: count)
      try parent.sendBytes(bytes)
      try check(try parent.receiveBytes() == bytes, "\(count) bytes came back changed")
    }
    parent.close()
    try process.join()
    try check(process.exitcode, equals: 0)
  }

  static let answer = TaskDefinition<Connection, NoResult>("answer") { connection in
    let given = try connection.receive(Connection.self)
    try given.send("through what was sent")
    return NoResult()
  }

  private static func sentOn(_ context: Context) throws {
    let (parent, child) = try Pipe()
    let process = Process(answer, child)
    try process.start()
    child.close()
    let (reader, writer) = try Pipe(duplex: false)
    try parent.send(writer)
    writer.close()
    try check(try reader.receive(String.self), equals: "through what was sent")
    try process.join()
    check(
      try reader.receive(String.self),
      throws: { (error: ConnectionError) in
        error.code == .endOfFile
      })
  }

  private static func sentinels(_ context: Context) throws {
    let (parent, child) = try Pipe()
    let process = Process(echo, Ends(own: child, other: parent))
    try process.start()
    child.close()
    let sentinel = try process.sentinel
    let both: [any Waitable] = [parent, sentinel]
    try check(try wait(for: both, timeout: .milliseconds(20)).isEmpty, "something is ready")
    try parent.sendBytes([1])
    try check(try wait(for: both).count, equals: 1)
    _ = try parent.receiveBytes()
    try process.terminate()
    try check(try wait(for: [sentinel]), equals: [sentinel])
    try check(try wait(for: both).count, equals: 2)
    try process.join()
  }

  static let takeSix = TaskDefinition<Queue<Int>, NoResult>("takeSix") { queue in
    for number in 1...6 {
      if try queue.get() != number { exit(3) }
    }
    return NoResult()
  }

  private static func fills(_ context: Context) throws {
    let queue = try Queue<Int>(maxSize: 6)
    for number in 1...6 { try queue.put(number) }
    try check(try queue.isFull && !queue.isEmpty, "it is not full")
    try run(takeSix, queue)
    try check(try !queue.isFull && queue.isEmpty, "it is not empty")
  }

  static let putTen = TaskDefinition<Queue<Int>, NoResult>("putTen") { queue in
    for number in 10..<20 { try queue.put(number) }
    return NoResult()
  }

  private static func takesTurns(_ context: Context) throws {
    let queue = try Queue<Int>()
    for number in 0..<10 { try queue.put(number) }
    try run(putTen, queue)
    for number in 0..<20 { try check(try queue.get(), equals: number) }
    try check(try queue.isEmpty, "it is not empty")
  }

  /// A child hands its queue on to a child of its own.
  static let handOn = TaskDefinition<Queue<Int>, NoResult>("handOn") { queue in
    try run(putTen, queue)
    return NoResult()
  }

  private static func handedOn(_ context: Context) throws {
    let queue = try Queue<Int>()
    try run(handOn, queue)
    try check(try queue.qsize, equals: 10)
  }

  static let putMany = TaskDefinition<SimpleQueue<[Int]>, NoResult>("putMany") { queue in
    for number in 0..<20_000 { try queue.put([number, number]) }
    return NoResult()
  }

  /// To join a process before its items are taken hangs with CPython's queues.
  private static func leavesBehind(_ context: Context) throws {
    let queue = try SimpleQueue<[Int]>()
    try run(putMany, queue)
    for number in 0..<20_000 { try check(try queue.get(), equals: [number, number]) }
    try check(try queue.isEmpty, "it is not empty")
  }

  static let putForEver = TaskDefinition<Queue<Int>, NoResult>("putForEver") { queue in
    for number in 0... { try queue.put(number) }
    return NoResult()
  }

  private static func killedProducer(_ context: Context) throws {
    let queue = try Queue<Int>()
    for _ in 0..<5 {
      let process = Process(putForEver, queue)
      try process.start()
      try check(try queue.get(), equals: 0)
      try process.kill()
      try process.join()
      for number in 1..<(try queue.qsize + 1) { try check(try queue.get(), equals: number) }
      try check(try queue.isEmpty, "it is not empty")
    }
  }

  struct Refused: Codable, Sendable {
    var connection: Connection
    var queue: Queue<Connection>
  }

  static let putConnection = TaskDefinition<Refused, NoResult>("putConnection") { refused in
    do throws(QueueError) {
      try refused.queue.put(refused.connection)
      exit(3)
    } catch {
      exit(error.code == .encoding ? 0 : 4)
    }
  }

  /// A connection is no item of a queue, also where one was started with it.
  private static func refusedItem(_ context: Context) throws {
    let (_, child) = try Pipe()
    try run(putConnection, Refused(connection: child, queue: try Queue()))
  }

  private static func run<A>(_ task: TaskDefinition<A, NoResult>, _ argument: A) throws {
    let process = Process(task, argument)
    try process.start()
    try process.join()
    try check(process.exitcode, equals: 0)
  }
}
