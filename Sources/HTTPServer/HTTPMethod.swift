import Glibc

/// A request method that this server knows (RFC 9110, section 9; PATCH: RFC 5789). Method names
/// are case-sensitive; any other is refused with 501 before a route sees it.
public enum HTTPMethod: String, Sendable, CaseIterable {
  /// Fetch a representation.
  case get = "GET"
  /// As `get`, without the body; falls to the route of `get`.
  case head = "HEAD"
  /// Submit the body to the resource.
  case post = "POST"
  /// Replace the resource.
  case put = "PUT"
  /// Change a part of the resource.
  case patch = "PATCH"
  /// Remove the resource.
  case delete = "DELETE"
  /// Ask which methods are allowed; answered here unless a route is declared for it.
  case options = "OPTIONS"
  /// Ask for the request itself: not routed, since the answer would show a client what a proxy
  /// added.
  case trace = "TRACE"
  /// As `get`, with the question in the body (draft-ietf-httpbis-safe-method-w-body): not routed.
  case query = "QUERY"

  /// Whether a route may be for it. The others are known so that a path refuses them with 405.
  var isRouted: Bool { self != .trace && self != .query }

  /// Reads a NUL-terminated name, without making a `String` of it.
  init?(cString name: UnsafePointer<CChar>) {
    switch UInt8(bitPattern: name[0]) {
    case UInt8(ascii: "G") where strcmp(name, "GET") == 0: self = .get
    case UInt8(ascii: "H") where strcmp(name, "HEAD") == 0: self = .head
    case UInt8(ascii: "P") where strcmp(name, "POST") == 0: self = .post
    case UInt8(ascii: "P") where strcmp(name, "PUT") == 0: self = .put
    case UInt8(ascii: "P") where strcmp(name, "PATCH") == 0: self = .patch
    case UInt8(ascii: "D") where strcmp(name, "DELETE") == 0: self = .delete
    case UInt8(ascii: "O") where strcmp(name, "OPTIONS") == 0: self = .options
    case UInt8(ascii: "Q") where strcmp(name, "QUERY") == 0: self = .query
    case UInt8(ascii: "T") where strcmp(name, "TRACE") == 0: self = .trace
    default: return nil
    }
  }

  /// The place of this method in a table with one entry a method.
  public var slot: Int {
    switch self {
    case .get: 0
    case .head: 1
    case .post: 2
    case .put: 3
    case .patch: 4
    case .delete: 5
    case .options: 6
    case .trace: 7
    case .query: 8
    }
  }
}
