/// The results of a task on many arguments, one by one: CPython's `IMapIterator`.
///
/// It takes in arguments while it is asked for results, never more than a bounded number ahead, in
/// the thread that asks. In a `for` loop each result is a `Result`; the failure of one does not end
/// the others:
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

/// The machine of a `PoolIterator`: input on one side, chunks in order or as they come on the
/// other.
///
/// Unchecked, as `pull` need not be Sendable: it is called behind `input`, and nobody else has it.
final class ChunkStream<Output: Codable & Sendable>: PoolStream, @unchecked Sendable {
  /// A chunk of arguments.
  struct Chunk {
    let arguments: [UInt8]
    let items: Int
  }

  private struct Input {
    var isAtEnd = false
  }

  private struct Arrived {
    var outputs: [Output] = []
    var next = 0
  }

  private let core: PoolCore
  private let job: StreamJob
  private let task: String
  private let codec: ArrayCodec<Output>
  private let coders: [ErrorCoder]
  private let window: Int
  /// The next chunk of arguments, encoded; nil: there are no more. Throws what the input does.
  private let pull: () throws -> Chunk?
  private let input = Mutex(Input())
  private let arrived = Mutex(Arrived())

  init<Argument>(
    _ core: PoolCore, _ task: TaskDefinition<Argument, Output>, ordered: Bool, window: Int,
    pull: @escaping () throws -> Chunk?
  ) {
    self.core = core
    job = StreamJob(ordered: ordered)
    self.task = task.name
    codec = task.outputCodec
    coders = task.errorCoders
    self.window = window
    self.pull = pull
  }

  /// Begins, and takes in as much as there is room for.
  func begin() throws(PoolError) {
    try core.openStream(self)
    fill(upTo: window)
  }

  /// Takes in no more.
  func endInput() {
    input.withLock { input in
      if !input.isAtEnd { end(&input, nil) }
    }
  }

  func submitRest() {
    fill(upTo: .max)
  }

  func abandon(_ error: any Error) {
    job.abandon(error)
  }

  private func fill(upTo most: Int) {
    input.withLock { input in
      while !input.isAtEnd, job.outstanding < most {
        do {
          guard let chunk = try pull() else { return end(&input, nil) }
          submit(chunk, &input)
        } catch {
          end(&input, error)
        }
      }
    }
  }

  private func submit(_ chunk: Chunk, _ input: inout Input) {
    let number = job.willSubmit(items: chunk.items)
    do throws(PoolError) {
      try core.submit(
        [PoolCall(job: job, chunk: number, task: task, arguments: chunk.arguments)],
        ofStream: true)
    } catch {
      end(&input, error, unsubmitted: true)
    }
  }

  private func end(_ input: inout Input, _ error: (any Error)?, unsubmitted: Bool = false) {
    input.isAtEnd = true
    job.endInput(error, unsubmitted: unsubmitted)
    core.closeStream(ObjectIdentifier(self))
  }

  /// What is next; see `PoolIterator.next`.
  func next(until deadline: Deadline) throws -> Output? {
    while true {
      let item: Output?
      let next: StreamJob.Next?
      do {
        (item, next) = try arrived.withLock { arrived in try take(&arrived) }
      } catch {
        fill(upTo: window)  // A chunk that failed makes room like any other.
        throw error
      }
      switch next {
      case .chunk:
        fill(upTo: window)
        if let item { return item }
      case .failed(let error):
        throw error
      case .end:
        return nil
      case .later(let parker):
        if parker.park(until: deadline) { continue }
        job.forget(parker)
        throw TimeoutError()
      case nil:
        return item
      }
    }
  }

  /// An item that has arrived, or what else is next, or both.
  private func take(_ arrived: inout Arrived) throws -> (Output?, StreamJob.Next?) {
    if arrived.next < arrived.outputs.count {
      defer { arrived.next += 1 }
      return (arrived.outputs[arrived.next], nil)
    }
    let next = job.next()
    guard case .chunk(let outcome, let items) = next else { return (nil, next) }
    if let error = outcome.error(coders) { throw error }
    guard case .returned(let text) = outcome else { return (nil, next) }
    arrived.outputs = try Pool.decode(text, count: items, codec, task)
    arrived.next = 1
    return (arrived.outputs.first, next)
  }
}
