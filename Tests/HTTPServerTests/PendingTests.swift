import Glibc
import Testing

@testable import HTTPServer

@Suite struct PendingTests {
  private let request = "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"

  /// A client whose answer is owed, and whose connection is suspended.
  private func waiting(_ harness: Harness) throws -> Client {
    let before = harness.server.pendingCount
    let client = try harness.client()
    client.send(request)
    try #require(harness.run { harness.server.pendingCount == before + 1 })
    harness.park()
    return client
  }

  @Test func `an answer given at the end of the turn goes out`() throws {
    let harness = try Harness()
    let world = harness.world
    harness.afterRun = {
      for pending in world.owed { pending.resume(with: .text("turn")) }
      world.owed = []
    }
    let client = try harness.client()
    for count in 1...3 {
      client.send(request)
      #expect(harness.run { client.answers().count == count })
    }
    #expect(client.answers().map(\.body) == ["turn", "turn", "turn"])
    #expect(harness.server.pendingCount == 0)
  }

  @Test(arguments: 0...2)
  func `an answer given after few turns goes out before its connection is parked`(
    turns: Int
  ) throws {
    let harness = try Harness()
    harness.stopClock()
    let world = harness.world
    var left = turns
    harness.afterRun = {
      #expect(harness.server.suspendedCount == 0)
      guard let owed = world.owed.first else { return }
      harness.skew += HTTPServer.parkDelay / 4
      left -= 1
      guard left < 0 else { return }
      owed.resume(with: .text("soon"))
      world.owed = []
    }
    let client = try harness.client()
    client.send(request)
    #expect(harness.run { client.answers().map(\.body) == ["soon"] })
    #expect(harness.server.pendingCount == 0)
  }

