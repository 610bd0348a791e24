import Testing

@testable import HTTPServer

/// What comes again is recalled, and read as it was the first time; what only looks alike is not.
@Suite struct HeaderMemoryTests {
  /// All that can be told from outside of what became of the requests on a connection.
  struct Outcome: Equatable {
    var answers: [Client.Answer]
    var isEnded: Bool
    var prefers: [String?]
    var bodies: [[UInt8]]
  }

  private static let alike =
    "POST /echo HTTP/1.1\r\nHost: h\r\nPrefer: wait=1\r\nContent-Length: 3\r\n\r\nabc"

  private func outcome(of bytes: [UInt8], in harness: Harness) throws -> Outcome {
    harness.world.requests = []
    let client = try harness.client()
    client.send(bytes)
    harness.settle()
    defer { harness.disconnect(client) }
    let requests = harness.world.requests
    var answers = client.answers()
    for index in answers.indices { answers[index].headers["date"] = nil }
    return Outcome(
      answers: answers, isEnded: client.isEnded,
      prefers: requests.map { $0.header("prefer") }, bodies: requests.map(\.body))
  }

  @Test func `requests that are alike are read alike, on one connection and on others`() throws {
    let harness = try Harness()
    let client = try harness.client()
    for round in 1...8 {
      client.send(Self.alike)
      client.send("GET / HTTP/1.1\r\nHost: h\r\nPrefer: wait=\(round)\r\n\r\n")
      #expect(harness.run { client.answers().count == 2 * round })
      let other = try harness.ask(Self.alike)
      #expect(other.body == "abc")
    }
    let requests = harness.world.requests
    #expect(
      requests.filter { $0.method == .get }.map { $0.header("prefer") }
        == (1...8).map { "wait=\($0)" })
    let posts = requests.filter { $0.method == .post }
    #expect(posts.count == 16)
    for post in posts {
      #expect(post.header("prefer") == "wait=1")
      #expect(post.body == [UInt8]("abc".utf8))
    }
  }

  /// libmicrohttpd writes NUL over what ends a name or a line. Whoever sends NUL there himself must
  /// not have lines recalled that libmicrohttpd did not see.
  @Test func `what differs in one byte or in two is judged as by a server that recalls nothing`()
    throws
  {
    let request = [UInt8](Self.alike.utf8)
    let first = try #require(request.firstIndex(of: UInt8(ascii: "\n"))) + 1
    let places = (first..<request.count - 3).filter { ":\r\n ".utf8.contains(request[$0]) }
    let replacements = [UInt8]("\0\r\n: x".utf8)
    var variants: [[UInt8]] = []
    for (index, place) in places.enumerated() {
      for replacement in replacements {
        var one = request
        one[place] = replacement
        variants.append(one)
        for second in places.dropFirst(index + 1) {
          for replacement in replacements {
            var two = one
            two[second] = replacement
            variants.append(two)
          }
        }
      }
    }
    #expect(variants.count > 2_000)
    let knowing = try Harness()
    for variant in variants where variant != request {
      // It is met again each time, so that no other block of its length takes its place.
      #expect(try outcome(of: request, in: knowing).bodies == [[UInt8]("abc".utf8)])
      let told = try outcome(of: variant, in: knowing)
      let unknown = try outcome(of: variant, in: Harness())
      #expect(told == unknown, "\(String(decoding: variant, as: UTF8.self).debugDescription)")
    }
  }

  @Test func `credentials are shown to the owner, and an id is repeated, each time`() throws {
    var seen: [String] = []
    let harness = try Harness(
      adjusting: { _ in },
      admit: { arrival in
        seen.append(arrival.authorization.map { String(decoding: $0, as: UTF8.self) } ?? "")
        return nil
      })
    for _ in 1...3 {
      _ = try harness.ask("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer a\r\n\r\n")
    }
    #expect(seen == ["Bearer a", "Bearer a", "Bearer a"])
    for _ in 1...3 {
      let answer = try harness.ask("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: r\r\n\r\n")
      #expect(answer.headers["x-request-id"] == "r")
    }
  }

  @Test func `a chunked body is read each time, and HTTP 1.0 is judged as that`() throws {
    let harness = try Harness()
    for _ in 1...3 {
      let answer = try harness.ask(
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
      #expect(answer.body == "abc")
      #expect(try harness.ask("GET / HTTP/1.0\r\nHost: h\r\n\r\n").headers["connection"] == "close")
    }
  }
}
