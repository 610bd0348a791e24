/// Why a request is answered by the server itself and never reaches a route's action. The owner
/// renders it (the `problem` closure of `HTTPServer`), so that all errors look alike.
///
/// What libmicrohttpd refuses before it tells us of the request (header block beyond its memory,
/// no HTTP at all) is answered by that library, in HTML, and is no `HTTPRefusal`.
public enum HTTPRefusal: Sendable, Equatable {
  /// The request target is no path: a bad escape, `%00`, a control character, or no UTF-8.
  case targetInvalid
  /// A header name is no token (RFC 9110, section 5.1), a value has a CR or, if it is kept, another
  /// control character, or a line is folded or does not end in CRLF (`RequestLines`).
  case headerInvalid
  /// The message could be cut in two ways (RFC 9112, section 6): closed after the answer, so that
  /// nobody behind a proxy smuggles a second request in.
  case framingInvalid
  /// HTTP/1.1 without exactly one `Host` (RFC 9112, section 3.2).
  case hostInvalid
  /// The owner did not let it in (the `admit` closure of `HTTPServer`).
  case denied(HTTPDenial)
  /// No route has this path.
  case notFound
  /// The path, which has this template, has routes, but none for this method; `Allow` is added by
  /// the server.
  case methodNotAllowed(allow: [HTTPMethod], template: String)
  /// The body is, or is said to be, longer than the limit.
  case bodyTooLarge(bytesMax: Int)
  /// The request line and the headers are longer than the limit.
  case headersTooLarge(bytesMax: Int)
  /// A method that is none of `HTTPMethod`.
  case methodUnknown
  /// A transfer coding other than `chunked`.
  case transferCodingUnknown
  /// The server is stopping, and answers in place of the route.
  case draining
  /// The owner let go of a `PendingResponse` without resuming it: an error of this program.
  case answerLost

  /// The HTTP status.
  public var status: Int {
    switch self {
    case .targetInvalid, .headerInvalid, .framingInvalid, .hostInvalid: 400
    case .denied(let denial): denial.status
    case .notFound: 404
    case .methodNotAllowed: 405
    case .bodyTooLarge: 413
    case .headersTooLarge: 431
    case .answerLost: 500
    case .methodUnknown, .transferCodingUnknown: 501
    case .draining: 503
    }
  }

  /// The stable code of the problem document.
  public var code: String {
    switch self {
    case .targetInvalid, .headerInvalid, .framingInvalid, .hostInvalid: "invalid_request"
    case .denied(let denial): denial.code
    case .notFound: "not_found"
    case .methodNotAllowed: "method_not_allowed"
    case .bodyTooLarge: "payload_too_large"
    case .headersTooLarge: "headers_too_large"
    case .answerLost: "internal_error"
    case .methodUnknown, .transferCodingUnknown: "not_implemented"
    case .draining: "draining"
    }
  }

  /// One sentence for people; limits say the limit.
  public var detail: String {
    switch self {
    case .targetInvalid:
      "The request target is not a valid path: bad escape, control character or no UTF-8."
    case .headerInvalid:
      "A line of the request or its headers is not sound: a character that is not allowed there, "
        + "a folded line, or an end other than CRLF."
    case .framingInvalid: "The length of the request's body is stated in contradicting ways."
    case .hostInvalid: "An HTTP/1.1 request needs exactly one Host header."
    case .denied(let denial): denial.detail
    case .notFound: "There is nothing at this path."
    case .methodNotAllowed(let allow, _):
      "This path allows: " + HTTPMethod.list(allow) + "."
    case .bodyTooLarge(let bytesMax): "The body is longer than \(bytesMax) bytes."
    case .headersTooLarge(let bytesMax): "The headers are longer than \(bytesMax) bytes."
    case .answerLost: "The answer was lost inside the service."
    case .methodUnknown: "This method is not known here."
    case .transferCodingUnknown: "The only transfer coding known here is chunked."
    case .draining: "The service is stopping."
    }
  }
}

extension HTTPMethod {
  /// The value of an `Allow` header: `GET, HEAD, POST`.
  static func list(_ methods: [HTTPMethod]) -> String {
    methods.map(\.rawValue).joined(separator: ", ")
  }
}
