import JobCore
import Multiprocessing
import Reactor

/// Joins a pool of kept workers in Swift to the engine and the reactor: reports become events,
/// effects become calls.
final class WorkerPoolDriver: KeptPoolDriver {
  var books: KeptPoolBooks
  let pool: WorkerPool
  /// Whether the system has killed for want of memory since it was last asked.
  var isOutOfMemory: () -> Bool = { false }
  private let descriptors: PoolDescriptors
  private var hasAnnounced = false

  init(
    _ id: PoolID, _ configured: Settings.Pool, settings configuration: Settings,
    forkServer: ForkServer, reactor: Reactor
  ) throws {
    books = KeptPoolBooks(id, configured, configuration)
    var settings = PoolSettings(processes: configured.processes ?? CPUCount.usable)
    settings.callsPerWorkerMax = configured.maxTasksPerChild
    settings.startsWhole = configured.startsWhole
    settings.initializerMax = UInt64(configured.readyTimeout) * 1_000_000
    var workers = WorkerSettings()
    workers.startMethod = configured.startMethod
    workers.initializer = configured.initializer
    workers.initializerArguments = configured.initializerArguments
    workers.resultBytesMax = configuration.bodyBytesMax
    for task in configuration.tasks where task.program == nil {
      workers.openFilesMax[task.name] = task.openFilesMax.map { UInt32(clamping: $0) }
    }
    let descriptors = PoolDescriptors(reactor)
    self.descriptors = descriptors
    pool = try WorkerPool(
      settings, workers: workers, forkServer: forkServer, watch: descriptors.watch,
      unwatch: descriptors.unwatch)
    descriptors.ready = { [unowned self] descriptor, readable, writable, now in
      pool.descriptorReady(descriptor, readable: readable, writable: writable, at: now)
    }
  }

  /// Whether it has had a ready worker, or never will.
  var isSettled: Bool { (hasAnnounced && books.hasHadReadyWorker) || brokenReason != nil }

  /// Hands over what happened since the last time, in order.
  func drainEvents(_ body: (Event) -> Void) {
    if !hasAnnounced, let tasks = pool.taskNames {
      hasAnnounced = true
      body(.poolAnnounced(pool: id, tasks: tasks))
    }
    pool.drainReports { report in
      if let event = books.event(of: report, pool, isOutOfMemory: isOutOfMemory) { body(event) }
    }
    for event in books.takeEvents() { body(event) }
  }

  /// Hands a call to its slot's worker; written by the next `flush`.
  ///
  /// The worker may have ended after the engine decided: then the call comes back as not started.
  func assign(_ assignment: Assignment, at instant: Instant) {
    let call = assignment.call
    guard pool.room(in: call.slot.index) > 0 else {
      books.events.append(.callLost(call, .notStarted))
      return
    }
    books.noteAssigned(assignment)
    if case .chunk(let isStar) = assignment.kind {
      return pool.assignChunk(
        call.rawValue, task: assignment.task, items: assignment.args, isStar: isStar,
        to: call.slot.index, at: instant.nanoseconds)
    }
    pool.assign(
      call.rawValue, attempt: UInt32(assignment.attempt), task: assignment.task,
      args: assignment.args, kwargs: assignment.kwargs, to: call.slot.index,
      at: instant.nanoseconds)
  }
}
