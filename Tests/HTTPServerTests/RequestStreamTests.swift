import Glibc
import Testing

@testable import HTTPServer

/// Bodies that are taken in pieces, while they arrive.
@Suite struct RequestStreamTests {
  /// What came of the body, and how it ended.
  final class Intake {
    var stream: RequestStream?
    var text = ""
    var isBroken = false
    var ends = 0
    /// What the stream does when it is made.
    var begin: (RequestStream) -> Void = { _ in }
    /// What it does with a piece.
    var taken: (RequestStream) -> Void = { _ in }
    var later: PendingResponse?
  }

  private let head = "POST /taken HTTP/1.1\r\nHost: h\r\n"

  private func harness(
    _ intake: Intake, _ adjust: (inout HTTPServerSettings) -> Void = { _ in }
  ) throws -> Harness {
    let route = Route(
      .post, "/taken", name: "taken",
      stream: { request in
        guard request.header("content-type") != "whole" else { return nil }
        let stream = RequestStream()
        stream.onPiece = { [unowned intake, unowned stream] bytes in
          intake.text += String(decoding: bytes, as: UTF8.self)
          intake.taken(stream)
        }
        stream.onBroken = { intake.isBroken = true }
        stream.onEnd = { later in
          intake.ends += 1
          intake.later = later()
          return .later
        }
        intake.stream = stream
        intake.begin(stream)
        return stream
      },
      action: { request, _ in .now(.text("whole \(request.body.count)")) })
    return try Harness(adjusting: adjust, admit: nil, more: [route])
  }

  @Test func `pieces come as they are sent, and the answer after the last`() throws {
    let intake = Intake()
    let harness = try harness(intake)
    let client = try harness.client()
    client.send(head + "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    #expect(harness.run { intake.text == "one" })
    client.send("3\r\ntwo\r\n")
    #expect(harness.run { intake.text == "onetwo" })
    #expect(intake.ends == 0)
    client.send("0\r\n\r\n")
    #expect(harness.run { intake.ends == 1 })
    intake.later?.resume(with: .text("taken"))
    #expect(harness.run { client.text.hasSuffix("taken") })
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.text.hasSuffix("root") })
    #expect(!intake.isBroken)
  }

  @Test func `a body may be longer than the limit of whole ones, or have none`() throws {
    let intake = Intake()
    let harness = try harness(intake)
    let client = try harness.client()
    client.send(head + "Content-Length: 50000\r\n\r\n" + String(repeating: "x", count: 50_000))
    #expect(harness.run { intake.ends == 1 })
    #expect(intake.text.utf8.count == 50_000)
    intake.later?.resume(with: .text("taken"))
    #expect(harness.run { client.text.hasSuffix("taken") })
    client.send(head + "Content-Length: 0\r\n\r\n")
    #expect(harness.run { intake.ends == 2 })
    intake.later?.resume(with: .text("nothing"))
    #expect(harness.run { client.text.hasSuffix("nothing") })
  }

  @Test func `a route may take another body whole`() throws {
    let intake = Intake()
    let harness = try harness(intake)
    let client = try harness.client()
    client.send(head + "Content-Type: whole\r\nContent-Length: 3\r\n\r\nabc")
    #expect(harness.run { client.text.hasSuffix("whole 3") })
    client.send(head + "Content-Type: whole\r\nContent-Length: 3000\r\n\r\n")
    #expect(harness.run { client.text.contains("413") })
    #expect(intake.stream == nil)
  }

  @Test func `who is held back sends no more, and no time-out runs`() throws {
    let intake = Intake()
    intake.taken = { $0.hold() }
    let harness = try harness(intake) { $0.bodyTimeout = .milliseconds(200) }
    let client = try harness.client()
    client.send(head + "Content-Length: 100000\r\n\r\n")
    let sent = client.send([UInt8](repeating: 120, count: 60_000))
    #expect(harness.run { !intake.text.isEmpty })
    harness.settle()
    let held = intake.text.utf8.count
    #expect(held < sent)
    harness.skew += 60_000_000_000
    harness.settle()
    #expect(intake.text.utf8.count == held && !intake.isBroken)
    intake.taken = { _ in }
    intake.stream?.resume()
    #expect(harness.run { intake.text.utf8.count == sent })
    client.send([UInt8](repeating: 120, count: 100_000 - sent))
    #expect(harness.run { intake.ends == 1 })
    intake.later?.resume(with: .text("taken"))
    #expect(harness.run { client.text.hasSuffix("taken") })
  }

  @Test func `a client that is silent is cut, one that is slow is not`() throws {
    let intake = Intake()
    let harness = try harness(intake) { $0.bodyTimeout = .milliseconds(400) }
    let client = try harness.client()
    client.send(head + "Transfer-Encoding: chunked\r\n\r\n")
    for count in 1...5 {
      client.send("1\r\nx\r\n")
      #expect(harness.run { intake.text.utf8.count == count })
      harness.skew += 300_000_000
    }
    #expect(!intake.isBroken)
    harness.skew += 500_000_000
    #expect(harness.run { intake.isBroken })
    #expect(intake.ends == 0)
  }

  @Test(arguments: [false, true])
  func `a client that leaves is noticed, also while it is held`(isHeld: Bool) throws {
    let intake = Intake()
    if isHeld { intake.taken = { $0.hold() } }
    let harness = try harness(intake) { $0.watchDelay = .milliseconds(1) }
    let client = try harness.client()
    client.send(head + "Content-Length: 100000\r\n\r\n" + String(repeating: "x", count: 40_000))
    #expect(harness.run { !intake.text.isEmpty })
    harness.settle()
    client.leave()
    #expect(harness.run { intake.isBroken })
    // What it had sent is taken all the same.
    #expect(intake.text.utf8.count == 40_000)
    #expect(harness.run { harness.server.connectionCount == 0 })
  }

  @Test func `a refusal is the answer, and a bounded rest is swallowed`() throws {
    let intake = Intake()
    intake.taken = { $0.refuse(with: .text("no", status: 422)) }
    let harness = try harness(intake)
    let client = try harness.client()
    client.send(head + "Content-Length: 600\r\n\r\n" + String(repeating: "x", count: 300))
    #expect(harness.run { !intake.text.isEmpty })
    let first = intake.text
    client.send(String(repeating: "x", count: 300))
    #expect(harness.run { client.text.hasSuffix("no") })
    #expect(intake.text == first && intake.ends == 0 && !intake.isBroken)
    client.send(head + "Content-Length: 90000\r\n\r\n" + String(repeating: "x", count: 60_000))
    #expect(harness.run { harness.server.connectionCount == 0 })
  }

  @Test func `a refusal at the begin is answered before a long body is read`() throws {
    let intake = Intake()
    intake.begin = { $0.refuse(with: .text("no", status: 422)) }
    let harness = try harness(intake)
    let client = try harness.client()
    client.send(head + "Transfer-Encoding: chunked\r\n\r\n")
    #expect(harness.run { client.text.hasSuffix("no") })
  }

  @Test func `a stop cuts bodies that are taken, held or not`() throws {
    for isHeld in [false, true] {
      let intake = Intake()
      if isHeld { intake.taken = { $0.hold() } }
      let harness = try harness(intake)
      let client = try harness.client()
      client.send(head + "Content-Length: 100000\r\n\r\n" + String(repeating: "x", count: 40_000))
      #expect(harness.run { !intake.text.isEmpty })
      harness.settle()
      harness.server.stop()
      #expect(intake.isBroken)
      intake.stream?.resume()
    }
  }
}
