import Glibc
import Testing

@testable import HTTPServer

@Suite struct LifecycleTests {
  private func server(
    _ settings: HTTPServerSettings, _ loop: PollLoop = PollLoop()
  ) throws(HTTPServerError) -> HTTPServer {
    try HTTPServer(
      settings: settings, router: Router([]), watcher: loop,
      problem: { .text($0.code, status: $0.status) })
  }

  @Test func `a port in use is said by address`() throws {
    let first = try server(HTTPServerSettings(port: 0))
    let error = #expect(throws: HTTPServerError.self) {
      try server(HTTPServerSettings(port: first.port))
    }
    #expect(error?.code == .addressInUse)
    #expect(error?.errorNumber == EADDRINUSE)
    #expect(error?.description == "127.0.0.1:\(first.port): Address already in use")
  }

  @Test(arguments: [0, 1])
  func `a listener, or a daemon, that cannot be watched is told with its reason`(count: Int) throws
  {
    let loop = PollLoop()
    loop.watchesLeft = count
    let error = #expect(throws: HTTPServerError.self) {
      try server(HTTPServerSettings(port: 0), loop)
    }
    #expect(error?.errorNumber == ENOSPC)
    #expect(loop.descriptors.isEmpty)
  }

  @Test(arguments: [("example.org", 80), ("127.0.0.1", 65_536), ("127.0.0.1", -1), ("", 80)])
  func `what is no address is refused`(host: String, port: Int) {
    let error = #expect(throws: HTTPServerError.self) {
      try server(HTTPServerSettings(host: host, port: port))
    }
    #expect(error?.code == .addressInvalid)
  }

  @Test func `an address of another machine is not available`() {
    let error = #expect(throws: HTTPServerError.self) {
      try server(HTTPServerSettings(host: "192.0.2.1", port: 0))
    }
    #expect(error?.code == .addressNotAvailable)
  }

  @Test(arguments: ["localhost", "0.0.0.0", "::1", "[::1]", "::"])
  func `a server listens on literals of both families`(host: String) throws {
    switch attempt(HTTPServerSettings(host: host, port: 0)) {
    case .success(let server):
      #expect(server.port > 0)
    case .failure(let error):
      // A machine without IPv6 says so in one of two ways.
      #expect(host.contains(":"))
      #expect([EAFNOSUPPORT, EADDRNOTAVAIL].contains(error.errorNumber))
    }
  }

  private func attempt(_ settings: HTTPServerSettings) -> Result<HTTPServer, HTTPServerError> {
    Result { () throws(HTTPServerError) in try server(settings) }
  }

  @Test func `the port is free again after stop`() throws {
    let first = try server(HTTPServerSettings(port: 0))
    first.stop()
    let second = try server(HTTPServerSettings(port: first.port))
    #expect(second.port == first.port)
  }

  @Test func `the connection limit leaves descriptors to the process`() throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    var settings = HTTPServerSettings(port: 0)
    settings.connectionsMax = .max
    let server = try server(settings)
    // Each 512 connections need one more, for the daemon that has them.
    let count = server.connectionsMax
    #expect(count + (count + 511) / 512 <= Int(limit.rlim_cur) - 64)
    #expect(count + count / 512 + 2 >= Int(limit.rlim_cur) - 64)
  }

  @Test func `connections over the limit wait until one ends`() throws {
    let harness = try Harness { $0.connectionsMax = 2 }
    let clients = try (0..<3).map { _ in try harness.client() }
    for client in clients { client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") }
    #expect(harness.run { clients.count { $0.answers().count == 1 } == 2 })
    harness.settle()
    let waiting = try #require(clients.first { $0.answers().isEmpty })
    let served = try #require(clients.first { $0.answers().count == 1 })
    served.halfClose()
    #expect(harness.run { waiting.answers().count == 1 })
  }

  @Test func `every descriptor is closed on exec`() throws {
    let harness = try Harness()
    let client = try harness.client()
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 1 })
    let open = harness.server.connections.compactMap { $0?.descriptor }
    #expect(open.count == 1)
    // The listening socket and a daemon.
    let watched = harness.loop.descriptors
    #expect(watched.count == 2)
    #expect((open + watched).allSatisfy { fcntl($0, F_GETFD) == FD_CLOEXEC })
  }

  @Test(arguments: [nil, 784_111_777] as [Int64?])
  func `after stopAccepting open connections are served once more, new ones refused`(
    second: Int64?
  ) throws {
    let harness = try Harness()
    harness.wallSecond = second
    let client = try harness.client()
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.answers().count == 1 })
    harness.server.stopAccepting()
    harness.server.stopAccepting()
    harness.settle()
    #expect(throws: Client.NotConnected.self) { try Client(port: harness.server.port) }
    client.send("GET /jobs/1 HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(harness.run { client.isEnded })
    #expect(client.answers().map(\.body) == ["root", "1"])
    #expect(client.answers()[1].headers["connection"]?.lowercased() == "close")
    #expect(client.text.split(separator: "\r\n").count { $0.hasPrefix("Date:") } == 2)
  }
}
