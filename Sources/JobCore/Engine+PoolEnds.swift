import DequeModule

/// How pools end: closed, terminated, abandoned; and what is left of them until they are dropped.
/// What can be much is done in bounded slices, so that no turn takes long.
extension Engine {
  /// Jobs that are looked at in one slice for such that wait for another attempt.
  private static let lookedAtMax = 20_000

  // MARK: Wishes

  mutating func closePool(
    _ name: String, _ request: RequestID, at moment: Moment, _ turn: inout Turn
  ) {
    guard let pool = poolIndex(named: name) else {
      return turn.effects.append(.answer(request, .refused(.noSuchPool(name))))
    }
    let poolID = id(ofPool: pool)
    guard isWritable else {
      return turn.effects.append(.answer(request, .refused(.readOnly)))
    }
    switch pools[pool].stage {
    case .starting:
      return turn.effects.append(.answer(request, .refused(.poolNotReady(pool: name))))
    case .running:
      if pools[pool].specification != nil { emit(.poolClosed(name), &turn) }
      leaveRunning(pool, for: .closing)
      turn.effects.append(.poolChanged(id(ofPool: pool)))
    case .closing, .terminating, .joined: break
    }
    // After that: it shows the pool as the review leaves it.
    reviewPools(at: moment, &turn)
    turn.effects.append(.answer(request, .pool(poolID)))
  }

  mutating func terminatePool(
    _ name: String, _ request: RequestID, at moment: Moment, _ turn: inout Turn
  ) {
    guard let pool = poolIndex(named: name) else {
      return turn.effects.append(.answer(request, .refused(.noSuchPool(name))))
    }
    guard isWritable else {
      return turn.effects.append(.answer(request, .refused(.readOnly)))
    }
    if pools[pool].stage == .joined {
      return turn.effects.append(.answer(request, .pool(id(ofPool: pool))))
    }
    pools[pool].end.terminateRequests.append(request)
    terminate(pool, nil, at: moment, &turn)
  }

  /// Ends a pool with all that it has, unless that is under way.
  private mutating func terminate(
    _ pool: Int, _ cause: String?, at moment: Moment, _ turn: inout Turn
  ) {
    let stage = pools[pool].stage
    guard stage != .terminating, stage != .joined else { return }
    pools[pool].end.cause = cause
    if stage == .starting {
      return endBeginning(pool, "it was terminated before all of its workers were ready", &turn)
    }
    if pools[pool].specification != nil {
      emit(.poolTerminated(pools[pool].name, cause: cause), &turn)
    }
    leaveRunning(pool, for: .terminating)
    endMaps(of: pool, at: moment, &turn)
    endCalls(of: pool)
    pools[pool].end.isTold = true
    turn.effects.append(.terminatePool(id(ofPool: pool)))
    turn.effects.append(.poolChanged(id(ofPool: pool)))
    var budget = limits.forgottenPerTurnMax
    endWaitingJobs(of: pool, &budget, at: moment, &turn)
    reviewPools(at: moment, &turn)
  }

  /// Ends a pool that is being created. Whoever wanted it hears so when its workers are gone.
  private mutating func endBeginning(_ pool: Int, _ reason: String, _ turn: inout Turn) {
    guard !pools[pool].end.isTold else { return }
    pools[pool].end.isTold = true
    pools[pool].brokenReason = reason
    turn.effects.append(.terminatePool(id(ofPool: pool)))
  }

  /// A pool gave up.
  mutating func poolBroke(_ pool: Int, _ reason: String, _ turn: inout Turn) {
    if pools[pool].stage == .starting { return endBeginning(pool, reason, &turn) }
    pools[pool].brokenReason = reason
  }

  /// Ends pools that are being created, as the service is about to end.
  mutating func endBeginnings(at moment: Moment, _ turn: inout Turn) {
    for pool in pools.indices where pools[pool].stage == .starting {
      terminate(pool, nil, at: moment, &turn)
    }
  }

  /// A pool that took jobs takes none any more.
  private mutating func leaveRunning(_ pool: Int, for stage: PoolStage) {
    if pools[pool].stage == .running {
      if pools[pool].specification?.idleTimeout != nil { poolWork.abandonable -= 1 }
      poolWork.ending += 1
    }
    pools[pool].stage = stage
  }

  /// Goes on with the end of a pool that a crash has cut off.
  mutating func resumeEnd(of pool: Int, _ stage: CreatedPool.Stage) {
    leaveRunning(pool, for: stage == .closing ? .closing : .terminating)
  }

  // MARK: What a terminated pool has

