import Glibc
import JSON

/// Processes that are kept to run tasks: CPython's `multiprocessing.Pool`.
///
///     let pool = try Pool(processes: 4)
///     print(try pool.map(square, 0..<100))
///     pool.close()
///     try pool.join()
///
/// All methods may be called from any thread, and from callbacks. Arguments are encoded by the
/// thread that calls, results decoded by the one that takes them; in between stands one thread of
/// the pool's own, which nobody can block. A worker that dies fails the job that it ran, no other,
/// and is replaced.
///
/// A pool that is dropped while it runs is terminated, and says so on stderr.
public final class Pool: Sendable {
  let core: PoolCore

  /// Makes a pool of `processes` workers, as many as there are processors to use if that is nil.
  ///
  /// Each runs `initializer` with `initArgument` before its first job; that may carry locks, queues
  /// and the like, which cannot be handed on in any other way. With `maxTasksPerChild` a
  /// worker is replaced after so many jobs, or chunks of them. Returns once every worker has
  /// started; they may still be at their initializers.
  ///
  /// - Throws: `PoolError` (`invalidArgument`; `argumentEncoding`; `noWorkers` if one cannot be
  ///   started: then those that were are ended), or `ProgramError`: for `fork` while this process
  ///   has several threads, one of which may be another pool's.
  public convenience init<InitArgument>(
    processes: Int? = nil, initializer: TaskDefinition<InitArgument, NoResult>,
    initArgument: InitArgument, maxTasksPerChild: Int? = nil, context: Context? = nil
  ) throws {
    try ProgramRuntime.registry().require(initializer)
    let transfer = DescriptorTransfer(.start)
    var writer = JSONWriter()
    do throws(TaskFailure) {
      try transfer.perform { () throws(TaskFailure) in
        try initializer.argumentCodec.encode([initArgument], to: &writer)
      }
    } catch {
      throw PoolError(.argumentEncoding(error.message))
    }
    var workers = WorkerSettings()
    workers.initializer = initializer.name
    workers.initializerArguments = String(decoding: writer.bytes, as: UTF8.self)
    try self.init(processes, workers, transfer, maxTasksPerChild, context)
  }

  /// The same with an initializer that takes no argument.
  public convenience init(
    processes: Int? = nil, initializer: TaskDefinition<NoArgument, NoResult>,
    maxTasksPerChild: Int? = nil, context: Context? = nil
  ) throws {
    try ProgramRuntime.registry().require(initializer)
    var workers = WorkerSettings()
    workers.initializer = initializer.name
    try self.init(processes, workers, nil, maxTasksPerChild, context)
  }

  /// The same without an initializer.
  public convenience init(
    processes: Int? = nil, maxTasksPerChild: Int? = nil, context: Context? = nil
  ) throws {
    try self.init(processes, WorkerSettings(), nil, maxTasksPerChild, context)
  }

  private init(
    _ processes: Int?, _ given: WorkerSettings, _ transfer: DescriptorTransfer?,
    _ maxTasksPerChild: Int?, _ context: Context?
  ) throws {
    let count = processes ?? CPUCount.usable
    guard count >= 1 else {
      throw PoolError(.invalidArgument("Number of processes must be at least 1, not \(count)"))
    }
    guard maxTasksPerChild ?? 1 >= 1 else {
      throw PoolError(
        .invalidArgument(
          "maxTasksPerChild must be a positive number or nil, not \(maxTasksPerChild ?? 0)"))
    }
    let registry = try ProgramRuntime.registry()
    let current = currentProcess()
    if current.isDaemon { throw ProcessError(.daemonHasNoChildren, current.name) }
    let context = ProgramRuntime.context(context)
    var workers = given
    workers.startMethod = context.startMethod == .spawn ? .spawn : .forkserver
    workers.resultBytesMax = Pool.resultBytesMax
    var settings = PoolSettings(processes: count)
    settings.callsPerWorkerMax = maxTasksPerChild
    let core = try PoolCore(processes: count, registry: registry)
    workers.owner = try PoolOwner.current()
    let forkServer = try ProgramRuntime.makeForkServer(for: context)
    workers.initializerDescriptors = transfer?.takeOver() ?? []
    let supervisor = try PoolSupervisor(core, settings, workers: workers, forkServer: forkServer)
    try supervisor.start()
    LivePools.add(core)
    // reason: from here on it belongs to its thread.
    nonisolated(unsafe) let handed = supervisor
    guard let thread = OwnedThread(named: "lido-pool", { handed.run() }) else {
      let number = errno
      LivePools.remove(core)
      forkServer.end()
      throw SystemCallError("pthread_create", number: number)
    }
    core.begin(thread)
    self.core = core  // Last: what fails before is no pool, and has none to be dropped.
  }

