import Testing

@testable import HTTPServer

/// Bodies in chunks whose lines have no room: libmicrohttpd would ask to be run for ever.
@Suite struct SpinTests {
  private static let head =
    "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
  private static let endless = String(repeating: "a", count: 40_000)

  enum Line: String, CaseIterable {
    case extensions, zeros, second

    var body: String {
      switch self {
      case .extensions: "1;" + endless
      case .zeros: String(repeating: "0", count: 40_000)
      case .second: "2\r\nab\r\n1;" + endless
      }
    }
  }

  @Test(arguments: Line.allCases)
  func `a line of a chunk that has no room ends its connection`(_ line: Line) throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send(Self.head + line.body)
    #expect(harness.run { client.isEnded })
    #expect(harness.run { harness.server.connections.allSatisfy { $0 == nil } })
    harness.settle()
  }

  @Test func `it is ended beside an answer that is owed`() throws {
    let harness = try Harness()
    let waiting = try harness.client()
    waiting.send("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    #expect(harness.run { harness.server.pendingCount == 1 })
    let wrong = try harness.client()
    wrong.send(Self.head + "1;" + Self.endless)
    #expect(harness.run { wrong.isEnded })
    harness.settle()
    harness.world.owed[0].resume(with: .text("late"))
    #expect(harness.run { waiting.answers().map(\.body) == ["late"] })
  }

  @Test func `several are ended, and bodies that only pause are not`() throws {
    let harness = try Harness()
    let slow = try (0..<8).map { _ in try harness.client() }
    for client in slow { client.send(Self.head + "2\r\nab\r\n1") }
    harness.settle()
    let wrong = try (0..<5).map { _ in try harness.client() }
    for client in wrong { client.send(Self.head + "1;" + Self.endless) }
    #expect(harness.run { wrong.allSatisfy(\.isEnded) }, "\(wrong.map(\.isEnded))")
    harness.settle()
    for client in slow { client.send("\r\nc\r\n0\r\n\r\n") }
    #expect(harness.run { slow.allSatisfy { !$0.answers().isEmpty || $0.isEnded } })
    #expect(slow.allSatisfy { $0.answers().first?.body == "abc" })
  }

  @Test func `others are answered meanwhile`() throws {
    let harness = try Harness()
    let wrong = try harness.client()
    wrong.send(Self.head + "1;" + Self.endless)
    let client = try harness.client()
    for count in 1...100 {
      client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(harness.run { client.answers().count == count || client.isEnded })
    }
    #expect(harness.run { wrong.isEnded })
    #expect(!client.isEnded)
  }

  @Test func `a large answer on its way is no sign of it`() throws {
    let harness = try Harness()
    let slow = try harness.client()
    slow.send(Self.head + "2\r\nab\r\n1")
    let client = try harness.client()
    for count in 1...4 {
      client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(harness.run { client.received.count > count * (4 << 20) || client.isEnded })
    }
    #expect(!slow.isEnded)
  }
}
