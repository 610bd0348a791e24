/// The argument of a task that takes none.
public struct NoArgument: Codable, Sendable, Equatable {
  /// Nothing.
  public init() {}
}
