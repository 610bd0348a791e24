/// The result of a job that a pool is to do: CPython's `AsyncResult`.
///
/// One that is not ready keeps its pool alive. Any thread may ask it, any number of times.
public final class AsyncResult<Output: Sendable>: Sendable {
  private let job: ResultJob<Output>
  private let pool: Mutex<Pool?>

  init(_ job: ResultJob<Output>, of pool: Pool) {
    self.job = job
    self.pool = Mutex(pool)
  }

  deinit {
    job.forget()
  }

  /// Whether the job has ended, well or not, and its callback has returned.
  public var isReady: Bool {
    guard job.isFinal else { return false }
    release()
    return true
  }

  /// The same, by CPython's name.
  public func ready() -> Bool { isReady }

  /// Whether the job has ended well.
  ///
  /// - Throws: `PoolError` `notReady` if it has not ended.
  public func successful() throws(PoolError) -> Bool {
    guard isReady else { throw PoolError(.notReady) }
    if case .success = job.decoded() { return true }
    return false
  }

  /// Waits until the job has ended, or `timeout` is over; nil waits without bound, a negative one
  /// not at all. Returns whether it has ended.
  @discardableResult
  public func wait(timeout: Duration? = nil) -> Bool {
    job.wait(until: Deadline(after: timeout)) && isReady
  }

  /// The result, as soon as it is there. It is decoded once, by the thread that asks first.
  ///
  /// - Throws: `TimeoutError` if it is not there in time; what the task threw, as itself if its
  ///   `TaskDefinition` says so and else as a `RemoteError`; a `PoolError` if its worker or its
  ///   pool did not live to answer; what a callback threw.
  public func get(timeout: Duration? = nil) throws -> Output {
    guard job.isFinal || wait(timeout: timeout) else { throw TimeoutError() }
    release()
    return try job.decoded().get()
  }

  private func release() {
    let last = pool.withLock { pool -> Pool? in
      defer { pool = nil }
      return pool
    }
    _ = consume last  // Outside the lock: it may be the end of the pool.
  }
}