  /// Ends the input of its maps: what of them has not become a job never will.
  private mutating func endMaps(of pool: Int, at moment: Moment, _ turn: inout Turn) {
    guard let name = storedName(of: pool), store.openMapCount(pool: name) > 0 else { return }
    var taking: [MapNumber] = []
    store.forEachOpenMap { map in
      if map.pool == name, map.stage == .taking { taking.append(map.number) }
    }
    for map in taking {
      endDocument(map, &turn)
      let error = InputError(
        .poolTerminated, "the pool was terminated before all items were taken")
      endInput(of: map, error, nil, at: moment, &turn)
    }
  }

  /// Marks its calls: each is over, whatever it says, when its worker has answered or is gone.
  private mutating func endCalls(of pool: Int) {
    for slot in pools[pool].slots.indices {
      for place in pools[pool].slots[slot].calls.indices {
        switch pools[pool].slots[slot].calls[place].ending {
        case .cancelled, .withdrawn: continue
        case .timedOut, .passed, .poolTerminated, nil: break
        }
        pools[pool].slots[slot].calls[place].ending = .poolTerminated
        deadlines.remove(pools[pool].slots[slot].calls[place].job)
      }
    }
  }

  /// Ends its jobs that no slot holds: first those in line, then those that wait for an attempt.
  private mutating func endWaitingJobs(
    of pool: Int, _ budget: inout Int, at moment: Moment, _ turn: inout Turn
  ) {
    guard let name = storedName(of: pool) else { return }
    let line = Int(name.index)
    while budget > 0, line < ready.count, let number = ready[line].first {
      guard store.state(of: number) == .queued else {
        ready[line].removeStaleFirst()
        budget -= 1
        continue
      }
      ready[line].removeFirst()
      endByTermination(number, of: pool, at: moment, &turn)
      budget -= 1
    }
    guard budget > 0, store.count(of: .scheduled, pool: name) > 0 else { return }
    var looked = 0
    var found: [JobNumber] = []
    var place = pools[pool].end.lookedAt
    let most = budget
    store.descend(below: place) { job in
      looked += 1
      place = job.number
      if job.state == .scheduled, job.pool == name { found.append(job.number) }
      return looked < Engine.lookedAtMax && found.count < most
    }
    pools[pool].end.lookedAt = place
    for number in found {
      deadlines.remove(number)
      // What waits for a moment can only be cancelled; its moment comes early.
      emit(.jobQueued(number), &turn)
      endByTermination(number, of: pool, at: moment, &turn)
    }
    budget -= found.count
  }

  private mutating func endByTermination(
    _ number: JobNumber, of pool: Int, at moment: Moment, _ turn: inout Turn
  ) {
    let outcome: Outcome =
      isOfCancelledMap(number)
      ? .cancelled : .failed(terminationError(of: number, in: pool))
    end(number, outcome, at: moment, &turn)
  }

  /// How a job fails whose pool is terminated.
  func terminationError(of number: JobNumber, in pool: Int) -> JobError {
    let cause = pools[pool].end.cause.map { " (\($0))" } ?? ""
    return JobError(
      code: .poolTerminated, type: "PoolTerminated",
      message: "the pool '\(pools[pool].name)' was terminated\(cause)",
      attempt: store[number].map { Int($0.attempt) } ?? 0)
  }

  // MARK: What follows

  /// The last worker of a pool is gone.
  mutating func poolEnded(_ pool: Int, at moment: Moment, _ turn: inout Turn) {
    pools[pool].end.isWorkerless = true
    guard pools[pool].stage == .starting else { return }
    let reason = pools[pool].brokenReason ?? "its workers ended before all of them were ready"
    let refusal = isDraining ? Refusal.draining : .poolNotStarted(reason: reason)
    for request in pools[pool].end.createRequests {
      turn.effects.append(.answer(request, .refused(refusal)))
    }
    let requests = pools[pool].end.terminateRequests
    let poolID = id(ofPool: pool)
    guard !requests.isEmpty else { return vacate(pool, &turn) }
    // Whoever ended it sees that, as of any other.
    pools[pool].end.createRequests = []
    pools[pool].end.terminateRequests = []
    pools[pool].end.isNeverRun = true
    keepJoined(pool, at: moment, &turn)
    for request in requests { turn.effects.append(.answer(request, .pool(poolID))) }
  }

  /// Looks how far the pools are that are on their way out.
  mutating func reviewPools(at moment: Moment, _ turn: inout Turn) {
    guard poolWork.ending > 0 else { return }
    for pool in pools.indices {
      guard pools[pool].stage == .closing || pools[pool].stage == .terminating,
        openJobs(of: pool) == 0, pools[pool].slots.allSatisfy(\.calls.isEmpty)
      else { continue }
      let requests = pools[pool].end.terminateRequests
      // Before that: where none is kept it is dropped with its end.
      let poolID = id(ofPool: pool)
      pools[pool].end.terminateRequests = []
      if pools[pool].end.isWorkerless {
        join(pool, at: moment, &turn)
      } else if !pools[pool].end.isTold {
        pools[pool].end.isTold = true
        turn.effects.append(.closePool(id(ofPool: pool)))
      }
      for request in requests { turn.effects.append(.answer(request, .pool(poolID))) }
    }
  }