  deinit {
    guard core.isOurs, core.phase == .running else { return }
    let line =
      "lido: a Pool was dropped while it was running; it is terminated now. "
      + "Call close() or terminate() before, or use Pool.with { }.\n"
    _ = line.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
    core.terminate(grace: nil)
  }

  /// The longest result of one chunk, in bytes of JSON.
  private static let resultBytesMax = 1 << 30

  /// How many workers it keeps.
  public var processes: Int { core.processes }

  /// The process ids of its workers at this moment: fewer while one is being replaced, none when
  /// the pool has ended.
  public var processIDs: [Int32] { core.processIDs }

  // MARK: Life cycle

  /// No more jobs are taken; those that were are done, and then the workers end. Does nothing if
  /// the pool is closed or terminated already.
  public func close() {
    core.close()
  }

  /// Ends the pool now: every job and every iterator that is not done ends with `PoolError`
  /// `terminated` before this returns, without a callback, and every worker gets SIGTERM, and
  /// SIGKILL five seconds later. Does nothing if the pool is terminated already.
  public func terminate() {
    core.terminate(grace: nil)
    guard core.isOurs, !core.isSupervising else { return }
    _ = core.settled.wait()
  }

  /// Waits until the workers of a closed or terminated pool are gone, or `timeout` is over: a few
  /// milliseconds after `terminate`, and little more than five seconds if a worker ignores SIGTERM.
  /// A callback that runs is waited for as well.
  ///
  /// The input of iterators that are not at their end is taken in first, all of it, as far as
  /// `timeout` permits. That of a terminated pool is not; if it waits for something, its thread
  /// stays until it returns.
  ///
  /// - Throws: `PoolError` `stillRunning` if the pool is neither closed nor terminated,
  ///   `joinInCallback` in a callback of this pool, `otherProcess`; `TimeoutError`.
  public func join(timeout: Duration? = nil) throws {
    guard core.isOurs else { throw PoolError(.otherProcess) }
    guard core.phase != .running else { throw PoolError(.stillRunning) }
    // A deinit of the program's may run in the supervisor, which would wait for itself.
    guard !core.callbacks.isCurrent, !core.isSupervising else { throw PoolError(.joinInCallback) }
    let deadline = Deadline(after: timeout)
    let streams = core.openStreams
    for stream in streams { stream.hurry(true) }
    defer { for stream in streams { stream.hurry(false) } }
    guard core.ended.wait(until: deadline), core.callbacks.join(until: deadline) else {
      throw TimeoutError()
    }
    core.joinInputs(until: deadline)
    core.joinSupervisor()
  }

  /// Runs `body` and terminates and joins the pool when it is left, whatever way: CPython's
  /// `with pool:`.
  ///
  /// - Throws: `PoolError` `notRunning` if the pool is closed or terminated; what `body` throws.
  public func use<Value>(_ body: (Pool) throws -> Value) throws -> Value {
    guard core.phase == .running else { throw PoolError(.notRunning) }
    defer {
      terminate()
      try? join()  // The only error left is that this is a callback, which cannot wait.
    }
    return try body(self)
  }

  /// Makes a pool for `body` alone: CPython's `with Pool(...) as pool:`.
  public static func with<Value>(
    processes: Int? = nil, maxTasksPerChild: Int? = nil, context: Context? = nil,
    _ body: (Pool) throws -> Value
  ) throws -> Value {
    try Pool(processes: processes, maxTasksPerChild: maxTasksPerChild, context: context).use(body)
  }

  /// Terminates every pool of this process, for its end: workers have `grace` between SIGTERM and
  /// SIGKILL. Returns when all are gone, after little more than `grace`.
  static func endAll(grace: Duration) {
    let pools = LivePools.all
    let deadline = Deadline(after: grace + .seconds(4))
    let nanoseconds = Deadline(after: grace).left ?? 0
    for core in pools { core.terminate(grace: nanoseconds) }
    for core in pools where !core.isSupervising { _ = core.ended.wait(until: deadline) }
  }
}

extension Pool: CustomStringConvertible {
  /// `<Pool processes=4 running>`, `closed` or `terminated`.
  public var description: String { "<Pool processes=\(processes) \(core.phase)>" }
}