  /// libmicrohttpd asks for it whenever it runs; it is not run for that alone.
  @Test func `an answer that is owed lets the server rest until its connection is parked`() throws {
    let harness = try Harness()
    let client = try unparked(harness)
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) == now + HTTPServer.parkDelay)
    harness.skew += HTTPServer.parkDelay - 1
    harness.settle()
    #expect(harness.server.suspendedCount == 0)
    harness.skew += 1
    harness.settle()
    #expect(harness.server.suspendedCount == 1)
    harness.world.owed[0].resume(with: .text("late"))
    #expect(harness.run { client.answers().map(\.body) == ["late"] })
  }

  @Test func `an answer given while the server rests goes out at once`() throws {
    let harness = try Harness()
    let client = try unparked(harness)
    harness.world.owed[0].resume(with: .text("soon"))
    #expect(harness.server.nextDeadline(at: harness.moment()) == harness.moment())
    harness.settle()
    #expect(client.answers().map(\.body) == ["soon"])
    #expect(harness.server.suspendedCount == 0)
  }

  @Test func `others are served, and parked in their turn, while the server rests`() throws {
    let harness = try Harness()
    let first = try unparked(harness)
    harness.skew += HTTPServer.parkDelay / 2
    let second = try harness.client()
    second.send(request)
    #expect(harness.run { harness.server.pendingCount == 2 })
    #expect(try harness.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").body == "root")
    harness.skew += HTTPServer.parkDelay / 2
    harness.settle()
    #expect(harness.server.suspendedCount == 1)
    harness.skew += HTTPServer.parkDelay
    harness.settle()
    #expect(harness.server.suspendedCount == 2)
    for owed in harness.world.owed { owed.resume(with: .text("late")) }
    #expect(harness.run { first.answers().count == 1 && second.answers().count == 1 })
  }

  @Test func `a client that resets its connection before that is parked is found at once`() throws {
    let harness = try Harness()
    let client = try unparked(harness)
    client.resetOnClose()
    client.leave()
    #expect(harness.run { harness.server.connectionCount == 0 })
    #expect(harness.world.owed[0].isAbandoned)
    #expect(harness.server.pendingCount == 0)
    harness.world.owed[0].resume(with: .text("nobody"))
    harness.settle()
    #expect(harness.server.nextDeadline(at: harness.moment()) == nil)
  }

  /// A client whose answer is owed on a connection that is not parked; the clock stands.
  private func unparked(_ harness: Harness) throws -> Client {
    harness.stopClock()
    let client = try harness.client()
    client.send(request)
    try #require(harness.run { harness.server.pendingCount == 1 })
    harness.settle()
    #expect(harness.server.suspendedCount == 0)
    return client
  }

  @Test func `a connection whose answer is not given soon is parked`() throws {
    let harness = try Harness()
    let client = try waiting(harness)
    #expect(harness.server.suspendedCount == 1)
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now).map { $0 > now } ?? true)
    harness.world.owed[0].resume(with: .text("late"))
    #expect(harness.run { client.answers().map(\.body) == ["late"] })
    #expect(harness.server.suspendedCount == 0)
  }

  @Test func `an answer given much later goes out and the connection goes on`() throws {
    let harness = try Harness()
    let client = try waiting(harness)
    harness.skew += .seconds(50)
    harness.settle()
    #expect(client.received.isEmpty)
    #expect(harness.world.requests[0].body == [97, 98])
    harness.world.owed[0].resume(with: .text("late"))
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) == now)
    #expect(harness.run { client.answers().count == 1 })
    #expect(client.answers()[0].body == "late")
    #expect(harness.world.observed.map(\.route) == ["later"])
    #expect(harness.world.observed[0].nanoseconds >= .seconds(50))
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 })
  }

  @Test func `without a watch on its client a request is served all the same`() throws {
    let harness = try Harness()
    harness.loop.watchesLeft = 0
    let client = try waiting(harness)
    harness.skew += .seconds(1)
    harness.settle()
    harness.world.owed[0].resume(with: .text("late"))
    #expect(harness.run { client.answers().count == 1 })
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 2 })
  }

  @Test func `waiting costs no turns`() throws {
    let harness = try Harness()
    _ = try waiting(harness)
    harness.skew += .seconds(1)
    harness.settle()
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) != now)
    #expect(harness.loop.wait(milliseconds: 0) == 0)
  }

  @Test func `requests sent behind one that waits are answered after it`() throws {
    let harness = try Harness()
    let client = try waiting(harness)
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /jobs/1 HTTP/1.1\r\nHost: h\r\n\r\n")
    harness.settle()
    #expect(client.received.isEmpty)
    harness.world.owed[0].resume(with: .text("first"))
    #expect(harness.run { client.answers().count == 3 })
    #expect(client.answers().map(\.body) == ["first", "root", "1"])
  }

  @Test(arguments: [12, 1_200])
  func `many that wait are answered together`(count: Int) throws {
    let harness = try Harness()
    let clients = try (0..<count).map { _ in try harness.client() }
    for client in clients { client.send(request) }
    #expect(harness.run { harness.server.pendingCount == count })
    harness.park()
    #expect(harness.server.suspendedCount == count)
    harness.skew += .seconds(1)
    harness.settle()
    for (index, pending) in harness.world.owed.enumerated() {
      pending.resume(with: .text("\(index)"))
    }
    #expect(harness.server.pendingCount == 0)
    #expect(harness.run { clients.allSatisfy { $0.answers().count == 1 } })
    let bodies = Set(clients.compactMap { Int($0.answers()[0].body) })
    #expect(bodies == Set(0..<count))
  }

  @Test func `an answer given within the action goes out`() throws {
    let harness = try Harness()
    let answer = try harness.ask("GET /at-once HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(answer.body == "at once")
    #expect(harness.server.pendingCount == 0)
  }

  @Test(arguments: [true, false])
  func `an action may resume what another owes`(isSuspended: Bool) throws {
    let harness = try Harness()
    harness.stopClock()
    let first = try harness.client()
    let second = try harness.client()
    first.send(request)
    #expect(harness.run { harness.server.pendingCount == 1 })
    if isSuspended { harness.park() }
    #expect(harness.server.suspendedCount == (isSuspended ? 1 : 0))
    second.send("POST /release HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { first.answers().count == 1 && second.answers().count == 1 })
    #expect(first.answers()[0].body == "released")
    first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { first.answers().count == 2 })
  }

  @Test func `an answer that nobody holds any more becomes 500`() throws {
    let harness = try Harness()
    let dropped = try harness.ask("GET /dropped HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(dropped.status == 500)
    let client = try waiting(harness)
    harness.world.owed = []
    #expect(harness.run { client.answers().count == 1 })
    #expect(client.answers()[0].body == "internal_error")
    #expect(harness.server.pendingCount == 0)
  }

  @Test func `an action that takes a pending response may still answer at once`() throws {
    let harness = try Harness()
    let answer = try harness.ask("GET /changed-mind HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(answer.body == "now")
    #expect(harness.server.pendingCount == 0)
    harness.world.owed[0].resume(with: .text("no effect"))
  }

  @Test func `a client that resets while its answer is owed is noticed, and freed`() throws {
    let harness = try Harness()
    let client = try waiting(harness)
    let pending = harness.world.owed[0]
    var told = 0
    pending.onAbandoned = { told += 1 }
    client.resetOnClose()
    harness.disconnect(client)
    client.leave()
    harness.skew += .seconds(1)
    #expect(harness.run { pending.isAbandoned })
    harness.settle()
    #expect(told == 1)
    #expect(harness.server.pendingCount == 0)
    #expect(harness.server.connections.allSatisfy { $0 == nil })
    pending.resume(with: .text("no effect"))
    harness.settle()
    #expect(harness.world.observed.isEmpty)
  }

  @Test func `a client that closes while its answer is owed is noticed, and may be answered`()
    throws
  {
    let harness = try Harness()
    let client = try waiting(harness)
    let pending = harness.world.owed[0]
    var told = 0
    pending.onAbandoned = {
      told += 1
      pending.resume(with: .text("to nobody"))
    }
    harness.disconnect(client)
    client.leave()
    harness.skew += .seconds(1)
    #expect(harness.run { harness.server.connections.allSatisfy { $0 == nil } })
    #expect(told == 1)
    #expect(harness.server.pendingCount == 0)
  }

  @Test func `a client that half-closes is told of as gone, and still gets its answer`() throws {
    let harness = try Harness()
    let client = try waiting(harness)
    let pending = harness.world.owed[0]
    client.halfClose()
    harness.skew += .seconds(1)
    #expect(harness.run { pending.isAbandoned })
    harness.settle()
    #expect(harness.server.pendingCount == 1)
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) != now)
    pending.resume(with: .text("still here"))
    #expect(harness.run { client.answers().count == 1 && client.isEnded })
    #expect(client.answers()[0].body == "still here")
  }

  @Test func `a half-closed client that then resets is let go`() throws {
    let harness = try Harness()
    let client = try waiting(harness)
    let pending = harness.world.owed[0]
    client.halfClose()
    harness.skew += .seconds(1)
    #expect(harness.run { pending.isAbandoned })
    client.resetOnClose()
    harness.disconnect(client)
    client.leave()
    #expect(harness.run { harness.server.pendingCount == 0 })
    harness.settle()
    #expect(harness.server.connections.allSatisfy { $0 == nil })
  }

  @Test func `stopping answers all that is owed, and what is resumed later has no effect`() throws {
    let harness = try Harness()
    let clients = try (0..<20).map { _ in try waiting(harness) }
    harness.server.stop()
    for client in clients { client.receive() }
    #expect(clients.allSatisfy { $0.answers().map(\.body) == ["draining"] })
    #expect(clients.allSatisfy { $0.answers()[0].status == 503 && $0.isEnded })
    #expect(harness.server.pendingCount == 0)
    #expect(harness.loop.descriptors.isEmpty)
    for pending in harness.world.owed { pending.resume(with: .text("no effect")) }
    harness.server.stop()
    harness.server.run(at: harness.moment())
    #expect(harness.server.nextDeadline(at: harness.moment()) == nil)
  }

  @Test func `stopping more than one slice of waiting clients does not abort`() throws {
    let harness = try Harness()
    let clients = try (0..<700).map { _ in try harness.client() }
    for client in clients { client.send(request) }
    #expect(harness.run { harness.server.pendingCount == 700 })
    harness.park()
    #expect(harness.server.suspendedCount == 700)
    harness.server.stop()
    for client in clients { client.receive() }
    #expect(clients.allSatisfy { $0.answers().first?.status == 503 })
  }

  @Test func `a pending response may outlive its server`() throws {
    var harness: Harness? = try Harness()
    let world = try #require(harness?.world)
    try _ = waiting(#require(harness))
    harness = nil
    world.owed[0].resume(with: .text("no effect"))
    world.owed = []
  }
}
