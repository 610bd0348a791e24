import Glibc
import TestSupport
import Testing

@testable import HTTPServer

@Suite struct SlowReaderTests {
  private let piece = [UInt8](repeating: 97, count: 10_000)

  /// A client whose stream is about to be written to, and which reads nothing.
  private func streaming(_ harness: Harness) throws -> (Client, ResponseStream) {
    let client = try harness.clientThatDoesNotRead()
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
    try #require(harness.run { harness.server.streamCount == 1 })
    harness.settle()
    return (client, harness.world.streams[0])
  }

  /// Writes as a producer should; says how much it wrote, by and by.
  private func produce(_ stream: ResponseStream, _ written: @escaping (Int) -> Void) {
    var count = 0
    func fill() {
      repeat { count += piece.count } while stream.write(piece)
      written(count)
    }
    stream.onWritable = fill
    fill()
  }

  @Test func `a client that does not read stops the producer, and gets all of it when it reads`()
    throws
  {
    let harness = try Harness()
    let (client, stream) = try streaming(harness)
    var written = 0
    produce(stream) { written = $0 }
    harness.settle()
    // The kernel holds what it may; the stream at most its bound, the last piece and what
    // libmicrohttpd took; nothing more is written, however many turns there are.
    let stopped = written
    #expect(stopped < 2 << 20)
    #expect(stream.bufferedCount >= 500 && stream.bufferedCount < 1_000 + piece.count)
    for _ in 0..<100 { harness.settle() }
    #expect(written == stopped)
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) != now)
    client.isReading = true
    #expect(harness.run { written > stopped + 4_000_000 })
    stream.finish()
    #expect(harness.run { client.chunked?.isWhole == true })
    #expect(client.chunked?.chunks.reduce(0) { $0 + $1.count } == written)
    #expect(harness.world.closed.isEmpty)
  }

  @Test func `a stream is writable again once for each time that it was full`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { harness.server.streamCount == 1 })
    harness.settle()
    let stream = harness.world.streams[0]
    var told = 0
    stream.onWritable = { told += 1 }
    #expect(stream.write([UInt8](repeating: 97, count: 999)))
    #expect(harness.run { stream.bufferedCount == 0 })
    #expect(told == 0)
    #expect(!stream.write([UInt8](repeating: 97, count: 1_000)))
    #expect(!stream.write([97]))
    #expect(harness.run { stream.bufferedCount == 0 })
    #expect(told == 1)
    #expect(stream.write([97]))
    harness.settle()
    #expect(told == 1)
  }

  @Test func `a client that stops reading a stream is cut after the write timeout`() throws {
    let harness = try Harness { $0.writeTimeout = .seconds(8) }
    let (client, stream) = try streaming(harness)
    produce(stream) { _ in }
    harness.settle()
    for _ in 0..<4 {
      harness.skew += .seconds(2)
      harness.settle()
    }
    #expect(stream.isOpen)
    for _ in 0..<2 {
      harness.skew += .seconds(2)
      harness.settle()
    }
    #expect(harness.world.closed == [0])
    #expect(harness.server.connections.allSatisfy { $0 == nil })
    #expect(harness.server.streamCount == 0)
    client.isReading = true
    #expect(harness.run { client.isEnded })
    #expect(client.chunked?.isWhole == false)
  }

  @Test func `a client that stops reading an answer is cut, and its memory given back`() throws {
    let harness = try Harness()
    let client = try harness.clientThatDoesNotRead()
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
    harness.settle()
    #expect(harness.server.connections.contains { $0 != nil })
    #expect(harness.world.observed.isEmpty)
    for _ in 0..<6 {
      harness.skew += .milliseconds(7_500)
      harness.settle()
    }
    #expect(harness.server.connections.allSatisfy { $0 == nil })
    #expect(harness.world.observed.map(\.isDelivered) == [false])
  }

  @Test(arguments: ["/large", "/stream"])
  func `a client that reads slowly is not cut`(target: String) throws {
    let harness = try Harness { $0.writeTimeout = .seconds(8) }
    let client = try harness.clientThatDoesNotRead()
    client.send("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
    harness.settle()
    if let stream = harness.world.streams.first {
      stream.write([UInt8](repeating: 97, count: 4 << 20))
      stream.finish()
      harness.settle()
    }
    // More than 1 MB of 4 at 25 kB in 6 s.
    for _ in 0..<50 {
      harness.skew += .seconds(6)
      harness.settle()
      client.receive(atMost: 25_000)
    }
    #expect(!client.isEnded)
    client.isReading = true
    #expect(harness.run { client.received.count >= 4 << 20 && harness.world.observed.count == 1 })
    #expect(harness.world.observed.map(\.isDelivered) == [true])
  }

  @Test func `a silent stream outlives every deadline`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { harness.server.streamCount == 1 })
    for _ in 0..<100 {
      harness.settle()
      harness.skew += .seconds(100)
    }
    harness.world.streams[0].write([UInt8]("still here".utf8))
    harness.world.streams[0].finish()
    #expect(harness.run { client.chunked?.isWhole == true })
    #expect(client.chunked?.text == "still here")
  }

  @Test func `streams of every fate, at random, end as they were ended`() throws {
    let seed = testSeed()
    var random = SplitMix(seed: seed)
    let harness = try Harness()
    var clients: [Client] = []
    for index in 0..<60 {
      let client = index % 3 == 0 ? try harness.clientThatDoesNotRead() : try harness.client()
      client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(harness.run { harness.server.streamCount == index + 1 }, "LIDO_SEED=\(seed)")
      clients.append(client)
    }
    harness.settle()
    let streams = harness.world.streams
    var written = [[UInt8]](repeating: [], count: 60)
    for step in 0..<1_500 {
      let index = Int.random(in: 0..<60, using: &random)
      let count = [0, 1, 900, 20_000].randomElement(using: &random) ?? 0
      let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: count)
      if streams[index].isOpen { written[index] += bytes }
      streams[index].write(bytes)
      switch Int.random(in: 0..<40, using: &random) {
      case 0: streams[index].finish()
      case 1: streams[index].fail()
      case 2..<12: harness.settle()
      default: break
      }
    }
    for (index, stream) in streams.enumerated() where stream.isOpen && index % 2 == 0 {
      stream.finish()
    }
    for stream in streams where stream.isOpen { stream.fail() }
    for client in clients { client.isReading = true }
    #expect(harness.run { harness.server.streamCount == 0 }, "LIDO_SEED=\(seed)")
    harness.settle()
    for (index, client) in clients.enumerated() {
      let body = client.chunked
      #expect(body.map { Array($0.chunks.joined()) } == written[index], "LIDO_SEED=\(seed)")
      #expect(body?.isWhole == !client.isEnded, "LIDO_SEED=\(seed)")
    }
    #expect(harness.world.closed.isEmpty, "LIDO_SEED=\(seed)")
  }
}
