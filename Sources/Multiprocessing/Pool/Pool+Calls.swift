import JSON

/// One task for one argument, and one task for many.
extension Pool {
  /// Runs a task in a worker and waits for its result: CPython's `Pool.apply`.
  ///
  /// - Throws: what `applyAsync` and `AsyncResult.get` do.
  public func apply<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, _ argument: Argument
  ) throws -> Output {
    try applyAsync(task, argument).get()
  }

  /// Runs a task that takes no argument.
  public func apply<Output>(_ task: TaskDefinition<NoArgument, Output>) throws -> Output {
    try applyAsync(task, NoArgument()).get()
  }

  /// Runs a task of several parameters.
  public func apply<First, Second, each Rest, Output>(
    _ task: TaskDefinition<Arguments<First, Second, repeat each Rest>, Output>, _ first: First,
    _ second: Second, _ rest: repeat each Rest
  ) throws -> Output {
    try applyAsync(task, Arguments(first, second, repeat each rest)).get()
  }

  /// Has a task run in a worker: CPython's `Pool.apply_async`.
  ///
  /// One of the callbacks is called with how it ended, before the result is ready, in a thread that
  /// runs this pool's callbacks one after the other. What a callback throws becomes the result; see
  /// also `CallbackError`.
  ///
  /// - Throws: `PoolError`: `notRunning`, `argumentEncoding`, or why the pool broke; `ProgramError`
  ///   if the task is not one that `bootstrap` was given (another one of its name is not either);
  ///   `SystemCallError` if the system has no thread for callbacks.
  @discardableResult
  public func applyAsync<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, _ argument: Argument,
    callback: (@Sendable (Output) throws -> Void)? = nil,
    errorCallback: (@Sendable (any Error) throws -> Void)? = nil
  ) throws -> AsyncResult<Output> {
    try core.registry.require(task)
    let codec = task.outputCodec
    let name = task.name
    let job = try ResultJob<Output>(
      chunks: 1, task.errorCoders, callbacks: callbacks(callback, errorCallback)
    ) { texts in
      try Self.decode(texts[0], count: 1, codec, name)[0]
    }
    let arguments = try Self.encode([argument], task)
    let result = AsyncResult(job, of: self)
    try core.submit(
      PoolCall(job: job, chunk: 0, task: name, items: nil, arguments: arguments))
    return result
  }

  /// Has a task run that takes no argument.
  @discardableResult
  public func applyAsync<Output>(
    _ task: TaskDefinition<NoArgument, Output>,
    callback: (@Sendable (Output) throws -> Void)? = nil,
    errorCallback: (@Sendable (any Error) throws -> Void)? = nil
  ) throws -> AsyncResult<Output> {
    try applyAsync(task, NoArgument(), callback: callback, errorCallback: errorCallback)
  }

  /// Has a task of several parameters run.
  @discardableResult
  public func applyAsync<First, Second, each Rest, Output>(
    _ task: TaskDefinition<Arguments<First, Second, repeat each Rest>, Output>, _ first: First,
    _ second: Second, _ rest: repeat each Rest,
    callback: (@Sendable (Output) throws -> Void)? = nil,
    errorCallback: (@Sendable (any Error) throws -> Void)? = nil
  ) throws -> AsyncResult<Output> {
    try applyAsync(
      task, Arguments(first, second, repeat each rest), callback: callback,
      errorCallback: errorCallback)
  }

  // MARK: map

  /// Runs a task on each of many arguments and waits for all results, in the order of the
  /// arguments: CPython's `Pool.map`.
  ///
  /// The arguments are cut into chunks of `chunkSize`, each of which is one call to a worker; if
  /// that is nil, so that each worker gets about four. The first item that fails ends its chunk.
  /// All other chunks are run all the same, and then the error of the chunk that failed first is
  /// thrown.
  @inlinable
  public func map<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, _ arguments: some Sequence<Argument>,
    chunkSize: Int? = nil
  ) throws -> [Output] {
    try map(task, all: Array(arguments), chunkSize)
  }

  /// The same with arguments that `next` gives until it answers nil; what it throws is thrown, and
  /// nothing is run.
  public func map<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, chunkSize: Int? = nil,
    next: () throws -> Argument?
  ) throws -> [Output] {
    var arguments: [Argument] = []
    while let argument = try next() { arguments.append(argument) }
    return try map(task, all: arguments, chunkSize)
  }

  /// Has a task run on each of many arguments: CPython's `Pool.map_async`. See `map` and
  /// `applyAsync`. No arguments have no results at once, and call no callback.
  @inlinable
  @discardableResult
  public func mapAsync<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, _ arguments: some Sequence<Argument>,
    chunkSize: Int? = nil, callback: (@Sendable ([Output]) throws -> Void)? = nil,
    errorCallback: (@Sendable (any Error) throws -> Void)? = nil
  ) throws -> AsyncResult<[Output]> {
    try mapAsync(task, all: Array(arguments), chunkSize, callback, errorCallback)
  }

  /// Runs a task of several parameters on each of many tuples: CPython's `Pool.starmap`.
  public func starmap<each Argument, Output>(
    _ task: TaskDefinition<Arguments<repeat each Argument>, Output>,
    _ arguments: some Sequence<(repeat each Argument)>, chunkSize: Int? = nil
  ) throws -> [Output] {
    try starmapAsync(task, arguments, chunkSize: chunkSize).get()
  }

  /// Has a task of several parameters run on each of many tuples: CPython's `Pool.starmap_async`.
  @discardableResult
  public func starmapAsync<each Argument, Output>(
    _ task: TaskDefinition<Arguments<repeat each Argument>, Output>,
    _ arguments: some Sequence<(repeat each Argument)>, chunkSize: Int? = nil,
    callback: (@Sendable ([Output]) throws -> Void)? = nil,
    errorCallback: (@Sendable (any Error) throws -> Void)? = nil
  ) throws -> AsyncResult<[Output]> {
    let all = arguments.map { (tuple: (repeat each Argument)) in
      Arguments<repeat each Argument>(repeat each tuple)
    }
    return try mapAsync(task, all: all, chunkSize, callback, errorCallback)
  }

  // MARK: Their common part

  @usableFromInline
  func map<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, all arguments: [Argument], _ chunkSize: Int?
  ) throws -> [Output] {
    try mapAsync(task, all: arguments, chunkSize, nil, nil).get()
  }

  @usableFromInline
  func mapAsync<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, all arguments: [Argument], _ chunkSize: Int?,
    _ callback: (@Sendable ([Output]) throws -> Void)?,
    _ errorCallback: (@Sendable (any Error) throws -> Void)?
  ) throws -> AsyncResult<[Output]> {
    try core.registry.require(task)
    let size = chunkSize ?? Self.chunkSize(arguments.count, workers: core.processes)
    guard size >= 1 || arguments.isEmpty && chunkSize == nil else { throw Self.wrongSize(size) }
    let starts = Array(stride(from: 0, to: arguments.count, by: max(size, 1)))
    let (count, codec, name) = (arguments.count, task.outputCodec, task.name)
    let job = try ResultJob<[Output]>(
      chunks: starts.count, task.errorCoders, callbacks: callbacks(callback, errorCallback)
    ) { texts in
      var outputs: [Output] = []
      outputs.reserveCapacity(count)
      for (start, text) in zip(starts, texts) {
        outputs += try Self.decode(text, count: min(size, count - start), codec, name)
      }
      return outputs
    }
    let result = AsyncResult(job, of: self)
    var calls: [PoolCall] = []
    calls.reserveCapacity(starts.count)
    for (chunk, start) in starts.enumerated() {
      let items = start..<min(start + size, count)
      let piece = Array(arguments[items])
      calls.append(
        PoolCall(
          job: job, chunk: chunk, task: name, items: items, arguments: try Self.encode(piece, task))
      )
    }
    try core.submit(calls)
    return result
  }

  /// CPython's default: about four chunks for each worker.
  static func chunkSize(_ count: Int, workers: Int) -> Int {
    let (size, rest) = count.quotientAndRemainder(dividingBy: workers * 4)
    return rest > 0 ? size + 1 : size
  }

  static func wrongSize(_ size: Int) -> PoolError {
    PoolError(.invalidArgument("Chunksize must be 1+, not \(size)"))
  }

  /// Arguments as a JSON array.
  static func encode<Argument, Output>(
    _ arguments: [Argument], _ task: TaskDefinition<Argument, Output>
  ) throws(PoolError) -> [UInt8] {
    var writer = JSONWriter()
    do throws(TaskFailure) {
      try task.argumentCodec.encode(arguments, to: &writer)
    } catch {
      throw PoolError(.argumentEncoding(error.message))
    }
    guard writer.count <= Frame.bytesMax - 1024 else {
      throw PoolError(
        .argumentEncoding(
          """
          \(writer.count) bytes are more than a worker takes at a time \
          (\(Frame.bytesMax - 1024)); make the chunks smaller
          """))
    }
    return writer.bytes
  }

  /// The results of one chunk.
  static func decode<Output>(
    _ text: String, count: Int, _ codec: ArrayCodec<Output>, _ task: String
  ) throws -> [Output] {
    do throws(TaskFailure) {
      let outputs = try codec.decode(text)
      guard outputs.count == count else {
        throw .argument("\(outputs.count) results of \(count) items")
      }
      return outputs
    } catch {
      throw RemoteError(undecodable: error, task: task)
    }
  }

  /// The callbacks of a job, and a thread for them; nil for none.
  private func callbacks<Output>(
    _ success: (@Sendable (Output) throws -> Void)?,
    _ failure: (@Sendable (any Error) throws -> Void)?
  ) throws(SystemCallError) -> ResultJob<Output>.Callbacks? {
    guard success != nil || failure != nil else { return nil }
    // Of one that takes no jobs any more the caller hears later.
    if core.isOurs, core.phase == .running { try core.callbacks.start() }
    return ResultJob.Callbacks(success: success, failure: failure)
  }
}
