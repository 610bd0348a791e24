import JSON
import JobCore
import JobStorage
import Multiprocessing
import Reactor

/// Joins a pool whose workers are programs that stay to the engine and the reactor.
final class LineWorkerPoolDriver: KeptPoolDriver, LoggingPoolDriver {
  var books: KeptPoolBooks
  let pool: LineWorkerPool

  /// Told of calls while events are drained.
  var observe: ((CallObservation) -> Void)?
  /// Told what a worker wrote while it ran nothing.
  var observeStray: ((_ process: Int32, _ text: [UInt8]) -> Void)?
  /// Whether the system has killed for want of memory since it was last asked.
  var isOutOfMemory: () -> Bool = { false }

  private let allowsPickle: Bool
  private let allowsMain: Bool
  private let descriptors: PoolDescriptors
  private var hasAnnounced = false

  /// Programs that the kernel is short of memory for go before the service.
  private static let outOfMemoryAdjustment: Int32 = 500

  init(
    _ id: PoolID, _ configured: Settings.Pool, _ program: WorkerProgramSettings,
    settings: Settings, environment: [String: String], forkServer: ForkServer, reactor: Reactor
  ) {
    books = KeptPoolBooks(id, configured, settings)
    var poolSettings = PoolSettings(processes: configured.processes ?? CPUCount.usable)
    poolSettings.callsPerWorkerMax = configured.maxTasksPerChild
    poolSettings.startsWhole = configured.startsWhole
    var workers = LineWorkerSettings(arguments: program.arguments)
    workers.name = configured.name
    workers.environment = program.environment(in: environment)
    workers.folder = program.directory
    workers.initializer = program.initializer
    workers.initializerArguments = program.initializerArguments
    workers.main = program.main
    workers.allowsPickle = program.allowsPickle && settings.allowsPickle
    workers.allowsMain = program.allowsMain
    workers.readyMax = UInt64(configured.readyTimeout) * 1_000_000
    workers.resultBytesMax = program.outputBytesMax ?? settings.bodyBytesMax
    workers.logBytesMax = program.logBytesMax
    workers.outOfMemoryAdjustment = Self.outOfMemoryAdjustment
    allowsPickle = workers.allowsPickle
    allowsMain = workers.allowsMain
    let descriptors = PoolDescriptors(reactor)
    self.descriptors = descriptors
    pool = LineWorkerPool(
      poolSettings, workers: workers, forkServer: forkServer, watch: descriptors.watch,
      unwatch: descriptors.unwatch)
    descriptors.ready = { [unowned self] descriptor, readable, writable, now in
      pool.descriptorReady(descriptor, readable: readable, writable: writable, at: now)
    }
  }

  /// Whether it has had a ready worker, or never will.
  var isSettled: Bool { hasAnnounced || brokenReason != nil }

  func drainEvents(_ body: (Event) -> Void) {
    pool.drainReports { report in
      if let event = event(of: report) { body(event) }
    }
    for event in books.takeEvents() { body(event) }
  }

  private func event(of report: LineWorkerReport) -> Event? {
    switch report {
    case .pool(let report): return books.event(of: report, pool, isOutOfMemory: isOutOfMemory)
    case .announced(let tasks, let isDynamic):
      hasAnnounced = true
      return .poolAnnounced(pool: id, tasks: tasks, isDynamic: isDynamic)
    case .progressed(let number, let value, let message):
      let call = CallID(rawValue: number)
      let progress = Progress(value: value, message: message)
      observe?(.progressed(call, progress))
      return .callProgressed(call, progress)
    case .item(let call, let value): observe?(.item(CallID(rawValue: call), value: value))
    case .logGrew(let call): observe?(.logGrew(CallID(rawValue: call)))
    case .logEnded(let call, let stdout, let stderr):
      observe?(.ended(CallID(rawValue: call), stdout: stdout, stderr: stderr))
    case .stray(let process, let text): observeStray?(process, text)
    }
    return nil
  }

  func assign(_ assignment: Assignment, at instant: Instant) {
    let call = assignment.call
    guard pool.room(in: call.slot.index) > 0 else {
      books.events.append(.callLost(call, .notStarted))
      return
    }
    // The configuration may have changed since the job was accepted.
    guard assignment.encoding == .json || allowsPickle, assignment.main == nil || allowsMain else {
      let message = "the pool takes no pickle, or no script of a submitter's, any more"
      books.events.append(
        .callLost(call, .programFailed(RaisedError(type: "NotAllowed", message: message))))
      return
    }
    books.noteAssigned(assignment)
    pool.assign(LineCall(assignment), to: call.slot.index, at: instant.nanoseconds)
  }

  func log(of call: CallID, _ stream: JobLog.Stream) -> ProgramLog? {
    pool.log(of: call.rawValue).map { stream == .stdout ? $0.stdout : $0.stderr }
  }
}

extension LineCall {
  /// An assignment as the worker hears of it.
  fileprivate init(_ assignment: Assignment) {
    var writer = JSONWriter(capacity: 96)
    writer.member("attempt", integer: assignment.attempt)
    writer.member("job", string: assignment.job.text)
    if assignment.encoding != .json {
      writer.member("encoding", string: assignment.encoding.rawValue)
    }
    writer.memberIfPresent("main", string: assignment.main)
    let kind: LineCall.Kind =
      switch assignment.kind {
      case .call: .call(args: assignment.args, kwargs: assignment.kwargs)
      case .chunk(let star): .chunk(items: assignment.args, star: star)
      }
    self.init(
      number: assignment.call.rawValue, task: assignment.task, kind: kind,
      members: String(decoding: writer.bytes, as: UTF8.self))
  }
}
