import Testing

@testable import HTTPServer

/// Raw bytes in, the expected status out.
@Suite struct RefusalTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var request: String
    var status: Int
    var code: String
    /// The framing is in doubt, so nothing after this request may be read.
    var isClosed: Bool
    var testDescription: String { request.debugDescription }

    init(_ request: String, _ status: Int, _ code: String, closed: Bool = false) {
      self.request = request
      self.status = status
      self.code = code
      isClosed = closed
    }
  }

  static let lines = "Host: h\r\n"
  static let cases = [
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      400, "invalid_request", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Content-Length: 3\r\ncontent-length: 4\r\n\r\nabc",
      400, "invalid_request", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "0\r\n\r\n", 400, "invalid_request", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      501, "not_implemented", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      501, "not_implemented", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Transfer-Encoding: chunked\r\n"
        + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, "not_implemented", closed: true),
    Case(
      "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400, "invalid_request", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      400, "invalid_request", closed: true),
    Case(
      "GET / HTTP/1.1\r\n\(lines)A b: c\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\n\(lines)A\tb: c\r\n\r\n", 400, "invalid_request", closed: true),
    Case(
      "GET / HTTP/1.1\r\n\(lines)Prefer: a\u{1}b\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\n\(lines)A: b\r\n c\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\n\(lines)A: b\r\n\tc\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\n\(lines)A: b\rc: d\r\n\r\n", 400, "invalid_request", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Content-Length:\r\n 3\r\n\r\nabc",
      400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\nHost: h\n\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\nHost: h\0x\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET /\0/x HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request", closed: true),
    Case("GET\0X / HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request", closed: true),
    Case("GET  / HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request", closed: true),
    // libmicrohttpd ends the block at these lines, and would take the next for another request.
    Case("GET / HTTP/1.1\r\n\(lines)\0A: b\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\n\(lines)\0\r\n", 400, "invalid_request", closed: true),
    Case(
      "GET / HTTP/1.1\r\n\(lines): b\r\nContent-Length: 3\r\n\r\nabc",
      400, "invalid_request", closed: true),
    Case("GET / HTTP/1.0\r\n\0A: b\r\n\r\n", 400, "invalid_request", closed: true),
    Case("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "invalid_request", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Content-Length: 1001\r\n\r\n",
      413, "payload_too_large", closed: true),
    Case(
      "POST /echo HTTP/1.1\r\n\(lines)Content-Length: 9223372036854775807\r\n\r\n",
      413, "payload_too_large", closed: true),
    Case(
      "GET / HTTP/1.1\r\n\(lines)X: \(String(repeating: "a", count: 9_000))\r\n\r\n",
      431, "headers_too_large", closed: true),
    Case("GET /jobs/a%00b HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET /jobs/%ff HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET /jobs/%zz HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET /jobs/a% HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET /jobs/a b HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET /query?a=%ff HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET /query?a=%4 HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET jobs HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET * HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET http:///jobs/1 HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET http://h#/jobs/1 HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("GET http://a b/jobs/1 HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("DELETE http://h HTTP/1.1\r\n\(lines)\r\n", 405, "method_not_allowed"),
    Case("DELETE http://h?/jobs/1 HTTP/1.1\r\n\(lines)\r\n", 405, "method_not_allowed"),
    Case("FOO / HTTP/1.1\r\n\(lines)\r\n", 501, "not_implemented"),
    Case("TRACE / HTTP/1.1\r\n\(lines)\r\n", 405, "method_not_allowed"),
    Case("QUERY / HTTP/1.1\r\n\(lines)\r\n", 405, "method_not_allowed"),
    Case("TRACE /nowhere HTTP/1.1\r\n\(lines)\r\n", 404, "not_found"),
    Case("TRACE * HTTP/1.1\r\n\(lines)\r\n", 400, "invalid_request"),
    Case("trace / HTTP/1.1\r\n\(lines)\r\n", 501, "not_implemented"),
    Case("get / HTTP/1.1\r\n\(lines)\r\n", 501, "not_implemented"),
    Case("CONNECT h:1 HTTP/1.1\r\n\(lines)\r\n", 501, "not_implemented"),
    Case("GET /jobs/ HTTP/1.1\r\n\(lines)\r\n", 404, "not_found"),
    Case("GET //jobs/1 HTTP/1.1\r\n\(lines)\r\n", 404, "not_found"),
    Case("GET /jobs/1/../2 HTTP/1.1\r\n\(lines)\r\n", 404, "not_found"),
  ]

  @Test(arguments: cases)
  func `a request that is not sound is refused`(_ one: Case) throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send(one.request)
    #expect(harness.run { !client.answers().isEmpty || client.isEnded })
    let answer = try #require(client.answers().first)
    #expect(answer.status == one.status)
    #expect(answer.body == one.code)
    #expect(harness.world.requests.isEmpty)
    // Those that are only refused leave the connection usable, the others must not.
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 || client.isEnded })
    #expect(client.isEnded == one.isClosed)
    #expect(client.answers().count == (one.isClosed ? 1 : 2))
  }

  @Test func `a header block within the limit passes`() throws {
    let harness = try Harness()
    let value = String(repeating: "a", count: 8_000)
    let large = try harness.ask("GET / HTTP/1.1\r\nHost: h\r\nX: \(value)\r\n\r\n")
    #expect(large.status == 200)
    let many = (0..<100).map { "X-\($0): \($0)\r\n" }.joined()
    #expect(try harness.ask("GET / HTTP/1.1\r\nHost: h\r\n\(many)\r\n").status == 200)
  }

  @Test func `requests without headers, and with empty ones, pass`() throws {
    let harness = try Harness()
    #expect(try harness.ask("GET / HTTP/1.0\r\n\r\n").status == 200)
    #expect(try harness.ask("GET / HTTP/1.1\r\nHost: h\r\nX:\r\nY: \t \r\n\r\n").status == 200)
    #expect(try harness.ask("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").body == "root")
    let cookies = "Cookie: a=b; c=\"d\"; e\r\n"
    #expect(try harness.ask("GET / HTTP/1.1\r\nHost: h\r\n\(cookies)\r\n").status == 200)
  }

  @Test func `a query may have as many parameters as the header has room for`() throws {
    let harness = try Harness()
    let query = String(repeating: "a=1&", count: 1_900)
    let answer = try harness.ask("GET /query?\(query) HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(answer.status == 200)
    #expect(answer.body.utf8.count == 1_900 * 2 - 1)
    let marks = try harness.ask(
      "GET /query?a=1?&\(String(repeating: "?&", count: 900)) HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(marks.body == "1?")
  }

  @Test func `a client may expect 100 without a body, with the next request right behind`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send(
      "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n"
        + "GET /constant HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.text.hasSuffix("unchanging") || client.isEnded })
    #expect(client.text.contains("\r\n\r\nroot"))
    #expect(!client.isEnded)
  }

  @Test func `a client that expects 100 and has too much to send is refused before it sends`()
    throws
  {
    let harness = try Harness()
    let answer = try harness.ask(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
    #expect(answer.status == 413)
  }

  @Test func `a body of exactly the limit passes`() throws {
    let harness = try Harness()
    let body = String(repeating: "b", count: 1_000)
    let answer = try harness.ask(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n\(body)")
    #expect(answer.body == body)
  }

  @Test func `a chunked body over the limit is read on a little and refused`() throws {
    let harness = try Harness()
    let client = try harness.client()
    let chunk = "1F4\r\n" + String(repeating: "c", count: 500) + "\r\n"
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(chunk + chunk + chunk + "0\r\n\r\n")
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 })
    #expect(client.answers().map(\.status) == [413, 200])
    #expect(harness.world.requests.count == 1)
  }

  @Test func `a chunked body far over the limit is cut`() throws {
    let harness = try Harness()
    let client = try harness.client()
    let chunk = "1F4\r\n" + String(repeating: "c", count: 500) + "\r\n"
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(String(repeating: chunk, count: 6))
    #expect(harness.run { client.isEnded })
    #expect(client.answers().isEmpty)
  }

  @Test func `a request that is refused anyway is not made to send a large body`() throws {
    let harness = try Harness { $0.bodyBytesMax = 1 << 20 }
    let client = try harness.client()
    client.send("POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
    #expect(harness.run { client.isEnded })
    #expect(client.answers().map(\.status) == [404])
  }
}
