import Glibc
import HTTPServer
import JobCore
import JobStorage
import Logging
import Multiprocessing
import Reactor

/// From the first descriptor to the last: opening, readiness, draining, the end.
extension Server {
  /// How long idle workers and the last snapshot may take at the end, in milliseconds.
  private static let closingMax: Milliseconds = 60_000
  /// How long submissions wait for the first worker of each pool, in milliseconds.
  private static let earlyMax: Milliseconds = 10_000
  /// A further signal within this time, in milliseconds, is the first one delivered twice (to the
  /// process and to its group, or by two supervisors), not a second wish.
  private static let sameSignalMax: Milliseconds = 100

  /// The signals that begin the drain. SIGHUP is one, since a terminal that is closed sends it to
  /// what was started in it: there is nothing that the service could read anew.
  static let drainSignals: [(number: Int32, name: String)] = [
    (SIGTERM, "SIGTERM"), (SIGINT, "SIGINT"), (SIGHUP, "SIGHUP"),
  ]

  /// Recovers what was running, starts the pools and listens.
  func open(_ reactor: Reactor, _ signals: SignalSource) throws {
    try recover()
    removeForsakenFolders()
    try listen(reactor)
    try watch(reactor, signals)
    startPools()
  }

  /// Decides what becomes of the jobs that were running when the service was cut off.
  func recover() throws(StorageError) {
    completions.begin(
      at: now.timestamp, engine.store, configured: settings.pools.map(\.name))
    let found = engine.store.finishedCount
    place.engine.recover(at: now, &turn)
    noteRecords(from: 0)
    tellEnds(after: found)
    try commit()
    warnOfJobsWithoutPool()
  }

  /// Lets the pools start their processes.
  func startPools() {
    warnOfPools()
    for pool in pools.prefix(settings.pools.count) { pool.start(at: now.instant) }
  }

  private func listen(_ reactor: Reactor) throws {
    OpenAPIDocument.prepare()
    let router = Router(allRoutes())
    var http = HTTPServerSettings(
      host: settings.host, port: settings.port,
      fieldsKept: [
        "content-type", "content-encoding", "prefer", "idempotency-key", "if-none-match",
        "last-event-id",
        "origin",
      ])
    http.fieldsKept += door.fieldsKept.filter { !http.fieldsKept.contains($0) }
    http.bodyBytesMax = settings.bodyBytesMax
    http.connectionsMax = settings.connectionsMax
    http.headerBytesMax = settings.headerBytesMax
    http.headerTimeout = .milliseconds(settings.headerTimeout)
    http.bodyTimeout = .milliseconds(settings.bodyTimeout)
    // Apart from those of an earlier start, and from those of another service in the same log.
    http.requestIDPrefix = String(beganAt.timestamp, radix: 36) + "-"
    let server = try HTTPServer(
      settings: http, router: router, watcher: HTTPDescriptors(reactor),
      problem: Server.response(to:),
      admit: { [unowned self] in admit($0) },
      observe: { [unowned self] in note($0) })
    self.http = server
    log.info(
      "listening",
      metadata: [
        "address": "\(settings.host):\(server.port)", "data": "\(settings.directory)",
        "authentication": "\(door.authentication)",
        "connections_max": .count(server.connectionsMax),
      ])
    guard server.connectionsMax < http.connectionsMax else { return }
    log.notice(
      "the limit of open files leaves room for fewer connections",
      metadata: [
        "connections_max": .count(server.connectionsMax), "wanted": .count(http.connectionsMax),
      ])
  }

  private func watch(_ reactor: Reactor, _ signals: SignalSource) throws {
    try reactor.watch(forkServer.fileDescriptor, for: .readable, precedence: .late) {
      [unowned self] _ in forkServerReady()
    }
    try reactor.watch(signals.fileDescriptor, for: .readable) {
      [unowned self] _ in for signal in signals.drain() { signalArrived(signal) }
    }
    try reactor.watch(storage.syncDescriptor, for: .readable) {
      [unowned self] _ in syncsFinished()
    }
  }

