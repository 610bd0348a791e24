import Glibc
import TestSupport
import Testing

@testable import HTTPServer

@Suite struct DeadlineTests {
  @Test func `a connection that sends nothing is cut after the header timeout`() throws {
    let harness = try Harness()
    let client = try harness.client()
    harness.settle()
    harness.skew += .seconds(9)
    harness.settle()
    #expect(!client.isEnded)
    harness.skew += .seconds(1)
    #expect(harness.run { client.isEnded })
  }

  @Test func `headers that drip in are cut after the header timeout`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET / HTTP/1.1\r\nHost: h\r\n")
    for _ in 0..<9 {
      harness.settle()
      harness.skew += .seconds(1)
      client.send("X: y\r\n")
    }
    harness.settle()
    #expect(!client.isEnded)
    harness.skew += .seconds(2)
    #expect(harness.run { client.isEnded })
  }

  @Test func `a body that drips in is cut after the body timeout`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
    for _ in 0..<59 {
      harness.settle()
      harness.skew += .seconds(1)
      client.send("x")
    }
    harness.settle()
    #expect(!client.isEnded)
    harness.skew += .seconds(2)
    #expect(harness.run { client.isEnded })
  }

  @Test func `a body that is only announced gets no memory, and one that comes is whole`() throws {
    let harness = try Harness { $0.bodyBytesMax = 8 << 20 }
    let body = String(repeating: "x", count: 3 << 20)
    let head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
    let client = try harness.client()
    client.send(head + "x")
    harness.settle()
    let connection = try #require(harness.server.connections.compactMap { $0 }.first)
    #expect(connection.request.body.count == 1)
    #expect(connection.request.body.capacity < 1 << 20)
    var sent = 1
    let bytes = [UInt8](body.utf8)
    #expect(
      harness.run {
        sent += max(0, client.send(Array(bytes[sent...])))
        return sent == bytes.count
      })
    #expect(harness.run { client.answers().first?.body.utf8.count == bytes.count })
  }

  @Test func `a next request line that drips in is cut after the idle timeout`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 1 })
    for byte in "GET /aaaaa".utf8 {
      client.send([byte])
      harness.settle()
      harness.skew += .seconds(11)
    }
    harness.settle()
    #expect(!client.isEnded)
    harness.skew += .seconds(11)
    #expect(harness.run { client.isEnded })
    #expect(harness.server.connections.allSatisfy { $0 == nil })
  }

  @Test func `an idle connection lives as long as the idle timeout after its last answer`() throws {
    let harness = try Harness()
    let client = try harness.client()
    for count in 1...3 {
      harness.settle()
      client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(harness.run { client.answers().count == count })
      harness.skew += .seconds(119)
      harness.settle()
      #expect(!client.isEnded)
    }
    harness.skew += .seconds(2)
    #expect(harness.run { client.isEnded })
  }

  @Test func `data and FIN that come together leave no connection behind`() throws {
    // libmicrohttpd 0.9.75 loses the FIN here (#7192); our deadlines find the connection.
    let harness = try Harness()
    for _ in 0..<20 {
      let client = try harness.client()
      client.send("GET / HTT")
      client.halfClose()
    }
    harness.settle()
    harness.skew += .seconds(11)
    #expect(harness.run { harness.server.connections.allSatisfy { $0 == nil } })
  }

  @Test func `the next deadline is that of the lane`() throws {
    let harness = try Harness { $0.headerTimeout = .milliseconds(300) }
    harness.stopClock()
    let client = try harness.client()
    let now = harness.moment()
    harness.settle()
    #expect(harness.server.nextDeadline(at: now) == now + 150_000_000, "the look")
    harness.skew += 200_000_000
    harness.settle()
    #expect(harness.server.nextDeadline(at: now) == now + 300_000_000)
    harness.skew += 99_999_999
    harness.settle()
    #expect(!client.isEnded)
    harness.skew += 1
    #expect(harness.run { client.isEnded })
  }
}

/// Clients that close before their request is whole, as libmicrohttpd does not see it: the end
/// comes with the data.
@Suite struct CutShortTests {
  @Test(arguments: [
    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-",
    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nab",
  ])
  func `their connection is given back after a second`(request: String) throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send(request)
    client.halfClose()
    harness.settle()
    harness.skew += .seconds(1)
    #expect(harness.run { harness.server.connectionCount == 0 })
  }

  @Test func `who is slow and stays is not cut by the look`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET / HTTP/1.1\r\nHost: h\r\n")
    harness.settle()
    harness.skew += .seconds(2)
    harness.settle()
    client.send("\r\n")
    #expect(harness.run { client.answers().count == 1 })
  }
}

@Suite struct DeadlineLanesTests {
  private func lanes() -> DeadlineLanes { DeadlineLanes(durations: [1, 10, 2, 60, 120, 5, 7]) }

  @Test func `who entered first is due first`() {
    var lanes = lanes()
    lanes.enter(.header, 3, at: 0)
    lanes.enter(.header, 7, at: 1)
    lanes.enter(.body, 5, at: 0)
    #expect(lanes.earliest == 10)
    #expect(lanes.popDue(at: 9) == nil)
    #expect(lanes.popDue(at: 11)?.descriptor == 3)
    #expect(lanes.popDue(at: 11)?.descriptor == 7)
    #expect(lanes.popDue(at: 11) == nil)
    #expect(lanes.earliest == 60)
  }

  @Test func `entering another lane leaves the one before`() {
    var lanes = lanes()
    lanes.enter(.header, 3, at: 0)
    lanes.enter(.idle, 3, at: 4)
    #expect(lanes.earliest == 124)
    #expect(lanes.popDue(at: 100) == nil)
    let due = lanes.popDue(at: 124)
    #expect(due?.lane == .idle)
  }

  @Test func `leaving works at the begin, in the middle and at the end`() {
    for left: Int32 in 1...3 {
      var lanes = lanes()
      for descriptor: Int32 in 1...3 { lanes.enter(.watch, descriptor, at: 0) }
      lanes.leave(left)
      lanes.leave(left)
      lanes.enter(.watch, 9, at: 1)
      var order: [Int32] = []
      while let due = lanes.popDue(at: 50) { order.append(due.descriptor) }
      #expect(order == [1, 2, 3, 9].filter { $0 != left })
      #expect(lanes.earliest == nil)
    }
  }

  @Test func `a lane agrees with a sorted list, whatever happens`() {
    let seed = testSeed()
    var random = SplitMix(seed: seed)
    var lanes = lanes()
    var model: [Int32: UInt64] = [:]
    let durations: [UInt64] = [1, 10, 2, 60, 120, 5, 7]
    for now in 0..<5_000 as Range<UInt64> {
      let descriptor = Int32.random(in: 0..<40, using: &random)
      let lane = Lane.allCases[Int.random(in: Lane.allCases.indices, using: &random)]
      if Bool.random(using: &random) {
        lanes.enter(lane, descriptor, at: now)
        model[descriptor] = now + durations[lane.rawValue]
      } else {
        lanes.leave(descriptor)
        model[descriptor] = nil
      }
      #expect(lanes.earliest == model.values.min(), "LIDO_SEED=\(seed)")
      while let due = lanes.popDue(at: now) {
        #expect(model[due.descriptor].map { $0 <= now } == true, "LIDO_SEED=\(seed)")
        model[due.descriptor] = nil
      }
      #expect(model.values.allSatisfy { $0 > now }, "LIDO_SEED=\(seed)")
    }
  }
}
