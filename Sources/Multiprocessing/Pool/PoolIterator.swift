/// The results of a task on many arguments, one by one: CPython's `IMapIterator`.
///
/// It takes in arguments in a thread of its own, never more than a bounded number ahead of what it
/// was asked for: an input that waits delays no result that is there, and it may wait for what is
/// done with an earlier one.
///
/// In a `for` loop each result is a `Result`; the failure of one does not end the others:
///
///     for result in try pool.imap(square, 0...) {
///       print(try result.get())
///     }
///
/// Any thread may ask; each result goes to one.
public final class PoolIterator<Output: Codable & Sendable>: Sequence, IteratorProtocol, Sendable {
  private let stream: ChunkStream<Output>
  private let pool: Pool

  init(_ stream: ChunkStream<Output>, of pool: Pool) {
    self.stream = stream
    self.pool = pool
  }

  deinit {
    stream.endInput()
  }

  /// The next result, or the error of the item or chunk that is next; nil when there are no more.
  /// Waits without bound.
  public func next() -> Result<Output, any Error>? {
    do {
      return try next(timeout: nil).map { .success($0) }
    } catch {
      return .failure(error)
    }
  }

  /// The next result; nil when there are no more. Waits for `timeout`, without bound if that is
  /// nil.
  ///
  /// - Throws: `TimeoutError` if it did not come in time: another call returns it. What became of
  ///   the item, or of its whole chunk, if that failed; another call goes on behind it. What the
  ///   input threw, behind all that came of it.
  public func next(timeout: Duration?) throws -> Output? {
    try stream.next(until: Deadline(after: timeout))
  }
}
