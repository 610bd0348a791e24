import Glibc
import JobCore
import JobStorage
import Logging
import Multiprocessing
import Reactor

/// What the pools report, as events.
extension Server {
  /// What runs the calls of the configured pools.
  static func drivers(
    _ settings: Settings, _ forkServer: ForkServer, _ reactor: Reactor
  ) throws -> [any PoolDriver] {
    try settings.pools.enumerated().map { index, pool in
      try driver(of: pool, PoolID(index), settings, forkServer, reactor)
    }
  }

  /// What runs the calls of one pool.
  static func driver(
    of pool: Settings.Pool, _ id: PoolID, _ settings: Settings, _ forkServer: ForkServer,
    _ reactor: Reactor
  ) throws -> any PoolDriver {
    if let program = pool.worker {
      return LineWorkerPoolDriver(
        id, pool, program, settings: settings, environment: Environment.variables,
        forkServer: forkServer, reactor: reactor)
    }
    guard pool.runsPrograms else {
      return try WorkerPoolDriver(
        id, pool, settings: settings, forkServer: forkServer, reactor: reactor)
    }
    return try ProgramPoolDriver(
      id, pool, settings: settings, environment: Environment.variables,
      forkServer: forkServer, reactor: reactor)
  }

  /// Says what of the configuration of tasks is not going to have the effect that somebody wanted.
  func warnOfTasks() {
    for task in settings.tasks {
      let knowing = pools.filter { engine.tasks(pool: $0.index)?.contains(task.name) == true }
      if knowing.isEmpty {
        log.warning(
          "limits of a task that no pool knows",
          metadata: ["task": "\(task.name)", "place": "\(task.place)"])
      } else if task.program != nil, knowing.count > 1 {
        log.warning(
          """
          a program has the name of another task; without a pool, a submission runs the task in \
          'default', and only with the program's pool the program
          """,
          metadata: [
            "task": "\(task.name)", "pools": .array(knowing.map { "\($0.name)" }),
            "place": "\(task.place)",
          ])
      }
      warnOfProgram(of: task)
    }
  }

  /// Says that a program will not be found: no error, since it may be installed later.
  private func warnOfProgram(of task: TaskSettings) {
    guard let program = task.program,
      let fault = ProgramSearch.fault(
        of: program.name, path: program.path(in: Environment.variables))
    else { return }
    log.warning(
      "a program cannot be started, and jobs of its task will fail",
      metadata: [
        "task": "\(task.name)", "program": "\(program.name)", "reason": "\(fault)",
        "place": "\(task.place)",
      ])
  }

  /// Says what of the pools' programs is going to fail.
  func warnOfPools() {
    for pool in settings.pools {
      guard let worker = pool.worker else { continue }
      if worker.allowsPickle, !settings.allowsPickle {
        log.warning(
          "a pool allows pickle and the service does not; --allow-pickle does",
          metadata: ["pool": "\(pool.name)"])
      }
      if let folder = worker.directory, access(folder, X_OK) != 0 {
        log.warning(
          "the folder of a pool cannot be entered",
          metadata: [
            "pool": "\(pool.name)", "folder": "\(folder)",
            "reason": "\(String(cString: strerror(errno)))",
          ])
      }
      // A relative path is looked for where the worker starts.
      let name = worker.arguments[0]
      guard name.hasPrefix("/") || !name.contains("/"),
        let fault = ProgramSearch.fault(
          of: name, path: worker.path(in: Environment.variables))
      else { continue }
      log.warning(
        "the program of a pool cannot be started",
        metadata: ["pool": "\(pool.name)", "program": "\(name)", "reason": "\(fault)"])
    }
  }

  /// A worker wrote something while it ran nothing.
  func noteStray(_ process: Int32, _ text: [UInt8], of pool: String) {
    log.debug(
      "a worker wrote while it ran nothing",
      metadata: [
        "pool": "\(pool)", "pid": .count(Int(process)),
        "text": "\(String(decoding: text, as: UTF8.self))",
      ])
  }

  /// The fork server has news: of workers, of the compactor, of its own end.
  func forkServerReady() {
    var events: [ForkServerEvent] = []
    forkServer.drain(into: &events)
    for event in events {
      if event == .lost {
        forkServerLost()
      }
      if snapshotEvent(event) { continue }
      for pool in pools { pool.handle(event, at: now.instant) }
    }
  }

