import Testing

@testable import HTTPServer

/// What the owner of a server is asked before a request is let in, and what follows.
@Suite struct AdmissionTests {
  /// Lets in whoever says `Authorization: yes`, and everybody to the root.
  private final class Doorkeeper {
    var seen: [String] = []

    func judge(_ arrival: HTTPArrival) -> HTTPDenial? {
      let credentials = arrival.authorization.map { String(decoding: $0, as: UTF8.self) }
      let method = arrival.method?.rawValue ?? "none"
      seen.append(
        "\(method) \(arrival.route ?? "nowhere") \(credentials ?? "nothing") "
          + (arrival.header("prefer") ?? "-"))
      if arrival.route == "root" || credentials == "yes" { return nil }
      return HTTPDenial(status: 401, code: "unauthorized", detail: "no", challenge: "Bearer")
    }
  }

  private let doorkeeper = Doorkeeper()

  private func harness() throws -> Harness {
    try Harness(adjusting: { _ in }, admit: { [doorkeeper] in doorkeeper.judge($0) })
  }

  @Test(arguments: [
    ("GET /query HTTP/1.1\r\nHost: h\r\n\r\n", "GET query nothing -"),
    ("GET /nowhere HTTP/1.1\r\nHost: h\r\nPrefer: a\r\n\r\n", "GET nowhere nothing a"),
    ("PUT /query HTTP/1.1\r\nHost: h\r\n\r\n", "PUT nowhere nothing -"),
    ("OPTIONS /query HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS nowhere nothing -"),
    ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS nowhere nothing -"),
    ("BREW /query HTTP/1.1\r\nHost: h\r\n\r\n", "none nowhere nothing -"),
    ("GET /jobs/%00 HTTP/1.1\r\nHost: h\r\n\r\n", "GET nowhere nothing -"),
    ("GET /query HTTP/1.1\r\nHost: h\r\nauthorization: no \r\n\r\n", "GET query no -"),
    (
      "GET /query HTTP/1.1\r\nHost: h\r\nAuthorization: yes\r\nAuthorization: yes\r\n\r\n",
      "GET query  -"
    ),
    ("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "POST echo nothing -"),
  ])
  func `who is not let in learns nothing else`(request: String, seen: String) throws {
    let harness = try harness()
    let client = try harness.client()
    client.send(request)
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 || client.isEnded })
    #expect(client.answers().map(\.status) == [401, 200], "the connection goes on")
    #expect(client.answers().first?.body == "unauthorized")
    #expect(client.answers().first?.headers["allow"] == nil)
    #expect(doorkeeper.seen == [seen, "GET root nothing -"], "asked once for each request")
    #expect(harness.world.requests.count == 1, "only the root was reached")
  }

  @Test func `who is let in goes on to the route, or to its refusal`() throws {
    let harness = try harness()
    let lines = "HTTP/1.1\r\nHost: h\r\nAuthorization: yes\r\n"
    #expect(try harness.ask("GET /query?a=b \(lines)\r\n").body == "b")
    #expect(try harness.ask("GET /nowhere \(lines)\r\n").status == 404)
    #expect(try harness.ask("PUT /query \(lines)\r\n").status == 405)
    let echoed = try harness.ask("POST /echo \(lines)Content-Length: 3\r\n\r\nabc")
    #expect(echoed.body == "abc")
    #expect(harness.world.requests.first?.header("authorization") == nil, "it is not kept")
  }

  @Test(arguments: [
    "Content-Length: 70000", "Content-Length: 9000000000", "Transfer-Encoding: chunked",
    "Expect: 100-continue\r\nContent-Length: 70000",
  ])
  func `a long body of somebody who is not let in is not waited for`(length: String) throws {
    let harness = try harness()
    let client = try harness.client()
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\n\(length)\r\n\r\n")
    #expect(harness.run { client.isEnded })
    #expect(client.answers().map(\.status) == [401])
  }

  @Test func `a request whose framing is in doubt is refused before anybody is asked`() throws {
    let harness = try harness()
    let answer = try harness.ask("GET /query HTTP/1.1\r\n\r\n")
    #expect(answer.status == 400)
    #expect(doorkeeper.seen.isEmpty)
  }
}
