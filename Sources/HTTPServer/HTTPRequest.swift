/// A request, as a value that holds on to nothing of the connection: it may be kept.
public struct HTTPRequest: Sendable {
  /// The method.
  public internal(set) var method: HTTPMethod
  /// The path, decoded; valid UTF-8 and without NUL. Not normalised: `..` and `//` are as sent,
  /// and match no template's literal.
  public internal(set) var path: String
  /// What followed `?`.
  public internal(set) var query: HTTPQuery
  /// The body, whole; at most `bodyBytesMax`. The action may take it away to spare a copy.
  public var body: [UInt8]

  /// Those that are kept (`HTTPServerSettings.fieldsKept`).
  var fields: HTTPFields
  var spans: PathSpans
  var parameterNames: [String]

  /// A request made by hand, for the tests of what stands behind the routes.
  public init(
    method: HTTPMethod, path: String, query: HTTPQuery = HTTPQuery(),
    headers: [(name: String, value: String)] = [], body: [UInt8] = []
  ) {
    self.method = method
    self.path = path
    self.query = query
    self.body = body
    fields = HTTPFields(headers)
    spans = PathSpans(repeating: PathSpan())
    parameterNames = []
  }

  /// Lets go of the memory that it holds, but for the room of the headers.
  mutating func reset() {
    path = ""
    query = HTTPQuery()
    body = []
    parameterNames = []
    fields.removeAll()
  }

  /// What the path's parameters stand for.
  public var parameters: PathParameters {
    PathParameters(path: path, spans: spans, names: parameterNames)
  }

  /// The value of a header that the settings keep, by its lower-case name; several lines of one
  /// name are joined with `, ` (RFC 9110, section 5.3). Bytes that are no UTF-8 become U+FFFD.
  /// `nil` when the request has no such header, or the settings do not keep it.
  public func header(_ name: String) -> String? {
    fields.value(of: name)
  }
}
