import Glibc
import Testing

@testable import HTTPServer

/// A server, its clients, and the loop that joins them, all on the test's thread. Waiting is
/// poll(2) on every descriptor, bounded; nothing sleeps. Time is the real clock plus `skew`,
/// until `stopClock()`.
final class Harness {
  private static let boundNanoseconds: UInt64 = 10_000_000_000

  let server: HTTPServer
  let loop = PollLoop()
  private(set) var clients: [Client] = []
  /// Nanoseconds that the server is told have passed beyond those that have.
  var skew: UInt64 = 0
  /// What the server is told of the clock on the wall; nil: nothing.
  var wallSecond: Int64?
  /// Where the clock was stopped; nil while it runs.
  private var stoppedAt: UInt64?
  /// What the owner does after each run: its turn.
  var afterRun: () -> Void = {}
  let world: World

  /// What the routes below did.
  final class World {
    var owed: [PendingResponse] = []
    var observed: [HTTPObservation] = []
    var requests: [HTTPRequest] = []
    var streams: [ResponseStream] = []
    /// Serials of the streams that were told of their end.
    var closed: [Int] = []

    /// A stream that is full at 1,000 bytes and notes its end.
    func makeStream() -> ResponseStream {
      let stream = ResponseStream(bufferBytesMax: 1_000)
      let serial = streams.count
      stream.onClosed = { self.closed.append(serial) }
      streams.append(stream)
      return stream
    }
  }

  convenience init(_ adjust: (inout HTTPServerSettings) -> Void = { _ in }) throws {
    try self.init(adjusting: adjust, admit: nil)
  }

  init(
    adjusting adjust: (inout HTTPServerSettings) -> Void, admit: ((HTTPArrival) -> HTTPDenial?)?,
    more routes: [Route] = []
  ) throws {
    signal(SIGPIPE, SIG_IGN)
    let world = World()
    self.world = world
    var settings = HTTPServerSettings(
      port: 0, fieldsKept: ["content-type", "prefer", "x-request-id"])
    settings.bodyBytesMax = 1_000
    adjust(&settings)
    server = try HTTPServer(
      settings: settings, router: Self.router(world, routes), watcher: loop,
      problem: { .text($0.code, status: $0.status) }, admit: admit,
      observe: { world.observed.append($0) })
  }

  private static func router(_ world: World, _ more: [Route]) -> Router {
    Router(
      more + [
        Route(.get, "/", name: "root") { request, _ in
          world.requests.append(request)
          return .now(.text("root"))
        },
        Route(.post, "/echo", name: "echo") { request, _ in
          world.requests.append(request)
          return .now(HTTPResponse(status: 200, contentType: "text/plain", body: request.body))
        },
        Route(.get, "/jobs/{id}", name: "job") { request, _ in
          .now(.text(request.parameters["id"] ?? "none"))
        },
        Route(.delete, "/jobs/{id}", name: "forget") { _, _ in .now(.empty()) },
        Route(.get, "/query", name: "query") { request, _ in
          .now(.text(request.query.all("a").joined(separator: "|")))
        },
        Route(.get, "/large", name: "large") { _, _ in
          .now(HTTPResponse(status: 200, body: [UInt8](repeating: 97, count: 4 << 20)))
        },
        Route(.get, "/injected", name: "injected") { _, _ in
          .now(HTTPResponse(status: 200, headers: ["X-A": "b\r\nX-C: d", "X-E": "f"]))
        },
        Route(.get, "/constant", name: "constant") { _, _ in
          .now(HTTPResponse(status: 200, contentType: "text/plain", constant: "unchanging"))
        },
        Route(.get, "/at-once", name: "at-once") { _, later in
          later().resume(with: .text("at once"))
          return .later
        },
        Route(.get, "/dropped", name: "dropped") { _, later in
          _ = later()
          return .later
        },
        Route(.get, "/changed-mind", name: "changed-mind") { _, later in
          world.owed.append(later())
          return .now(.text("now"))
        },
        Route(.post, "/release", name: "release") { _, _ in
          for pending in world.owed { pending.resume(with: .text("released")) }
          world.owed = []
          return .now(.text("done"))
        },
        Route(.get, "/stream", name: "stream") { _, _ in
          .now(HTTPResponse(status: 200, contentType: "text/plain", stream: world.makeStream()))
        },
        Route(.get, "/stream/{status}", name: "status") { request, _ in
          let status = request.parameters["status"].flatMap { Int($0) } ?? 200
          return .now(HTTPResponse(status: status, stream: world.makeStream()))
        },
        Route(.get, "/written", name: "written") { _, _ in
          let stream = world.makeStream()
          stream.write([UInt8]("all ".utf8))
          stream.write([UInt8]("at once".utf8))
          stream.finish()
          return .now(HTTPResponse(status: 200, stream: stream))
        },
        Route(.post, "/later", name: "later") { request, later in
          world.requests.append(request)
          world.owed.append(later())
          return .later
        },
      ])
  }

