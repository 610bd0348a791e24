import Testing

@testable import HTTPServer

@Suite struct ExchangeTests {
  @Test func `a connection serves one request after another`() throws {
    let harness = try Harness()
    let client = try harness.client()
    for count in 1...3 {
      client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(harness.run { client.answers().count == count })
    }
    #expect(client.answers().map(\.body) == ["root", "root", "root"])
    #expect(client.answers()[0].headers["date"] != nil)
    #expect(!client.isEnded)
  }

  @Test func `pipelined requests are answered in their order`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        + "GET /jobs/7 HTTP/1.1\r\nHost: h\r\n\r\n" + "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"
        + "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 4 })
    #expect(client.answers().map(\.body) == ["abc", "7", "not_found", "root"])
  }

  @Test func `a request that comes byte by byte is read whole`() throws {
    let harness = try Harness()
    let client = try harness.client()
    for byte in "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".utf8 {
      client.send([byte])
      harness.settle()
    }
    #expect(harness.run { client.answers().count == 1 })
    #expect(client.answers()[0].body == "hello")
  }

  @Test func `a chunked body is put together`() throws {
    let harness = try Harness()
    let answer = try harness.ask(
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\n\r\n")
    #expect(answer.status == 200)
    #expect(answer.body == "abcdefgh")
  }

  @Test func `a request says what it holds`() throws {
    let harness = try Harness()
    _ = try harness.ask(
      "POST /echo?x=1 HTTP/1.1\r\nHost: h\r\nPREFER: wait=1\r\nX-Other: o\r\n"
        + "Prefer: respond-async\r\nContent-Type: application/json; charset=utf-8\r\n"
        + "Content-Length: 2\r\n\r\n{}")
    let request = try #require(harness.world.requests.first)
    #expect(request.method == .post)
    #expect(request.path == "/echo")
    #expect(request.query.first("x") == "1")
    #expect(request.header("prefer") == "wait=1, respond-async")
    #expect(request.header("content-type") == "application/json; charset=utf-8")
    #expect(request.header("x-request-id") == nil)
    #expect(request.header("x-other") == nil)
    #expect(request.body == [UInt8]("{}".utf8))
  }

  @Test func `lines of one name are joined, whichever of the most names it is`() throws {
    let names = (10..<74).map { "x-\($0)" }
    let harness = try Harness { $0.fieldsKept = names }
    let lines = names.flatMap { ["\($0): a\r\n", "\($0.uppercased()): \($0)\r\n"] }.joined()
    _ = try harness.ask("GET / HTTP/1.1\r\nHost: h\r\n\(lines)\r\n")
    let request = try #require(harness.world.requests.first)
    for name in names { #expect(request.header(name) == "a, \(name)") }
  }

  @Test func `nothing of a request is seen by the next on its connection`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send(
      "POST /echo?x=1 HTTP/1.1\r\nHost: h\r\nPrefer: wait=1\r\nContent-Length: 2\r\n\r\nab"
        + "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 })
    let second = harness.world.requests[1]
    #expect(second.path == "/")
    #expect(second.query.isEmpty)
    #expect(second.header("prefer") == nil)
    #expect(second.body.isEmpty)
    #expect(second.parameters.count == 0)
  }

  @Test func `paths and queries are decoded`() throws {
    let harness = try Harness()
    let answers = try [
      "/jobs/a%20b", "/jobs/a%2Fb", "/jobs/%C3%A9", "http://host:1/jobs/absolute",
      "/query?a=1+2&b=&a=%26%3D&a", "/%6Aobs/x",
    ].map { try harness.ask("GET \($0) HTTP/1.1\r\nHost: h\r\n\r\n").body }
    #expect(answers == ["a b", "a/b", "é", "absolute", "1 2|&=|", "x"])
  }

  @Test func `HEAD answers the headers of GET and no body`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers(isHead: true).count == 1 })
    client.send("HEAD /large HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers(isHead: true).count == 2 })
    let answers = client.answers(isHead: true)
    #expect(answers.map(\.status) == [200, 200])
    #expect(answers[0].headers["content-length"] == "4")
    #expect(answers[1].headers["content-length"] == "\(4 << 20)")
    #expect(client.text.hasSuffix("\r\n\r\n"))
    #expect(harness.world.requests[0].method == .head)
  }

  @Test func `204 has no body and keeps the connection`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("DELETE /jobs/1 HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 })
    #expect(client.answers().map(\.status) == [204, 200])
    #expect(client.answers()[0].headers["content-length"] == nil)
  }

  @Test func `a path without routes is 404 and the connection stays`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 })
    #expect(client.answers().map(\.status) == [404, 200])
  }

  @Test func `a method without a route is 405 and says which are allowed`() throws {
    let harness = try Harness()
    let answer = try harness.ask("PUT /jobs/1 HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(answer.status == 405)
    #expect(answer.body == "method_not_allowed")
    #expect(answer.headers["allow"] == "GET, HEAD, DELETE, OPTIONS")
  }

  @Test func `OPTIONS is answered with what is allowed`() throws {
    let harness = try Harness()
    let known = try harness.ask("OPTIONS /echo HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(known.status == 204)
    #expect(known.headers["allow"] == "POST, OPTIONS")
    let all = try harness.ask("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(all.status == 204)
    #expect(all.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
    #expect(try harness.ask("OPTIONS /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").status == 404)
  }

  @Test func `a client that expects 100 is told to go on before it sends the body`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    #expect(harness.run { client.text == "HTTP/1.1 100 Continue\r\n\r\n" })
    client.send("abc")
    #expect(harness.run { client.answers().count == 2 })
    #expect(client.answers()[1].body == "abc")
  }

  @Test func `a large answer reaches a client that reads late`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    for _ in 0..<5 { harness.turn() }
    #expect(harness.run { client.answers().count == 2 })
    #expect(client.answers()[0].body.utf8.count == 4 << 20)
    #expect(client.answers()[1].body == "root")
  }

  @Test func `a constant answer is sent as it stands in the program`() throws {
    let harness = try Harness()
    let answer = try harness.ask("GET /constant HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(answer.body == "unchanging")
    #expect(answer.headers["content-type"] == "text/plain")
  }

  @Test func `a header with a line break in it adds no header`() throws {
    let harness = try Harness()
    let answer = try harness.ask("GET /injected HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(answer.headers["x-c"] == nil)
    #expect(answer.headers["x-a"] == nil)
    #expect(answer.headers["x-e"] == "f")
  }

  /// With a date they go to libmicrohttpd as one, without it one by one.
  @Test(arguments: ["/headers", "/headers?type"], [nil, 784_111_777])
  func `every header is a line of its own, and none has control characters`(
    target: String, second: Int64?
  ) throws {
    let route = Route(.get, "/headers", name: "headers") { request, _ in
      var headers: HTTPHeaders = [
        "X-A": "b\r\nX-C: d", "X-B": "b\u{1}\u{1}X-C: d", "X-D": "", "X-E": "e: \u{E9} f",
        "X-F": "\n", "X-G": String(repeating: "g", count: 2_000), "X-H": "h\u{0}X-C: d",
        "X-I": "\u{7F}",
      ]
      headers.add("X-J", "j")
      let type: StaticString? = request.query.isEmpty ? nil : "text/plain"
      return .now(HTTPResponse(status: 200, contentType: type, headers: headers))
    }
    let harness = try Harness(adjusting: { _ in }, admit: nil, more: [route])
    harness.wallSecond = second
    let answer = try harness.ask("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
    let date = answer.headers["date"]
    #expect(second == nil ? date?.count == 29 : date == "Sun, 06 Nov 1994 08:49:37 GMT")
    let expected = [
      "x-e": "e: \u{E9} f", "x-g": String(repeating: "g", count: 2_000), "x-h": "h", "x-j": "j",
    ]
    #expect(answer.headers.filter { $0.key.hasPrefix("x-") } == expected)
    #expect(answer.headers["content-type"] == (target == "/headers" ? nil : "text/plain"))
    #expect(answer.body == "")
  }

  /// The server remembers how a name was spelt, and which value it had.
  @Test func `a header is found however its name is spelt, and has its own value`() throws {
    var seen: [String] = []
    let route = Route(.get, "/kept", name: "kept") { request, _ in
      let values = ["content-type", "prefer", "accept"].map { request.header($0) ?? "-" }
      seen.append(values.joined(separator: "|"))
      return .now(.empty())
    }
    let harness = try Harness(adjusting: { _ in }, admit: nil, more: [route])
    let client = try harness.client()
    let blocks = [
      "Content-Type: a\r\nPrefer: b", "content-type: a\r\nPREFER: b",
      "CoNtEnT-TyPe: a\r\nprefer: c", "Content-Type: a\r\nPrefer: b",
      "Prefer: b\r\nAccept: x\r\nPREFER: d\r\nprefer: b",
      "Prefix: b", "Content-Typf: a\r\nPrefer:", "Prefer: b",
    ]
    for block in blocks { client.send("GET /kept HTTP/1.1\r\nHost: h\r\n\(block)\r\n\r\n") }
    #expect(harness.run { client.answers().count == blocks.count })
    #expect(seen == ["a|b|-", "a|b|-", "a|c|-", "a|b|-", "-|b, d, b|-", "-|-|-", "-||-", "-|b|-"])
  }

  @Test func `HTTP 1_0 needs no Host and is closed after the answer`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET / HTTP/1.0\r\n\r\n")
    #expect(harness.run { client.isEnded })
    #expect(client.answers().map(\.body) == ["root"])
  }

  @Test func `two hundred connections are served side by side`() throws {
    let harness = try Harness()
    let clients = try (0..<200).map { _ in try harness.client() }
    for (index, client) in clients.enumerated() {
      client.send("GET /jobs/\(index) HTTP/1.1\r\nHost: h\r\n\r\n")
    }
    #expect(harness.run { clients.allSatisfy { $0.answers().count == 1 } })
    #expect(clients.map { $0.answers()[0].body } == (0..<200).map { "\($0)" })
  }

  @Test func `finished requests are observed with their route's name`() throws {
    let harness = try Harness()
    _ = try harness.ask("GET /jobs/secret HTTP/1.1\r\nHost: h\r\n\r\n")
    _ = try harness.ask("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")
    _ = try harness.ask("FOO / HTTP/1.1\r\nHost: h\r\n\r\n")
    _ = harness.run { harness.world.observed.count == 3 }
    #expect(harness.world.observed.map(\.route) == ["job", nil, nil])
    #expect(harness.world.observed.map(\.status) == [200, 404, 501])
    #expect(harness.world.observed.map(\.method) == [.get, .get, nil])
    #expect(harness.world.observed.allSatisfy { $0.isDelivered })
  }
}
