import Testing

@testable import HTTPServer

/// What comes again is recalled, and read as it was the first time; what only looks alike is not.
@Suite struct HeaderMemoryTests {
  /// All that can be told from outside of what became of the requests on a connection.
  struct Outcome: Equatable {
    /// What was answered, but for the lines with the time of day.
    var lines: [Substring]
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
    return Outcome(
      lines: client.text.split(separator: "\r\n").filter { !$0.hasPrefix("Date: ") },
      isEnded: client.isEnded, prefers: requests.map { $0.header("prefer") },
      bodies: requests.map(\.body))
  }

  /// Expects that a server which has the block of `alike` judges a request as one that knows none.
  private func expectNoDifference(of variant: [UInt8], in knowing: Harness) throws {
    // It is met again each time, so that no other block of its length takes its place.
    let recalled = knowing.server.headerMemory.recalledCount
    _ = try outcome(of: [UInt8](Self.alike.utf8), in: knowing)
    #expect(knowing.server.headerMemory.recalledCount == recalled + 1)
    let told = try outcome(of: variant, in: knowing)
    let unknown = try outcome(of: variant, in: Harness())
    #expect(told == unknown, "\(String(decoding: variant, as: UTF8.self).debugDescription)")
  }

  private func knowingHarness() throws -> Harness {
    let harness = try Harness()
    #expect(try harness.ask(Self.alike).body == "abc")
    return harness
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
    #expect(harness.server.headerMemory.recalledCount >= 15)
    let requests = harness.world.requests
    let asked = requests.filter { $0.method == .get }.map { $0.header("prefer") }
    #expect(asked == (1...8).map { "wait=\($0)" })
    let posts = requests.filter { $0.method == .post }
    #expect(posts.count == 16)
    for post in posts {
      #expect(post.header("prefer") == "wait=1")
      #expect(post.body == [UInt8]("abc".utf8))
    }
  }

  @Test func `a block gives its place up when others of its length come`() throws {
    let harness = try knowingHarness()
    let other = Self.alike.replacing("wait=1", with: "wait=2")
    for _ in 1...5 { #expect(try harness.ask(other).body == "abc") }
    let recalled = harness.server.headerMemory.recalledCount
    #expect(try harness.ask(other).body == "abc")
    #expect(harness.server.headerMemory.recalledCount == recalled + 1)
    #expect(harness.world.requests.last?.header("prefer") == "wait=2")
  }

  @Test func `what differs in one byte or in two is judged as by a server that recalls nothing`()
    throws
  {
    let request = [UInt8](Self.alike.utf8)
    let first = try #require(request.firstIndex(of: UInt8(ascii: "\n"))) + 1
    let places = (first..<request.count - 3).filter { ":\r\n ".utf8.contains(request[$0]) }
    let replacements = [UInt8]("\0\n:x".utf8)
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
    #expect(variants.count > 1_000)
    let knowing = try knowingHarness()
    for variant in variants where variant != request {
      try expectNoDifference(of: variant, in: knowing)
    }
  }

  /// libmicrohttpd writes NUL over what ends a name or a line. Whoever sends NUL there himself
  /// leaves the bytes of a known block, of which it has seen fewer lines: recalled, a body would be
  /// read that it takes for the next request, or the other way round.
  @Test(arguments: ["Prefer:", "Content-Length:"])
  func `a line that libmicrohttpd did not see is not recalled`(_ name: String) throws {
    let knowing = try knowingHarness()
    let hidden = Self.alike.replacing("\r\n\(name)", with: "\0\0\(name.dropLast())\0")
    try expectNoDifference(of: [UInt8](hidden.utf8), in: knowing)
    let answer = try knowing.ask(hidden)
    #expect(answer.status == 400)
  }

  @Test(arguments: [
    "Authorization: Bearer a", "Cookie: a=b", "Proxy-Authorization: a", "X-Api-Key: a",
    "X-Request-Id: r", "Transfer-Encoding: chunked",
  ])
  func `a block with a secret, or with more to say, is read each time`(_ line: String) throws {
    var seen: [String] = []
    let harness = try Harness(
      adjusting: { _ in },
      admit: { arrival in
        seen.append(arrival.authorization.map { String(decoding: $0, as: UTF8.self) } ?? "")
        return nil
      })
    for _ in 1...3 {
      let answer = try harness.ask(
        "POST /echo HTTP/1.1\r\nHost: h\r\n\(line)\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
      #expect(answer.status == 200)
      #expect(answer.headers["x-request-id"] == (line.hasPrefix("X-R") ? "r" : nil))
      #expect(answer.body == (line.hasPrefix("T") ? "abc" : ""))
    }
    #expect(harness.server.headerMemory.recalledCount == 0)
    let credentials = line.hasPrefix("Authorization") ? "Bearer a" : ""
    #expect(seen.filter { $0 == credentials }.count >= 3)
  }

  @Test(arguments: [
    "Host: a\r\nHost: b\r\n", "Host: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n",
    "Prefer: a\r\n",
  ])
  func `what is refused is refused each time, whatever HTTP 1.0 was allowed`(_ lines: String) throws
  {
    let harness = try Harness()
    for _ in 1...3 {
      _ = try harness.ask("GET / HTTP/1.0\r\n\(lines)\r\n")
      #expect(try harness.ask("GET / HTTP/1.1\r\n\(lines)\r\n").status == 400)
    }
    #expect(harness.server.headerMemory.recalledCount == 0)
  }

  @Test func `the names that most clients send do not keep a block from being recalled`() throws {
    let harness = try Harness()
    let request =
      "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: a\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"
      + "Accept-Language: en\r\nConnection: keep-alive\r\n\r\n"
    for _ in 1...3 { #expect(try harness.ask(request).status == 200) }
    #expect(harness.server.headerMemory.recalledCount == 2)
  }

  @Test func `a block of more than 1,024 bytes is read each time`() throws {
    let harness = try Harness()
    let value = String(repeating: "a", count: 1_024)
    for _ in 1...3 {
      #expect(
        try harness.ask("GET / HTTP/1.1\r\nHost: h\r\nPrefer: \(value)\r\n\r\n").status == 200)
    }
    #expect(harness.server.headerMemory.recalledCount == 0)
    #expect(harness.world.requests.last?.header("prefer") == value)
  }
}