  func client() throws -> Client {
    let client = try Client(port: server.port)
    clients.append(client)
    return client
  }

  /// A client with a small buffer, that reads nothing by itself.
  func clientThatDoesNotRead() throws -> Client {
    let client = try Client(port: server.port, receiveBytesMax: 16_384)
    client.isReading = false
    clients.append(client)
    return client
  }

  /// A client that leaves at once, its FIN (or reset) sent.
  func disconnect(_ client: Client) {
    clients.removeAll { $0 === client }
  }

  /// The moment that the server is told.
  func moment() -> UInt64 { (stoppedAt ?? Self.clock()) + skew }

  /// From now on time passes by `skew` alone, however long the machine pauses.
  func stopClock() { stoppedAt = Self.clock() }

  /// Turns the loop until the condition holds; `false` when it does not within 10 s.
  func run(until condition: () -> Bool) -> Bool {
    let bound = Self.clock() + Self.boundNanoseconds
    while !condition() {
      guard Self.clock() < bound else { return false }
      turn()
    }
    return true
  }

  /// Turns the loop while anything is ready: with nothing left to do, and every byte that clients
  /// sent delivered (loopback delivers within `send`).
  func settle() {
    let bound = Self.clock() + Self.boundNanoseconds
    loop.wait(milliseconds: 0)
    repeat {
      server.run(at: moment(), wallSecond: wallSecond)
      guard Self.clock() < bound else {
        Issue.record("the server never comes to rest")
        return
      }
    } while isReady()
    for client in clients where client.isReading { client.receive() }
  }

  /// Lets so much time pass that every connection whose answer is owed by now is suspended.
  func park() {
    settle()
    skew += HTTPServer.parkDelay
    settle()
  }

  private func isReady() -> Bool {
    let now = moment()
    return loop.wait(milliseconds: 0) > 0 || server.nextDeadline(at: now) == now
  }

  /// Sends on a new connection and waits for the first whole answer.
  func ask(_ text: String, isHead: Bool = false) throws -> Client.Answer {
    let client = try client()
    client.send(text)
    _ = run { !client.answers(isHead: isHead).isEmpty || client.isEnded }
    return try #require(
      client.answers(isHead: isHead).first, "no answer to \(text.debugDescription)")
  }

  /// Waits for what is ready, for a second at most, and does it.
  func turn() {
    let now = moment()
    var wait: Int32 = 1_000
    if let deadline = server.nextDeadline(at: now) {
      wait = Int32(min(1_000, (deadline - now + 999_999) / 1_000_000))
    }
    let reading = clients.filter { !$0.isEnded && $0.isReading }
    loop.wait(milliseconds: wait, others: reading.map(\.descriptor))
    server.run(at: moment(), wallSecond: wallSecond)
    afterRun()
    for client in clients where client.isReading { client.receive() }
  }

  private static func clock() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

extension UInt64 {
  /// Seconds as nanoseconds.
  static func seconds(_ count: UInt64) -> UInt64 { count * 1_000_000_000 }

  /// Milliseconds as nanoseconds.
  static func milliseconds(_ count: UInt64) -> UInt64 { count * 1_000_000 }
}