  private func warnOfJobsWithoutPool() {
    for (pool, count) in engine.jobsWithoutPool() {
      log.warning(
        "jobs of a pool that is not configured wait until it is; they can be cancelled",
        metadata: ["pool": "\(pool)", "jobs": .count(count)])
    }
  }

  /// How a refusal of the HTTP server itself looks.
  private static func response(to refusal: HTTPRefusal) -> HTTPResponse {
    JobAnswers.problem(Problem(refusal))
  }

  // MARK: Phases

  /// Whether no more work is taken.
  var isDraining: Bool {
    switch phase {
    case .draining, .endingCalls: true
    case .starting, .ready, .closing, .stopped: false
    }
  }

  /// When the present phase ends by itself.
  var phaseDeadline: UInt64? {
    switch phase {
    case .draining(let until): until
    case .starting: early.isEmpty && bulks.isEmpty ? nil : earlyEndsAt.nanoseconds
    case .ready, .endingCalls, .closing, .stopped: closingDeadline
    }
  }

  /// Whether submissions wait for the pools to tell their tasks: while the service starts, but not
  /// for longer than `earlyMax`, should no worker ever be ready.
  var isHoldingEarly: Bool { phase == .starting && now.instant < earlyEndsAt }

  /// Whether a submission waits for pools to tell their tasks.
  func waitsForPools(_ event: Event) -> Bool {
    guard isHoldingEarly else { return false }
    switch event {
    case .submissionReceived(let submission, _):
      return waitsForPools(WantedPool(pool: submission.pool, task: submission.task))
    case .mapReceived(let submission, _):
      return waitsForPools(WantedPool(pool: submission.pool, task: submission.task))
    default: return false
    }
  }

  /// While the service starts: who names a pool waits for that one, and who names none for all, as
  /// long as the task is none of `default`.
  func waitsForPools(_ wish: WantedPool) -> Bool {
    guard let index = engine.poolIndex(named: wish.pool ?? "default") else {
      return wish.pool == nil
    }
    // A created one answers for itself.
    guard index < settings.pools.count else { return false }
    if let driver = drivers[index], !driver.isSettled, !driver.isEnded { return true }
    return wish.pool == nil && !engine.hasTold(wish.task, pool: index)
  }

  private var earlyEndsAt: Instant { beganAt.instant.advanced(byMilliseconds: Server.earlyMax) }

  /// Moves to the next phase when the present one has come to its end.
  func advancePhase() {
    switch phase {
    case .starting:
      // One that was closed before it had a worker never has one.
      if pools.prefix(settings.pools.count).allSatisfy({ $0.isSettled || $0.isEnded }) {
        becomeReady()
      } else {
        decideEarly()
      }
    case .ready, .stopped: break
    case .draining(let until):
      guard until <= now.instant.nanoseconds else { return }
      log.warning(
        "the grace is over; running jobs are cut off and run again after the next start",
        metadata: [
          "running": .count(engine.store.count(of: .running)),
          "grace": .seconds(milliseconds: settings.shutdownGrace),
        ])
      decide(.drainGraceEnded)
      for pool in pools { pool.terminate(at: now.instant) }
      phase = .endingCalls
    case .endingCalls:
      guard !engine.isWritable else { return }
      log.error(
        "the journal cannot be written; the service ends without what waits for it",
        metadata: ["records": .count(storage.pendingCount)])
      phase = .closing
    case .closing: close()
    }
  }

  private func becomeReady() {
    phase = .ready
    decideEarly()
    warnOfTasks()
    if let path = settings.portFile { writePortFile(path) }
    log.info(
      "ready",
      metadata: [
        "pools": .array(pools.map { "\($0.name)" }),
        "seconds": .seconds(from: beganAt.instant, to: now.instant),
      ])
  }