  private func forkServerLost() {
    metrics.forkServersLost += 1
    log.error("the fork server ended; another one is started, what ran is run again")
    let pause = forkServerPause.lost(at: now.instant)
    if pause == 0 {
      replaceForkServer()
    } else {
      forkServerRetryAt = now.instant.advanced(byMilliseconds: pause)
    }
  }

  private func replaceForkServer() {
    do {
      try forkServer.replace()
      forkServerRetryAt = nil
      isForkServerRefused = false
      forkServerPause.replaced(at: now.instant)
      log.notice("a fork server runs again", metadata: ["pid": .count(Int(forkServer.process))])
    } catch {
      if !isForkServerRefused {
        isForkServerRefused = true
        log.critical(
          "no fork server can be started; it is tried again", metadata: ["error": "\(error)"])
      }
      forkServerRetryAt = now.instant.advanced(byMilliseconds: forkServerPause.failed())
    }
  }

  /// Ends a fork server that does not answer, and tries again to start one, if that is due.
  func passForkServerTime() {
    if forkServer.timePassed(at: now.instant.nanoseconds) {
      log.error("the fork server does not answer and is killed")
    }
    if forkServer.isLookDue(at: now.instant.nanoseconds) { forkServerReady() }
    guard let due = forkServerRetryAt, due <= now.instant else { return }
    replaceForkServer()
  }

  /// Says once when a pool cannot start processes, and once when it can again.
  func noteTroubles() {
    for pool in pools {
      let trouble = pool.brokenReason == nil ? pool.startTrouble : nil
      guard (trouble != nil) != troubledPools.contains(pool.index) else { continue }
      if let trouble {
        troubledPools.insert(pool.index)
        log.warning(
          "processes cannot be started; it is tried again, and jobs wait",
          metadata: ["pool": "\(pool.name)", "reason": "\(trouble)"])
      } else {
        troubledPools.remove(pool.index)
        guard pool.brokenReason == nil else { continue }
        log.notice("processes can be started again", metadata: ["pool": "\(pool.name)"])
      }
    }
  }

  /// Hands everything that the pools report to the engine.
  func collectReports() {
    for pool in pools {
      // First: the engine still knows the calls of those that are gone.
      for exit in pool.takeExits() { note(exit, of: pool) }
      pool.drainEvents { event in
        note(event, of: pool)
        if usage.count > 0 { endUsage(with: event) }
        if reading({ $0.store.mapCount }) > 0 { decide(checked(event)) } else { decide(event) }
      }
    }
  }

  private func note(_ event: Event, of pool: any PoolDriver) {
    switch event {
    case .poolBroke(_, let reason):
      log.error(
        "the pool broke; its jobs fail and it takes no more",
        metadata: ["pool": "\(pool.name)", "reason": "\(reason)"])
    case .poolAnnounced(_, let tasks, _):
      metrics.noteTasks(tasks, of: pool.name)
      log.debug("tasks known", metadata: ["pool": "\(pool.name)", "tasks": .count(tasks.count)])
    default: break
    }
  }

  private func note(_ exit: WorkerExit, of pool: any PoolDriver) {
    metrics.noteWorkerExit(pool: pool.name, reason: exit.reason)
    var metadata: Logger.Metadata = [
      "pool": "\(pool.name)", "slot": .count(exit.slot), "pid": .count(Int(exit.pid)),
      "reason": "\(exit.reason)",
    ]
    if let exitcode = exit.exitcode { metadata["exitcode"] = .count(Int(exitcode)) }
    if let fault = exit.fault { metadata["fault"] = "\(fault)" }
    if let number = exit.call.flatMap({ engine.job(of: $0) }), let job = engine.store[number] {
      metadata["job"] = "\(job.id)"
      metadata["task"] = "\(engine.store.names[job.task])"
    }
    if exit.reason == "ended" {
      log.debug("worker ended on request", metadata: metadata)
    } else if exit.isExpected {
      log.debug("worker ended", metadata: metadata)
    } else {
      log.warning("worker ended unexpectedly", metadata: metadata)
    }
  }
}
