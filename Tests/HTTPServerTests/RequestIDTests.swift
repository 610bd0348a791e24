import Testing

@testable import HTTPServer

/// `X-Request-Id`: what a client sends comes back with every answer, and an error has one always.
@Suite struct RequestIDTests {
  private static let visible = String(
    String.UnicodeScalarView((0x21...0x7E).compactMap(Unicode.Scalar.init)))

  private func harness() throws -> Harness {
    try Harness { $0.requestIDPrefix = "made-" }
  }

  @Test(arguments: [
    "GET /query?a=b HTTP/1.1\r\n", "GET /nowhere HTTP/1.1\r\n", "PUT /query HTTP/1.1\r\n",
    "BREW / HTTP/1.1\r\n", "GET /at-once HTTP/1.1\r\n", "GET /written HTTP/1.1\r\n",
    "OPTIONS /query HTTP/1.1\r\n", "GET /jobs/%00 HTTP/1.1\r\n", "DELETE /jobs/7 HTTP/1.1\r\n",
    "GET /dropped HTTP/1.1\r\n", "POST /echo HTTP/1.1\r\nContent-Length: 9000\r\n",
  ])
  func `every answer repeats it`(request: String) throws {
    let harness = try harness()
    let answer = try harness.ask(request + "Host: h\r\nX-REQUEST-ID: my-id \r\n\r\n")
    #expect(answer.headers["x-request-id"] == "my-id")
    #expect(harness.run { !harness.world.observed.isEmpty })
    #expect(harness.world.observed.map(\.requestID) == [[UInt8]("my-id".utf8)])
  }

  @Test(arguments: [
    "x", RequestIDTests.visible, String(repeating: "y", count: 128),
    "\"a\", b=c".filter { $0 != " " },
  ])
  func `one of 1 to 128 visible characters is taken`(id: String) throws {
    let answer = try harness().ask("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: \(id)\r\n\r\n")
    #expect(answer.headers["x-request-id"] == id)
  }

  @Test(arguments: [
    "", "a b", "a\tb", "é", String(repeating: "y", count: 129), "a\r\nX-Request-Id: a",
  ])
  func `another is taken for none`(id: String) throws {
    let harness = try harness()
    let lines = "HTTP/1.1\r\nHost: h\r\nX-Request-Id: \(id)\r\n\r\n"
    #expect(try harness.ask("GET / \(lines)").headers["x-request-id"] == nil)
    let refused = try harness.ask("GET /nowhere \(lines)")
    #expect(refused.headers["x-request-id"] == "made-1")
  }

  @Test func `an error without one gets its own, and nothing else does`() throws {
    let harness = try harness()
    let client = try harness.client()
    for path in ["/nowhere", "/", "/dropped", "/nowhere"] {
      client.send("GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n")
    }
    #expect(harness.run { client.answers().count == 4 })
    let expected: [String?] = ["made-1", nil, "made-2", "made-3"]
    #expect(client.answers().map { $0.headers["x-request-id"] } == expected)
    #expect(harness.run { harness.world.observed.count == 4 })
    let observed = harness.world.observed.map { String(decoding: $0.requestID, as: UTF8.self) }
    #expect(observed == expected.map { $0 ?? "" })
    #expect(harness.world.observed.map(\.routeIndex) == [-1, 0, 9, -1])
  }

  @Test func `a request does not get the one of the request before`() throws {
    let harness = try harness()
    let client = try harness.client()
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: first\r\n\r\n")
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 })
    #expect(client.answers().map { $0.headers["x-request-id"] } == ["first", nil])
  }

  @Test func `without a prefix none is made`() throws {
    let answer = try Harness().ask("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(answer.headers["x-request-id"] == nil)
  }

  @Test func `open connections are counted`() throws {
    let harness = try harness()
    let clients = try (0..<3).map { _ in try harness.client() }
    for client in clients { client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") }
    #expect(harness.run { harness.server.connectionCount == 3 })
    harness.disconnect(clients[0])
    #expect(harness.run { harness.server.connectionCount <= 3 })
    clients[1].send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(harness.run { harness.server.connectionCount < 3 })
  }
}
