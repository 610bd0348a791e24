/// What a server is started with. Every limit has a default that suits a service on the open
/// network.
public struct HTTPServerSettings: Sendable {
  /// An IPv4 or IPv6 literal (`127.0.0.1`, `::1`, `[::1]`, `::` for both families) or `localhost`,
  /// which is `127.0.0.1`. Names are not looked up.
  public var host: String
  /// 0 lets the system pick one; see `HTTPServer.port`.
  public var port: Int
  /// Connections open at once. Lowered to the limit of open files (`RLIMIT_NOFILE`) less a
  /// reserve of 64, so that accepting never fails for want of descriptors.
  public var connectionsMax = 16_384
  /// A longer body is answered with 413.
  public var bodyBytesMax = 8 << 20
  /// A longer request line plus headers is answered with 431. libmicrohttpd gets twice this as the
  /// memory of a connection; beyond that it answers 431 or 414 itself, in HTML.
  public var headerBytesMax = 8 << 10
  /// Bytes of an answer that the kernel takes ahead of what the client's window lets it send. More
  /// would only be memory that a client which does not read holds, for every such client; less
  /// costs turns. What is under way to the client is not counted.
  public var unsentBytesMax = 128 << 10
  /// From the begin of a connection, or from a request line, to the end of the headers.
  public var headerTimeout: Duration = .seconds(10)
  /// From the end of the headers to the end of the body.
  public var bodyTimeout: Duration = .seconds(60)
  /// How long a client may take no byte of an answer that is being sent, by what its side of the
  /// connection acknowledges; noticed at most a quarter later. Who reads slowly is not cut.
  public var writeTimeout: Duration = .seconds(30)
  /// From the end of an answer to the next request line.
  public var idleTimeout: Duration = .seconds(120)
  /// How long an answer is owed before the server watches whether its client left. A watch costs
  /// two system calls; most answers are there long before.
  public var watchDelay: Duration = .milliseconds(50)
  /// Lower-case names of the headers that `HTTPRequest.header(_:)` knows; all others are checked
  /// and dropped, and so cost no memory. At most 64.
  public var fieldsKept: [String]
  /// What the ids begin with that are made for requests without an `X-Request-Id` whose answer is
  /// an error; a number follows. Visible ASCII; empty: none are made. An `X-Request-Id` of 1 to 128
  /// visible ASCII characters is repeated in every answer, whatever stands here.
  public var requestIDPrefix = ""

  /// Settings for one address; the limits are set afterwards.
  public init(host: String = "127.0.0.1", port: Int, fieldsKept: [String] = []) {
    self.host = host
    self.port = port
    self.fieldsKept = fieldsKept
  }
}

extension Duration {
  /// Whole nanoseconds; 0 when negative, and at most about 292 years.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < Int64.max / 1_000_000_000 else { return UInt64(Int64.max) }
    return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
  }
}
