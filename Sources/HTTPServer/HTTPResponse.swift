/// An answer, as a value. `Date`, `Content-Length` and `Connection` are written by the server and
/// have no place in `headers`. A header is left out whose value is empty or holds a control
/// character, so that an echoed value cannot add headers; a value ends at its first NUL.
public struct HTTPResponse {
  /// The bytes of an answer.
  public enum Body {
    /// Bytes made for this answer.
    case bytes([UInt8])
    /// Bytes of the program itself, sent without a copy.
    case constant(StaticString)
    /// Bytes that are produced over time, for this answer alone.
    case stream(ResponseStream)
  }

  /// 200...599. With 204 and 304 no body is sent, whatever `body` holds.
  public var status: Int
  /// The `Content-Type`, when it is one of the program's own; another goes in `headers`.
  public var contentType: StaticString?
  /// Further headers, sent in this order.
  public var headers: HTTPHeaders
  /// What follows the headers; left out for `HEAD`, whose `Content-Length` still counts it. The
  /// length of a stream is not known: HEAD is then answered without one, and closed.
  public var body: Body

  /// An answer with bytes made for it.
  public init(
    status: Int, contentType: StaticString? = nil, headers: HTTPHeaders = HTTPHeaders(),
    body: [UInt8] = []
  ) {
    self.status = status
    self.contentType = contentType
    self.headers = headers
    self.body = .bytes(body)
  }

  /// An answer whose bytes are part of the program.
  public init(
    status: Int, contentType: StaticString? = nil, headers: HTTPHeaders = HTTPHeaders(),
    constant: StaticString
  ) {
    self.status = status
    self.contentType = contentType
    self.headers = headers
    body = .constant(constant)
  }

  /// An answer whose bytes are produced over time.
  public init(
    status: Int, contentType: StaticString? = nil, headers: HTTPHeaders = HTTPHeaders(),
    stream: ResponseStream
  ) {
    self.status = status
    self.contentType = contentType
    self.headers = headers
    body = .stream(stream)
  }

  /// `application/json`, from text that is already JSON.
  public static func json(_ body: [UInt8], status: Int = 200) -> HTTPResponse {
    HTTPResponse(status: status, contentType: "application/json", body: body)
  }

  /// `text/plain` in UTF-8.
  public static func text(_ text: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(
      status: status, contentType: "text/plain; charset=utf-8", body: [UInt8](text.utf8))
  }

  /// It is not sent, or not whole: a producer that streams hears of it.
  public func discard() {
    if case .stream(let stream) = body { stream.close() }
  }

  /// An answer of headers only.
  public static func empty(status: Int = 204) -> HTTPResponse {
    HTTPResponse(status: status)
  }
}
