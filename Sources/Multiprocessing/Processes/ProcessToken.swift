/// Names one process that the fork server was asked for, from the request to its exit. Unlike a
/// process id it is never given to another.
public struct ProcessToken: Hashable, Sendable {
  /// Unique within the server's life.
  public let rawValue: UInt64

  init(rawValue: UInt64) {
    self.rawValue = rawValue
  }
}
