import Glibc
import TestSupport
import Testing

@testable import HTTPServer

@Suite struct StreamTests {
  private let request = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"

  /// A client whose answer has begun, with its stream, which has nothing to send.
  private func streaming(_ harness: Harness) throws -> (Client, ResponseStream) {
    let before = harness.world.streams.count
    let client = try harness.client()
    client.send(request)
    try #require(harness.run { harness.world.streams.count == before + 1 && !client.text.isEmpty })
    harness.settle()
    return (client, harness.world.streams[before])
  }

  private func bytes(_ text: String) -> [UInt8] { [UInt8](text.utf8) }

  @Test func `what is written comes when it is written, and the connection goes on`() throws {
    let harness = try Harness()
    let (client, stream) = try streaming(harness)
    #expect(client.chunked?.head.contains("Transfer-Encoding: chunked\r\n") == true)
    #expect(client.chunked?.chunks.isEmpty == true)
    for (index, piece) in ["one", "two", "three"].enumerated() {
      #expect(stream.write(bytes(piece)))
      #expect(harness.run { client.chunked?.chunks.count == index + 1 })
      harness.settle()
    }
    #expect(client.chunked?.isWhole == false)
    stream.finish()
    #expect(harness.run { client.chunked?.isWhole == true })
    #expect(client.chunked?.text == "onetwothree")
    #expect(harness.server.streamCount == 0)
    client.send("GET /jobs/7 HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.text.hasSuffix("\r\n\r\n7") })
    #expect(harness.world.closed.isEmpty)
    #expect(harness.world.observed.map(\.route) == ["stream", "job"])
    #expect(harness.world.observed.map(\.isDelivered) == [true, true])
  }

  @Test func `what is written in one turn is one chunk`() throws {
    let harness = try Harness()
    let (client, stream) = try streaming(harness)
    for _ in 0..<100 { stream.write(bytes("ab")) }
    #expect(harness.run { client.chunked?.text.count == 200 })
    #expect(client.chunked?.chunks.count == 1)
  }

  @Test func `a stream that is whole before it is answered goes out at once`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET /written HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.text.hasSuffix("root") })
    #expect(client.chunked?.text == "all at once")
    #expect(client.chunked?.isWhole == true)
    harness.world.streams = []
    harness.settle()
    #expect(harness.server.streamCount == 0)
  }

  @Test(arguments: [true, false])
  func `an answer that was owed may be a stream`(isParked: Bool) throws {
    let harness = try Harness()
    harness.stopClock()
    let client = try harness.client()
    client.send("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    #expect(harness.run { harness.server.pendingCount == 1 })
    if isParked { harness.park() }
    #expect(harness.server.suspendedCount == (isParked ? 1 : 0))
    let stream = harness.world.makeStream()
    harness.world.owed[0].resume(with: HTTPResponse(status: 201, stream: stream))
    #expect(harness.run { client.chunked != nil })
    harness.settle()
    stream.write(bytes("late"))
    stream.finish()
    #expect(harness.run { client.chunked?.isWhole == true })
    #expect(client.chunked?.text == "late")
    #expect(client.chunked?.head.hasPrefix("HTTP/1.1 201 ") == true)
  }

  @Test(arguments: ["", "Connection: keep-alive\r\n"])
  func `over HTTP 1_0 the body ends with the connection`(header: String) throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET /stream HTTP/1.0\r\n\(header)\r\n")
    #expect(harness.run { !client.text.isEmpty })
    harness.settle()
    let stream = harness.world.streams[0]
    stream.write(bytes("one"))
    #expect(harness.run { client.text.hasSuffix("\r\n\r\none") })
    harness.settle()
    let long = String(repeating: "x", count: 100_000)
    stream.write(bytes(long))
    stream.finish()
    #expect(harness.run { client.isEnded })
    #expect(client.text.hasSuffix("\r\n\r\none" + long))
    #expect(!client.text.contains("chunked"))
    #expect(!client.text.contains("Content-Length"))
    #expect(harness.world.closed.isEmpty)
  }

  @Test(arguments: ["HTTP/1.1", "HTTP/1.0"])
  func `HEAD is answered without a body, a length or a stray chunk`(version: String) throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("HEAD /stream \(version)\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.isEnded })
    #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(client.text.hasSuffix("\r\n\r\n"))
    #expect(client.text.firstRange(of: "\r\n\r\n")?.upperBound == client.text.endIndex)
    #expect(!client.text.contains("Content-Length"))
    #expect(harness.world.closed == [0])
    #expect(harness.world.streams[0].write(bytes("to nobody")) == false)
    #expect(harness.server.streamCount == 0)
    #expect(harness.world.observed.map(\.isDelivered) == [true])
  }

  @Test(arguments: [204, 304])
  func `a status without a body closes the stream`(status: Int) throws {
    let harness = try Harness()
    let answer = try harness.ask(
      "GET /stream/\(status) HTTP/1.1\r\nHost: h\r\n\r\n", isHead: true)
    #expect(answer.status == status)
    #expect(harness.world.closed == [0])
    #expect(!harness.world.streams[0].isOpen)
  }

  @Test func `a stream that failed is cut after what was written`() throws {
    let harness = try Harness()
    let (client, stream) = try streaming(harness)
    stream.write(bytes("so far"))
    stream.fail()
    #expect(!stream.isOpen)
    #expect(stream.write(bytes("not this")) == false)
    #expect(harness.run { client.isEnded })
    #expect(client.chunked?.text == "so far")
    #expect(client.chunked?.isWhole == false)
    #expect(harness.world.closed.isEmpty)
    #expect(harness.world.observed.map(\.isDelivered) == [false])
  }

  @Test func `a stream that its producer let go of is cut`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send(request)
    #expect(harness.run { !client.text.isEmpty })
    harness.settle()
    harness.world.streams[0].write(bytes("so far"))
    harness.world.streams = []
    #expect(harness.run { client.isEnded })
    #expect(client.chunked?.text == "so far")
    #expect(client.chunked?.isWhole == false)
    #expect(harness.server.streamCount == 0)
  }

  @Test func `requests sent behind a stream are answered after it`() throws {
    let harness = try Harness()
    let (client, stream) = try streaming(harness)
    client.send("GET /jobs/1 HTTP/1.1\r\nHost: h\r\n\r\n")
    stream.write(bytes("first"))
    #expect(harness.run { client.chunked?.text == "first" })
    harness.settle()
    stream.finish()
    #expect(harness.run { client.text.hasSuffix("\r\n\r\n1") })
  }

  @Test func `hundreds of silent streams cost no turns, and each gets what is its own`() throws {
    let harness = try Harness()
    let clients = try (0..<400).map { _ in try harness.client() }
    for client in clients { client.send(request) }
    #expect(harness.run { harness.server.streamCount == 400 })
    harness.settle()
    harness.skew += .seconds(1)
    harness.settle()
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) != now)
    #expect(harness.loop.wait(milliseconds: 0) == 0)
    for (index, stream) in harness.world.streams.enumerated() { stream.write(bytes("\(index)")) }
    #expect(harness.run { clients.allSatisfy { $0.chunked?.chunks.count == 1 } })
    #expect(Set(clients.compactMap { $0.chunked?.text }) == Set((0..<400).map(String.init)))
    for stream in harness.world.streams { stream.finish() }
    #expect(harness.run { clients.allSatisfy { $0.chunked?.isWhole == true } })
    #expect(harness.server.streamCount == 0)
  }

  @Test(arguments: [false, true])
  func `a client that leaves a silent stream is noticed, and its slot is free`(
    isReset: Bool
  ) throws {
    let harness = try Harness()
    let (client, stream) = try streaming(harness)
    if isReset { client.resetOnClose() }
    harness.disconnect(client)
    client.leave()
    harness.skew += .milliseconds(50)
    #expect(harness.run { harness.world.closed == [0] })
    harness.settle()
    #expect(harness.server.connections.allSatisfy { $0 == nil })
    #expect(harness.server.streamCount == 0)
    #expect(!stream.isOpen)
    #expect(stream.write(bytes("to nobody")) == false)
    #expect(harness.world.observed.map(\.isDelivered) == [false])
    #expect(harness.world.closed == [0])
  }

  @Test func `a client that leaves while its stream is written to is noticed by the writing`()
    throws
  {
    let harness = try Harness()
    let (client, stream) = try streaming(harness)
    client.resetOnClose()
    harness.disconnect(client)
    client.leave()
    harness.afterRun = { stream.write([120]) }
    #expect(harness.run { harness.world.closed == [0] })
    #expect(harness.server.connections.allSatisfy { $0 == nil })
  }

  @Test func `stopping cuts every stream, and what is written later has no effect`() throws {
    let harness = try Harness()
    let (silent, first) = try streaming(harness)
    let (written, second) = try streaming(harness)
    let stalled = try harness.clientThatDoesNotRead()
    stalled.send(request)
    #expect(harness.run { harness.world.streams.count == 3 })
    harness.settle()
    harness.world.streams[2].write([UInt8](repeating: 97, count: 8 << 20))
    harness.settle()
    second.write(bytes("last words"))
    harness.server.stop()
    #expect(harness.world.closed.sorted() == [0, 1, 2])
    for client in [silent, written] { client.receive() }
    #expect(silent.isEnded && written.isEnded)
    #expect(silent.chunked?.isWhole == false)
    #expect(written.chunked?.isWhole == false)
    first.write(bytes("to nobody"))
    first.finish()
    #expect(harness.server.streamCount == 0)
  }

  @Test(arguments: [true, false])
  func `an answer that becomes a stream while the server stops does not keep it`(
    isParked: Bool
  ) throws {
    let harness = try Harness()
    harness.stopClock()
    let client = try harness.client()
    client.send("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    #expect(harness.run { harness.server.pendingCount == 1 })
    if isParked { harness.park() }
    #expect(harness.server.suspendedCount == (isParked ? 1 : 0))
    let stream = harness.world.makeStream()
    harness.world.owed[0].resume(with: HTTPResponse(status: 200, stream: stream))
    harness.server.stop()
    #expect(harness.world.closed == [0])
    client.receive()
    #expect(client.isEnded)
  }

  @Test func `a stream for a client that has gone is closed when it is given`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    #expect(harness.run { harness.server.pendingCount == 1 })
    harness.park()
    #expect(harness.server.suspendedCount == 1)
    client.resetOnClose()
    harness.disconnect(client)
    client.leave()
    harness.skew += .seconds(1)
    #expect(harness.run { harness.server.pendingCount == 0 })
    let stream = harness.world.makeStream()
    harness.world.owed[0].resume(with: HTTPResponse(status: 200, stream: stream))
    #expect(harness.world.closed == [0])
  }

  /// It needs several runs of libmicrohttpd, which nothing but itself asks for.
  @Test(arguments: [100, 100_000])
  func `a stream is not held up by what others are owed`(count: Int) throws {
    let harness = try Harness()
    harness.stopClock()
    let (client, stream) = try streaming(harness)
    let waiting = try harness.client()
    waiting.send("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    #expect(harness.run { harness.server.pendingCount == 1 })
    harness.settle()
    stream.write([UInt8](repeating: 97, count: count))
    stream.finish()
    harness.settle()
    #expect(client.chunked?.isWhole == true)
    #expect(client.chunked?.text.utf8.count == count)
    #expect(harness.server.suspendedCount == 0, "nobody had to be suspended for that")
  }

  @Test func `a stream may outlive its server`() throws {
    var harness: Harness? = try Harness()
    let world = try #require(harness?.world)
    try _ = streaming(#require(harness))
    harness = nil
    #expect(world.closed == [0])
    world.streams[0].write(bytes("to nobody"))
    world.streams = []
  }
}
