/// A start method to make processes and pools by, side by side with others: CPython's
/// `multiprocessing.get_context(method)`. Using one neither sets nor fixes the method of the
/// program.
///
///     let process = try Process(square, 3, context: .spawn)
public struct Context: Hashable, Sendable {
  /// How its processes come into being; that of a context never changes.
  public let startMethod: StartMethod

  /// The context of a start method.
  public init(_ startMethod: StartMethod) {
    self.startMethod = startMethod
  }

  /// Forks of the calling process, which must have one thread.
  public static let fork = Context(.fork)
  /// New executions of this program.
  public static let spawn = Context(.spawn)
  /// Forks of a process that has one thread and has touched nothing.
  public static let forkserver = Context(.forkserver)
}
