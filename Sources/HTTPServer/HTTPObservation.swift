/// One finished request, for metrics and logs. Never holds anything that a client chose, such as a
/// path: `route` is the name that the program gave.
public struct HTTPObservation: Sendable {
  /// The route's name; `nil` when the server itself answered.
  public let route: String?
  /// The method; `nil` when it was none that the server knows.
  public let method: HTTPMethod?
  /// The status that was answered.
  public let status: Int
  /// From the request line to the last byte handed to the kernel, in nanoseconds, as far as the
  /// owner's calls tell: moments are those passed to `run(at:)`, so what is answered within one
  /// call took 0.
  public let nanoseconds: UInt64
  /// The answer went out whole; `false` when the connection broke before.
  public let isDelivered: Bool
}
