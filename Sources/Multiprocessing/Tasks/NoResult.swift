/// The result of a task that answers nothing: `null`.
public struct NoResult: Codable, Sendable, Equatable {
  /// Nothing.
  public init() {}
}