  /// Decides the submissions that were held back and wait no more. Those for a pool that has told
  /// no tasks yet are refused as `poolNotReady`.
  private func decideEarly() {
    let settled = pools.count { $0.isSettled }
    guard !early.isEmpty, !isHoldingEarly || settled != settledEarly else { return }
    settledEarly = settled
    let waiting = early.filter { waitsForPools($0) }
    guard waiting.count < early.count else { return }
    let due = early.filter { !waitsForPools($0) }
    early = waiting
    for event in due { decide(event) }
    do throws(StorageError) { try commit() } catch { fatal = error }
    for pool in pools { pool.flush() }
  }

  private func writePortFile(_ path: String) {
    guard let port = http?.port else { return }
    do throws(PortFile.Unwritable) {
      try PortFile.write(port, to: path)
    } catch {
      log.error(
        "the port file cannot be written",
        metadata: ["path": "\(path)", "reason": "\(error.reason)"])
    }
  }

  /// One of the signals that begin the drain: a second one, later, ends the process.
  func signalArrived(_ signal: Int32) {
    let name = Server.drainSignals.first { $0.number == signal }?.name ?? "\(signal)"
    guard phase == .ready || phase == .starting else {
      let isSame = drainBegunAt.map {
        now.instant < $0.advanced(byMilliseconds: Server.sameSignalMax)
      }
      if isSame == true { return }
      log.warning("second signal: the service ends at once", metadata: ["signal": "\(name)"])
      removePortFile()
      // The fork server sees its socket end, and ends everything that it started.
      _exit(128 + signal)
    }
    log.info(
      "draining",
      metadata: [
        "signal": "\(name)", "running": .count(engine.store.count(of: .running)),
        "open": .count(engine.store.openCount),
        "grace": .seconds(milliseconds: settings.shutdownGrace),
      ])
    drain()
  }

  private func drain() {
    drainBegunAt = now.instant
    let deadline = now.instant.advanced(byMilliseconds: settings.shutdownGrace)
    phase = .draining(until: deadline.nanoseconds)
    removePortFile()
    for event in early { decide(event) }
    early.removeAll()
    decide(.drainRequested)
  }

  private func removePortFile() {
    if let path = settings.portFile { PortFile.remove(path) }
  }

  // MARK: The end

  /// When the closing is given up; nil before it has begun.
  private var closingDeadline: UInt64? {
    phase == .closing
      ? closingBegunAt?.advanced(byMilliseconds: Server.closingMax).nanoseconds : nil
  }

  /// One step of the end: the workers go, then the last snapshot is written, then the loop ends.
  private func close() {
    if closingBegunAt == nil {
      closingBegunAt = now.instant
      for pool in pools { pool.terminate(at: now.instant) }
      for waiter in waiters.removeAll() { waitIsOver(waiter) }
      endCompletionWaits()
      for waiter in poolWaiters.removeAll() { poolWaitIsOver(waiter) }
    }
    if let deadline = closingDeadline, deadline <= now.instant.nanoseconds {
      log.error("the end took too long; what is left is ended by force")
      phase = .stopped
      return
    }
    guard pools.allSatisfy({ $0.isEnded }), !snapshot.isRunning else { return }
    if !snapshot.isLastBegun, storage.journalBytes > 0, engine.isWritable {
      snapshot.isLastBegun = true
      startSnapshot()
      if snapshot.isRunning { return }
    }
    phase = .stopped
  }

  /// Closes what is open; after the loop has ended.
  func shutDown() throws(StorageError) {
    http?.run(at: now.instant.nanoseconds, wallSecond: now.timestamp / 1_000)
    http?.stop()
    try storage.close(at: now)
  }

  /// Says that the service has ended, and when.
  func tellStop(at moment: Moment) {
    log.info(
      "stopped",
      metadata: [
        "jobs": .count(engine.store.count), "open": .count(engine.store.openCount),
        "seconds": .seconds(from: drainBegunAt ?? moment.instant, to: moment.instant),
        "uptime": .seconds(from: beganAt.instant, to: moment.instant),
      ])
  }
}

/// Where a submission is to run, as far as it says.
struct WantedPool: Hashable {
  let pool: String?
  let task: String
}