  private mutating func join(_ pool: Int, at moment: Moment, _ turn: inout Turn) {
    poolWork.ending -= 1
    keepJoined(pool, at: moment, &turn)
  }

  /// What is left of a pool stays to be looked at, if it was created for a while.
  private mutating func keepJoined(_ pool: Int, at moment: Moment, _ turn: inout Turn) {
    pools[pool].stage = .joined
    pools[pool].end.joinedAt = moment.instant
    turn.effects.append(.poolJoined(id(ofPool: pool)))
    guard pools[pool].specification != nil else { return }
    poolWork.joined += 1
    if poolWork.joined > limits.joinedPoolsMax { dropOldestPool(&turn) }
  }

  /// Drops the created pool that was joined before all others, and answers its position.
  @discardableResult
  mutating func dropOldestPool(_ turn: inout Turn) -> Int {
    var oldest: (at: Instant, pool: Int)?
    for pool in pools.indices where pools[pool].specification != nil {
      guard let instant = pools[pool].end.joinedAt else { continue }
      if oldest.map({ instant < $0.at }) ?? true { oldest = (instant, pool) }
    }
    guard let oldest else {
      preconditionFailure("the number of pools that are not joined is bounded")
    }
    dropPool(oldest.pool, &turn)
    return oldest.pool
  }

  /// Drops a created pool that is joined.
  mutating func dropPool(_ pool: Int, _ turn: inout Turn) {
    if !pools[pool].end.isNeverRun { emit(.poolRemoved(pools[pool].name), &turn) }
    poolWork.joined -= 1
    vacate(pool, &turn)
  }

  private mutating func vacate(_ pool: Int, _ turn: inout Turn) {
    turn.effects.append(.dropPool(id(ofPool: pool), name: pools[pool].name))
    pools[pool] = .vacant(serial: pools[pool].serial + 1)
  }

  /// Jobs that are not final, and maps whose items still come.
  mutating func openJobs(of pool: Int) -> Int {
    guard let name = storedName(of: pool) else { return 0 }
    return store.count(of: .queued, pool: name) + store.count(of: .running, pool: name)
      + store.count(of: .scheduled, pool: name) + store.openMapCount(pool: name)
  }

  private mutating func storedName(of pool: Int) -> Name? {
    if pools[pool].storedName == nil { pools[pool].storedName = store.names.find(pools[pool].name) }
    return pools[pool].storedName
  }

  // MARK: Time

  /// When `passPoolTime` has something to do; nil: never.
  func poolDeadline(at moment: Moment) -> Instant? {
    guard !poolWork.isEmpty else { return nil }
    var earliest: Instant?
    for pool in pools.indices {
      guard let due = poolDeadline(pool, at: moment) else { continue }
      earliest = earliest.map { min($0, due) } ?? due
    }
    return earliest
  }

  private func poolDeadline(_ pool: Int, at moment: Moment) -> Instant? {
    switch pools[pool].stage {
    case .running where pools[pool].attendance.count == 0:
      return pools[pool].specification?.idleTimeout.map {
        pools[pool].attendance.lastAt.advanced(byMilliseconds: $0)
      }
    case .terminating: return hasWaitingJobs(pool) ? moment.instant : nil
    case .joined where pools[pool].specification != nil:
      return pools[pool].end.joinedAt?.advanced(byMilliseconds: limits.joinedPoolAge)
    case .starting, .running, .closing, .joined: return nil
    }
  }

  private func hasWaitingJobs(_ pool: Int) -> Bool {
    guard let name = pools[pool].storedName ?? store.names.find(pools[pool].name) else {
      return false
    }
    return store.count(of: .queued, pool: name) + store.count(of: .scheduled, pool: name) > 0
  }

  /// Goes on with terminated pools, ends those that nobody is interested in, and drops those that
  /// have been joined for long enough.
  mutating func passPoolTime(at moment: Moment, _ turn: inout Turn) {
    guard !poolWork.isEmpty else { return }
    var budget = limits.forgottenPerTurnMax
    for pool in pools.indices {
      guard let due = poolDeadline(pool, at: moment), due <= moment.instant else { continue }
      switch pools[pool].stage {
      case .running:
        let seconds = Double(pools[pool].specification?.idleTimeout ?? 0) / 1_000
        let cause = "pool_abandoned: no request has named it for \(seconds) s"
        terminate(pool, cause, at: moment, &turn)
      case .terminating: endWaitingJobs(of: pool, &budget, at: moment, &turn)
      case .joined: dropPool(pool, &turn)
      case .starting, .closing: break
      }
    }
  }
}
