import HTTPServer
import JobCore
import JobStorage
import Logging
import Multiprocessing

/// What the engine wants of pools that come, change and go, and who waits for that.
extension Server {
  /// Does what the engine asked for of a pool.
  func performOnPool(_ effect: Effect) {
    switch effect {
    case .startPool(let pool): startPool(pool)
    case .resizePool(let pool, let processes):
      log.info(
        "a pool is resized",
        metadata: ["pool": "\(driver(of: pool)?.name ?? "")", "processes": .count(processes)])
      driver(of: pool)?.resize(to: processes, at: now.instant)
    case .closePool(let pool): endPool(pool) { $0.close(at: now.instant) }
    case .terminatePool(let pool): endPool(pool) { $0.terminate(at: now.instant) }
    case .dropPool(let pool, let name): dropPool(pool, name)
    case .poolChanged(let pool): poolChanged(pool)
    case .poolJoined(let pool): poolJoined(pool)
    default: preconditionFailure("not about a pool")
    }
  }

  /// What runs the calls of the pool that has a position now; nil while nothing does. While the
  /// disk is slow, that of the pool before may be there still.
  func driver(at pool: Int) -> (any PoolDriver)? { driver(of: engine.id(ofPool: pool)) }

  private func driver(of pool: PoolID) -> (any PoolDriver)? {
    guard pool.index < drivers.count, let driver = drivers[pool.index] else { return nil }
    return driver.id == pool ? driver : nil
  }

  private func startPool(_ pool: PoolID) {
    guard engine.isThere(pool) else { return }
    let index = pool.index
    guard let specification = engine.specification(ofPool: index) else { return }
    let isNew = engine.stage(ofPool: index) == .starting
    let configured = settings.pool(
      of: specification, processes: engine.processes(ofPool: index), startsWhole: isNew)
    guard let configured, whyNotMade(specification) == nil else {
      return log.warning(
        "a created pool has no workers",
        metadata: [
          "pool": "\(specification.name)", "template": "\(specification.template)",
          "reason": "\(whyNotMade(specification) ?? "")",
        ])
    }
    do {
      guard let driver = try makePool?(pool, configured) else {
        preconditionFailure("nobody makes pools here")
      }
      add(driver)
      driver.start(at: now.instant)
    } catch {
      // In the next turn: the engine decides nothing while its effects are performed.
      inbox.append(.poolBroke(pool: pool, reason: "\(error)"))
      inbox.append(.poolEnded(pool: pool))
    }
  }

  /// Why a created pool of an earlier life has no workers in this one; nil: it has.
  func whyNotMade(_ specification: PoolSpecification) -> String? {
    guard let template = settings.pools.first(where: { $0.name == specification.template }) else {
      return "its template is not configured; its jobs wait until it is"
    }
    guard template.worker == nil, !template.runsPrograms,
      let initializer = specification.initializer, !workerInitializers.contains(initializer)
    else { return nil }
    return "this program has no initializer '\(initializer)'; its jobs wait until it has"
  }

  /// Ends the workers of a pool; one that has none has ended.
  private func endPool(_ pool: PoolID, _ end: (any PoolDriver) -> Void) {
    if let driver = driver(of: pool), !driver.isEnded {
      end(driver)
    } else {
      inbox.append(.poolEnded(pool: pool))
    }
  }

  private func dropPool(_ pool: PoolID, _ name: String) {
    log.info("a pool is dropped", metadata: ["pool": "\(name)"])
    if let driver = driver(of: pool) {
      (driver as? ProgramPoolDriver)?.removeFolder()
      removePool(at: pool.index)
    }
    troubledPools.remove(pool.index)
    // One that never ran was not joined; what another has of its name by now stays.
    if engine.poolIndex(named: name) == nil { metrics.dropPool(name, engine.store) }
    endCompletionWaits(of: name)
    completions.forget(name)
    for waiter in poolWaiters.removeAll(of: pool) {
      waiter.response.resume(with: JobAnswers.problem(PoolAnswers.gone))
    }
  }

  private func poolChanged(_ pool: PoolID) {
    // What waits for one that is dropped already hears so then.
    guard engine.isThere(pool) else { return }
    let index = pool.index
    let stage = engine.stage(ofPool: index)
    var metadata: Logger.Metadata = [
      "pool": "\(engine.name(ofPool: index))", "state": "\(stage.rawValue)",
      "processes": .count(engine.processes(ofPool: index)),
    ]
    if let reason = engine.reason(ofPool: index) { metadata["reason"] = "\(reason)" }
    log.info("a pool changed", metadata: metadata)
  }

