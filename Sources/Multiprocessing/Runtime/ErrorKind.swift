/// What an error is, for a `catch`: the one of each code has the code's name.
///
///     do {
///       print(try queue.getNoWait())
///     } catch QueueError.empty {
///       print("nothing there")
///     }
///
/// It matches whatever the code carries, and a ``ProgramError`` also within the ``ProcessError``
/// that `Process.start` throws. What the code carries is in the error: `catch let error as …`.
public struct ErrorKind<Failure: Error>: Sendable {
  private let matches: @Sendable (Failure) -> Bool

  init(_ matches: @escaping @Sendable (Failure) -> Bool) {
    self.matches = matches
  }

  /// Whether `error` is of this kind.
  public static func ~= (kind: ErrorKind, error: any Error) -> Bool {
    if let failure = error as? Failure { return kind.matches(failure) }
    guard case .program(let cause) = (error as? ProcessError)?.code,
      let failure = cause as? Failure
    else { return false }
    return kind.matches(failure)
  }
}
