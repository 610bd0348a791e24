/// One connection and the request that it carries now. libmicrohttpd holds it from accept to
/// close; it is used again for each request, so that a request allocates nothing of its own.
final class Connection {
  /// Where the present request stands.
  enum Stage {
    /// There is none.
    case idle
    /// Its target is known, its headers are not complete.
    case headers
    /// Its body is coming, or is about to.
    case body
    /// The route's action runs.
    case acting
    /// Its answer is owed. Not suspended before that has been so for `HTTPServer.parkDelay`: what
    /// is answered sooner never pays for suspending.
    case owed
    /// Its answer is there and waits to be queued.
    case settled
    /// Its client left while the answer was owed or streamed: to be closed.
    case lost
    /// Its answer is with libmicrohttpd. The body may be a stream, which suspends the connection
    /// when there is nothing to send.
    case answered
  }

  /// Valid as long as this connection is open: the server stops the daemon before it goes.
  unowned(unsafe) let server: HTTPServer
  /// The one of the server's daemons that has it.
  unowned(unsafe) let daemon: Daemon
  /// libmicrohttpd's own; invalid once `isClosed`.
  let handle: OpaquePointer
  let descriptor: Int32

  var stage = Stage.idle
  var request = HTTPRequest(method: .get, path: "")
  var destination = Destination.nowhere
  /// The target as it came, in libmicrohttpd's memory; valid until the headers were judged.
  var target = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
  var method: HTTPMethod?
  /// The route that serves the request, -1 for none.
  var route = -1
  var refusal: HTTPRefusal?
  /// All bytes of the body that came, also those that are not kept.
  var bodyCount = 0
  var bodyCountStated = 0
  var isVersion10 = false
  /// What the answer has as `X-Request-Id`; empty for nothing.
  var requestID: [UInt8] = []
  var response: HTTPResponse?
  /// How far the client has taken its answer.
  var progress = WriteProgress(at: 0)
  /// Who takes the body of the request in pieces.
  var intake: RequestStream?
  /// Whether its client has closed its side while the body was held.
  var hasPeerClosed = false
  /// The body of the answer, while it is streamed.
  var stream: StreamSource?
  var status = 0
  var beganAt: UInt64 = 0
  /// Since when its answer is owed.
  var owedAt: UInt64 = 0
  /// Who is to give the answer. Not owned: when the owner lets go of it, it tells us.
  unowned(unsafe) var pending: PendingResponse?
  /// Its body has no stated length, and is not complete.
  var isReadingChunks: Bool {
    stage == .body && bodyCountStated == 0 && !isClosed && !isSuspended
  }
  var isSuspended = false
  var isWatched = false
  var isClosed = false

  init(server: HTTPServer, daemon: Daemon, handle: OpaquePointer, descriptor: Int32) {
    self.server = server
    self.daemon = daemon
    self.handle = handle
    self.descriptor = descriptor
  }

  /// Forgets the request before, but for what the next one overwrites anyway.
  func begin(at now: UInt64) {
    beganAt = now
    stage = .headers
    method = nil
    route = -1
    if case .some = refusal { refusal = nil }
    bodyCount = 0
    bodyCountStated = 0
    requestID = []
    status = 0
    hasPeerClosed = false
  }

  /// Lets go of what the request held, so that an idle connection is small.
  func finish() {
    stage = .idle
    requestID = []
    request.reset()
    response?.discard()
    response = nil
    stream?.close()
    stream = nil
    intake?.close()
    intake = nil
  }
}
