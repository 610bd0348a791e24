/// A start method that cannot be used here.
public struct UnsupportedStartMethod: Error, Equatable, Sendable, CustomStringConvertible {
  /// The method.
  public let startMethod: StartMethod

  /// Why, and what to use instead.
  public var description: String {
    """
    start method \(startMethod.rawValue) is refused here, because it would fork the server itself; \
    use forkserver or spawn
    """
  }
}
