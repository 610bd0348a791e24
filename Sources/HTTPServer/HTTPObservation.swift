/// One finished request, for metrics and logs. `requestID` aside it holds nothing that a client
/// chose, such as a path: `route` is the name that the program gave.
public struct HTTPObservation: Sendable {
  /// The route's name; `nil` when the server itself answered.
  public let route: String?
  /// The route's place in the order of the router; -1 when the server itself answered.
  public let routeIndex: Int
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
  /// What the answer had as `X-Request-Id`: up to 128 bytes of visible ASCII that the client sent,
  /// or an id that was made; empty when it had none.
  public let requestID: [UInt8]
}
