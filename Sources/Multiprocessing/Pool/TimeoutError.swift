/// What was waited for did not come in time: CPython's `multiprocessing.TimeoutError`.
///
/// Nothing was ended or lost by it: waiting again is fine.
public struct TimeoutError: Error, Equatable, Sendable, CustomStringConvertible {
  /// An error that says so.
  public init() {}

  /// Says so.
  public var description: String { "it did not come in time" }
}
