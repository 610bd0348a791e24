import Glibc
import Testing

@testable import HTTPServer

@Suite struct AcceptingTests {
  private let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

  /// A client that was served and whose connection is idle.
  private func served(_ harness: Harness) throws -> Client {
    let client = try harness.client()
    client.send(request)
    try #require(harness.run { client.answers().count == 1 })
    harness.settle()
    return client
  }

  @Test func `who waits for a connection takes the place of who was idle for longest`() throws {
    let harness = try Harness { $0.connectionsMax = 3 }
    let idle = try (0..<3).map { _ in
      harness.skew += .milliseconds(400)
      return try served(harness)
    }
    harness.skew += .milliseconds(400)
    let waiting = try harness.client()
    waiting.send(request)
    #expect(harness.run { waiting.answers().count == 1 })
    #expect(idle.map(\.isEnded) == [true, false, false])
    #expect(harness.server.connectionCount == 3)
  }

  @Test func `who was idle for a moment only is not closed, and waiting costs no turns`() throws {
    let harness = try Harness { $0.connectionsMax = 2 }
    harness.stopClock()
    let idle = try (0..<2).map { _ in try served(harness) }
    harness.skew += .milliseconds(500)
    let waiting = try harness.client()
    waiting.send(request)
    harness.settle()
    #expect(waiting.answers().isEmpty)
    #expect(idle.allSatisfy { !$0.isEnded })
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) == now + .milliseconds(250))
    harness.skew += .milliseconds(500)
    #expect(harness.run { waiting.answers().count == 1 })
    #expect(idle.count(where: \.isEnded) == 1)
  }

  @Test func `who waits is accepted as soon as a connection ends`() throws {
    let harness = try Harness { $0.connectionsMax = 1 }
    let served = try served(harness)
    harness.stopClock()
    let waiting = try harness.client()
    waiting.send(request)
    harness.settle()
    #expect(waiting.answers().isEmpty)
    served.halfClose()
    #expect(harness.run { waiting.answers().count == 1 })
  }

  @Test func `out of descriptors the open connections are served, without spinning`() throws {
    let harness = try Harness()
    let served = try served(harness)
    harness.stopClock()
    let waiting = try harness.client()
    let accept = harness.server.accept
    harness.server.accept = outOfDescriptors
    waiting.send(request)
    harness.settle()
    #expect(waiting.answers().isEmpty)
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) == now + .milliseconds(250))
    served.send(request)
    #expect(harness.run { served.answers().count == 2 })
    harness.skew += .milliseconds(250)
    harness.settle()
    #expect(waiting.answers().isEmpty)
    #expect(harness.server.nextDeadline(at: harness.moment()) == now + .milliseconds(500))
    harness.server.accept = accept
    harness.skew += .milliseconds(250)
    #expect(harness.run { waiting.answers().count == 1 })
  }

  @Test func `out of descriptors at the first connection it waits too`() throws {
    let harness = try Harness()
    harness.stopClock()
    let waiting = try harness.client()
    let accept = harness.server.accept
    harness.server.accept = outOfDescriptors
    waiting.send(request)
    harness.settle()
    let now = harness.moment()
    #expect(harness.server.nextDeadline(at: now) == now + .milliseconds(250))
    harness.server.accept = accept
    harness.skew += .milliseconds(250)
    #expect(harness.run { waiting.answers().count == 1 })
  }

  @Test func `out of descriptors an idle connection makes room`() throws {
    let harness = try Harness()
    let idle = try served(harness)
    harness.stopClock()
    let waiting = try harness.client()
    let accept = harness.server.accept
    harness.server.accept = { [unowned server = harness.server] in
      server.connectionCount > 0 ? outOfDescriptors($0) : accept($0)
    }
    harness.skew += .seconds(2)
    waiting.send(request)
    #expect(harness.run { waiting.answers().count == 1 })
    #expect(idle.isEnded)
  }

  @Test func `a client that gave up before it was accepted is passed over`() throws {
    let harness = try Harness()
    let waiting = try harness.client()
    let accept = harness.server.accept
    var isFirst = true
    harness.server.accept = {
      guard isFirst else { return accept($0) }
      isFirst = false
      errno = ECONNABORTED
      return -1
    }
    waiting.send(request)
    harness.turn()
    #expect(harness.server.connectionCount == 1)
    #expect(harness.run { waiting.answers().count == 1 })
  }

  @Test func `a crowd is accepted by several daemons, and all are served, also when they waited`()
    throws
  {
    let harness = try Harness()
    let clients = try (0..<1_300).map { _ in try harness.client() }
    for client in clients {
      client.send("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    }
    #expect(harness.run { harness.server.pendingCount == 1_300 })
    harness.park()
    #expect(harness.server.suspendedCount == 1_300)
    #expect(harness.server.daemons.map(\.connectionCount) == [512, 512, 276])
    for pending in harness.world.owed { pending.resume(with: .text("released")) }
    #expect(harness.run { clients.allSatisfy { $0.answers().count == 1 } })
    for client in clients { client.halfClose() }
    #expect(harness.run { harness.server.connectionCount == 0 })
    #expect(harness.server.daemons.allSatisfy { $0.connectionCount == 0 })
    _ = try served(harness)
    #expect(harness.server.daemons.map(\.connectionCount) == [1, 0, 0])
  }

  @Test func `thousands of deadlines that are due together are met in several runs`() throws {
    let harness = try Harness()
    harness.stopClock()
    let clients = try (0..<600).map { _ in try harness.client() }
    harness.settle()
    #expect(harness.server.connectionCount == 600)
    harness.skew += .seconds(2)  // It was looked whether they are still there.
    harness.settle()
    harness.skew += .seconds(9)
    harness.server.run(at: harness.moment())
    #expect(harness.server.connectionCount == 350)
    #expect(harness.run { clients.allSatisfy(\.isEnded) })
    #expect(harness.server.connectionCount == 0)
  }
}

/// What accept4 answers when the process may open no more files.
private func outOfDescriptors(_ listener: Int32) -> Int32 {
  errno = EMFILE
  return -1
}
