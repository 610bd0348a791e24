/// A request at the door: its headers are complete and sound, its body is not read yet.
///
/// A value for one call: `authorization` points into memory of libmicrohttpd.
public struct HTTPArrival {
  /// The method; `nil` when it is none that the server knows.
  public let method: HTTPMethod?
  /// The name of the route that would serve it; `nil` when none would.
  public let route: String?
  /// The value of `Authorization`, valid during the call; empty when the request has several of
  /// them, which are no credentials (RFC 9110, section 11.6.2). It is never kept among the headers,
  /// nor compared with that of another request.
  public let authorization: UnsafeBufferPointer<UInt8>?

  let fields: HTTPFields

  init(
    method: HTTPMethod?, route: String?, authorization: UnsafeBufferPointer<UInt8>?,
    fields: HTTPFields
  ) {
    self.method = method
    self.route = route
    self.authorization = authorization
    self.fields = fields
  }

  /// An arrival made by hand, for the tests of who decides about it.
  public init(
    method: HTTPMethod?, route: String?, authorization: UnsafeBufferPointer<UInt8>? = nil,
    headers: [(name: String, value: String)] = []
  ) {
    self.init(
      method: method, route: route, authorization: authorization,
      fields: HTTPFields(headers))
  }

  /// The value of a header, as `HTTPRequest.header(_:)` gives it.
  public func header(_ name: String) -> String? {
    fields.value(of: name)
  }
}

/// Why a request is not let in.
public struct HTTPDenial: Sendable, Equatable {
  /// 401 or 403.
  public var status: Int
  /// The stable code of the problem document.
  public var code: String
  /// One sentence for people.
  public var detail: String
  /// The value of `WWW-Authenticate`, which a 401 must have (RFC 9110, section 11.6.1).
  public var challenge: String?

  /// A denial.
  public init(status: Int, code: String, detail: String, challenge: String? = nil) {
    self.status = status
    self.code = code
    self.detail = detail
    self.challenge = challenge
  }
}