  /// Not told by a mere change: with a slow disk that comes late, when the pool may be joined, and
  /// not all that ended in it has been told.
  private func poolJoined(_ pool: PoolID) {
    poolChanged(pool)
    guard engine.isThere(pool) else { return }
    let index = pool.index
    if engine.specification(ofPool: index) != nil {
      metrics.dropPool(engine.name(ofPool: index), engine.store)
    }
    endCompletionWaits(of: engine.name(ofPool: index))
    for waiter in poolWaiters.removeAll(of: pool) { tellPool(of: waiter) }
  }

  /// Removes what pools that are no more have left of their working folders: they were dropped, or
  /// ended, when none of their workers was there to do it.
  func removeForsakenFolders() {
    let prefix = "work-"
    let names = (try? POSIXFileSystem().list(settings.directory)) ?? []
    for name in names.sorted() where name.hasPrefix(prefix) {
      if let pool = engine.poolIndex(named: String(name.dropFirst(prefix.count))) {
        guard [.joined, .terminating].contains(engine.stage(ofPool: pool)) else { continue }
      }
      let isGone = FolderSweeper.remove("\(settings.directory)/\(name)")
      log.info(
        "the working folder of a pool that is no more is removed",
        metadata: ["folder": "\(name)", "gone": .stringConvertible(isGone)])
    }
  }

  // MARK: Answers

  /// Answers a client with the handle of a pool as it is. What is told late, because the disk is
  /// slow, may be of one that is dropped by now, and another has its name.
  ///
  /// - Parameters:
  ///   - isCreation: whether the client asked for the pool.
  ///   - isReplay: whether it had done so before.
  func tellPool(
    _ pool: PoolID, to client: PendingResponse, isCreation: Bool = false, isReplay: Bool = false
  ) {
    guard engine.isThere(pool) else {
      return tell(JobAnswers.problem(PoolAnswers.gone), of: Server.poolRecords, to: client)
    }
    let index = pool.index
    var response = poolHandle(at: index)
    if isCreation {
      var headers = HTTPHeaders()
      headers.add("Location", "/v1/pools/\(engine.name(ofPool: index))")
      if isReplay { headers.add("Idempotent-Replayed", "true") }
      response = HTTPResponse(
        status: 201, contentType: "application/json", headers: headers, body: poolText(at: index))
    }
    if let subject = subject(ofPool: index) {
      tell(response, of: subject, to: client)
    } else {
      tell(response, to: client)
    }
  }

  /// What must be durable for a handle of a pool to be told; nil: everything, as one is joined by
  /// the ends of its jobs.
  func subject(ofPool pool: Int) -> JobNumber? {
    engine.stage(ofPool: pool) == .joined ? nil : Server.poolRecords
  }

  /// What records of pools are about, as far as durability knows: no job and no map.
  static let poolRecords: JobNumber = 0

  // MARK: Waiting

  /// Lets a client wait until a pool is joined.
  func waitJoined(
    _ response: PendingResponse, for pool: PoolID, milliseconds: JobCore.Milliseconds
  ) {
    let deadline = now.instant.advanced(byMilliseconds: milliseconds)
    let handle = poolWaiters.add(
      response, for: pool, until: deadline.nanoseconds, attendance(ofPool: pool.index))
    let end = { [unowned self] in
      if let waiter = poolWaiters.remove(handle) { poolWaitIsOver(waiter) }
    }
    if response.isAbandoned { end() } else { response.onAbandoned = end }
  }

  /// Answers those who have waited for long enough.
  func endPoolWaits() {
    for _ in 0..<Waiters.expiredMax {
      guard let waiter = poolWaiters.popExpired(at: now.instant.nanoseconds) else { return }
      poolWaitIsOver(waiter)
    }
  }

  /// The wait is over, and the pool is not joined: the client hears how far it is.
  func poolWaitIsOver(_ waiter: PoolWaiters.Waiter) {
    tellPool(of: waiter)
  }

  private func tellPool(of waiter: PoolWaiters.Waiter) {
    tellPool(waiter.pool, to: waiter.response)
  }
}
