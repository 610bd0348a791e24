/// What a server is started with. Every limit has a default that suits a service on the open
/// network.
///
/// What one connection may cost, and for how long, whatever its client does; beside a descriptor,
/// and with the defaults (resident memory, measured):
///
/// | the client … | memory | until |
/// |---|---|---|
/// | connects, and sends nothing or half a header | 5 KiB | `headerTimeout` |
/// | sends half a body | 5 KiB and what it sent, at most `bodyBytesMax` | `bodyTimeout` |
/// | waits for its first answer | 5 KiB | the owner answers, or it leaves (`watchDelay`) |
/// | waits, or is idle, after an answer | 2 × `headerBytesMax` + 1 KiB | the same; `idleTimeout` |
/// | stops reading its answer | as above, the answer, and `unsentBytesMax` | `writeTimeout` |
/// | stops reading a stream | the stream's bound instead of the answer | `writeTimeout` |
/// | waits to be accepted | none of this process | there is room |
///
/// Who closes in the midst of a request is let go at once, or after a second if libmicrohttpd did
/// not see it; only an end that comes with a later piece of it is not seen before the time-out.
///
/// None of them costs a turn. libmicrohttpd has its memory for each connection from the begin, but
/// touches most of it only after the first answer.
public struct HTTPServerSettings: Sendable {
  /// An IPv4 or IPv6 literal (`127.0.0.1`, `::1`, `[::1]`, `::` for both families) or `localhost`,
  /// which is `127.0.0.1`. Names are not looked up.
  public var host: String
  /// 0 lets the system pick one; see `HTTPServer.port`.
  public var port: Int
  /// Connections open at once. Lowered to the limit of open files (`RLIMIT_NOFILE`) less a reserve
  /// of 64 and one for every 512 connections. Who comes then waits in the kernel's queue, until a
  /// connection ends or was idle for a second: the one that was idle for longest makes room. So it
  /// is when the process has no descriptor left.
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
  /// From the begin of a connection, or from a request line, to the end of the headers. No byte
  /// prolongs it: who sends slowly is cut like who sends nothing.
  public var headerTimeout: Duration = .seconds(10)
  /// From the end of the headers to the end of the body, likewise; with the defaults a body of
  /// full length must come at 140 kB/s.
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
