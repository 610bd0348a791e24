/// One task for many arguments, with the results one by one.
extension Pool {
  /// Runs a task on each of many arguments, which may be without end, and gives the results one by
  /// one, in the order of the arguments: CPython's `Pool.imap`.
  ///
  /// Arguments are taken in by a thread of the iterator's own, in which all signals are blocked, as
  /// results are asked for: at most `2 * processes + bufferSize` chunks ahead. That bounds memory;
  /// tasks that take microseconds want a `bufferSize` of some hundreds, or larger chunks, so that
  /// workers need not wait for whoever takes the results. Each chunk of
  /// `chunkSize` is one call to a worker, and fails as a whole with its first item that does: in
  /// its place comes that one error.
  ///
  /// - Throws: `PoolError` `notRunning`, `invalidArgument` if `chunkSize` is below 1 or
  ///   `bufferSize` below 0; `ProgramError` if the task is not one that `bootstrap` was given;
  ///   `SystemCallError` if there is no thread. Anything else comes with the results.
  public func imap<Argument, Output, Input: Sequence<Argument>>(
    _ task: TaskDefinition<Argument, Output>, _ arguments: sending Input, chunkSize: Int = 1,
    bufferSize: Int = 0
  ) throws -> PoolIterator<Output> {
    var iterator = arguments.makeIterator()
    return try iterate(task, ordered: true, chunkSize, bufferSize) { iterator.next() }
  }

  /// The same with arguments that `next` gives until it answers nil; what it throws comes after the
  /// results of the chunks before.
  public func imap<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, chunkSize: Int = 1, bufferSize: Int = 0,
    next: sending @escaping () throws -> Argument?
  ) throws -> PoolIterator<Output> {
    try iterate(task, ordered: true, chunkSize, bufferSize, next)
  }

  /// The same with the results as they come: CPython's `Pool.imap_unordered`.
  public func imapUnordered<Argument, Output, Input: Sequence<Argument>>(
    _ task: TaskDefinition<Argument, Output>, _ arguments: sending Input, chunkSize: Int = 1,
    bufferSize: Int = 0
  ) throws -> PoolIterator<Output> {
    var iterator = arguments.makeIterator()
    return try iterate(task, ordered: false, chunkSize, bufferSize) { iterator.next() }
  }

  /// The same with arguments that `next` gives until it answers nil.
  public func imapUnordered<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, chunkSize: Int = 1, bufferSize: Int = 0,
    next: sending @escaping () throws -> Argument?
  ) throws -> PoolIterator<Output> {
    try iterate(task, ordered: false, chunkSize, bufferSize, next)
  }

  private func iterate<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, ordered: Bool, _ chunkSize: Int, _ bufferSize: Int,
    _ next: @escaping () throws -> Argument?
  ) throws -> PoolIterator<Output> {
    try core.registry.require(task)
    guard chunkSize >= 1 else { throw Self.wrongSize(chunkSize) }
    guard bufferSize >= 0 else {
      throw PoolError(.invalidArgument("bufferSize must not be negative, but is \(bufferSize)"))
    }
    let window = (2 * core.processes).addingReportingOverflow(bufferSize)
    let stream = ChunkStream<Output>(
      core, task, ordered: ordered, window: window.overflow ? .max : window.partialValue)
    try stream.begin {
      var arguments: [Argument] = []
      while arguments.count < chunkSize, let argument = try next() { arguments.append(argument) }
      if arguments.isEmpty { return nil }
      return ChunkStream.Chunk(
        arguments: try Self.encode(arguments, task), items: arguments.count)
    }
    return PoolIterator(stream, of: self)
  }
}
