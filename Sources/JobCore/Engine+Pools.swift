/// Pools as clients see them: created, resized, paused. Their end is in `Engine+PoolEnds.swift`.
///
/// Configured pools have the first positions, created ones those behind them. A position is given
/// again once its pool is dropped: that is joined then, so that no call of it is out.
extension Engine {
  /// How many pools there can be, configured ones included: so many can the number of a call name.
  public static let poolsMax = 256

  /// What of pools needs a look after each event, and when time passes; counted, so that nothing is
  /// looked for where there is none of it.
  struct PoolWork: Equatable, Sendable {
    /// Pools that are closing or terminating.
    var ending = 0
    /// Pools that are ended when nobody is interested in them.
    var abandonable = 0
    /// Created pools that are joined.
    var joined = 0

    /// Whether time matters to no pool.
    var isEmpty: Bool { ending == 0 && abandonable == 0 && joined == 0 }
  }

  // MARK: Questions

  /// The positions of the pools that there are, configured ones first.
  public var poolPlaces: [Int] { pools.indices.filter { !pools[$0].isVacant } }

  /// The position of the pool of this name.
  public func poolIndex(named name: String) -> Int? {
    // Who names a pool names it again.
    if lastNamedPool < pools.count, pools[lastNamedPool].name == name, !name.isEmpty {
      return lastNamedPool
    }
    return name.isEmpty ? nil : pools.firstIndex { $0.name == name }
  }

  /// Which pool has a position now.
  public func id(ofPool pool: Int) -> PoolID { PoolID(pool, serial: pools[pool].serial) }

  /// Whether a pool is there, and not another one at its position.
  public func isThere(_ pool: PoolID) -> Bool {
    pool.index < pools.count && pools[pool.index].serial == pool.serial
  }

  /// The name of a pool.
  public func name(ofPool pool: Int) -> String { pools[pool].name }

  /// Where a pool is in its life.
  public func stage(ofPool pool: Int) -> PoolStage { pools[pool].stage }

  /// Whether a pool starts no jobs for the time being.
  public func isPaused(pool: Int) -> Bool { pools[pool].isPaused }

  /// How many workers a pool keeps.
  public func processes(ofPool pool: Int) -> Int { pools[pool].processes }

  /// Why a pool runs nothing any more, or was terminated; nil: it runs, or somebody asked for it.
  public func reason(ofPool pool: Int) -> String? {
    pools[pool].end.cause ?? pools[pool].brokenReason
  }

  /// What a client asked for; nil for a configured pool.
  public func specification(ofPool pool: Int) -> PoolSpecification? { pools[pool].specification }

  /// What submissions to a pool may have.
  public func rule(ofPool pool: Int) -> PoolRule { pools[pool].rule }

  /// Whether there are pools that end when nobody is interested in them.
  public var hasAbandonablePools: Bool { poolWork.abandonable > 0 }

  // MARK: Creation

  mutating func createPool(
    _ specification: PoolSpecification, _ request: RequestID, at moment: Moment,
    _ turn: inout Turn
  ) {
    var specification = specification
    if let key = specification.idempotencyKey,
      let index = pools.firstIndex(where: { $0.specification?.idempotencyKey == key })
    {
      return answerRepeat(specification, of: index, request, &turn)
    }
    store.makeRoomForNames()
    if let refusal = whyNotCreated(specification) {
      return turn.effects.append(.answer(request, .refused(refusal)))
    }
    if specification.name.isEmpty { specification.name = newPoolName(at: moment) }
    if let joined = poolIndex(named: specification.name) { dropPool(joined, &turn) }
    let index = vacantPlace(&turn)
    let rule = poolRules[specification.template] ?? PoolRule()
    let serial = pools[index].serial
    pools[index] = PoolEntry(
      name: specification.name, rule: rule.of(specification), specification: specification)
    pools[index].serial = serial
    pools[index].stage = .starting
    pools[index].end.createRequests = [request]
    turn.effects.append(.startPool(id(ofPool: index)))
  }

  /// The same request again: it hears what the first one does. A name that it left out is not
  /// compared: the engine chose it.
  private mutating func answerRepeat(
    _ specification: PoolSpecification, of index: Int, _ request: RequestID, _ turn: inout Turn
  ) {
    var specification = specification
    let name = pools[index].name
    if specification.name.isEmpty { specification.name = name }
    if specification != pools[index].specification {
      turn.effects.append(.answer(request, .refused(.poolMismatch(name))))
    } else if pools[index].stage == .starting {
      pools[index].end.createRequests.append(request)
    } else if pools[index].end.isNeverRun {
      let reason = pools[index].brokenReason ?? ""
      turn.effects.append(.answer(request, .refused(.poolNotStarted(reason: reason))))
    } else {
      turn.effects.append(
        .answer(request, .poolCreated(id(ofPool: index), isReplay: true)))
    }
  }

  private func whyNotCreated(_ specification: PoolSpecification) -> Refusal? {
    if isDraining { return .draining }
    if !isWritable { return .readOnly }
    if let pool = poolIndex(named: specification.name), !isDroppable(pool) {
      return .poolExists(specification.name)
    }
    // Those that had no place at the start are in the store only.
    if let created = store.createdPools.first(where: { $0.excludes(specification) }),
      poolIndex(named: created.name) == nil
    {
      return .poolExists(created.name)
    }
    let created = pools.count { $0.specification != nil && $0.stage != .joined }
    if created >= limits.poolsMax || configuredPools + created >= Engine.poolsMax {
      return .tooManyPools(created)
    }
    return store.names.hasPlaceForPool ? nil : .tooManyNames
  }

  /// Whether a pool is there to be looked at only.
  private func isDroppable(_ pool: Int) -> Bool {
    pools[pool].stage == .joined && pools[pool].specification != nil
  }

  private mutating func newPoolName(at moment: Moment) -> String {
    while true {
      // The random part of an id of today: its end.
      let name = "pool-" + newID(at: moment).text.suffix(12)
      if poolIndex(named: name) == nil { return name }
    }
  }

  /// A position without a pool; the longest joined one is dropped for it, if it must be.
  private mutating func vacantPlace(_ turn: inout Turn) -> Int {
    if let place = pools.indices.first(where: { pools[$0].isVacant }) { return place }
    if pools.count < Engine.poolsMax {
      pools.append(.vacant(serial: 0))
      return pools.count - 1
    }
    return dropOldestPool(&turn)
  }

  /// All workers of a pool are ready for the first time. One that was told to end meanwhile ends
  /// all the same: its workers had not heard it yet.
  mutating func poolStarted(_ pool: Int, at moment: Moment, _ turn: inout Turn) {
    guard pools[pool].stage == .starting, !pools[pool].end.isTold,
      let specification = pools[pool].specification
    else { return }
    let requests = pools[pool].end.createRequests
    pools[pool].end.createRequests = []
    emit(.poolCreated(specification, at: moment.timestamp), &turn)
    begin(pool, at: moment)
    for (place, request) in requests.enumerated() {
      let answer = Answer.poolCreated(id(ofPool: pool), isReplay: place > 0)
      turn.effects.append(.answer(request, answer))
    }
    turn.effects.append(.poolChanged(id(ofPool: pool)))
  }

  /// A created pool takes jobs from now on.
  private mutating func begin(_ pool: Int, at moment: Moment) {
    pools[pool].stage = .running
    pools[pool].attendance.lastAt = moment.instant
    if pools[pool].specification?.idleTimeout != nil { poolWork.abandonable += 1 }
  }

  // MARK: Changes

  mutating func changePool(
    _ name: String, _ processes: Int?, _ isPaused: Bool?, _ request: RequestID,
    at moment: Moment, _ turn: inout Turn
  ) {
    guard let pool = poolIndex(named: name) else {
      return turn.effects.append(.answer(request, .refused(.noSuchPool(name))))
    }
    if let refusal = whyNotChanged(pool) {
      return turn.effects.append(.answer(request, .refused(refusal)))
    }
    let isCreated = pools[pool].specification != nil
    if let processes, processes != pools[pool].processes {
      if isCreated { emit(.poolResized(name, processes: processes), &turn) }
      pools[pool].processes = processes
      turn.effects.append(.resizePool(id(ofPool: pool), processes: processes))
    }
    if let isPaused, isPaused != pools[pool].isPaused {
      if isCreated { emit(isPaused ? .poolPaused(name) : .poolResumed(name), &turn) }
      pools[pool].isPaused = isPaused
      dispatch(pool: pool, at: moment, &turn)
    }
    turn.effects.append(.answer(request, .pool(id(ofPool: pool))))
  }

  private func whyNotChanged(_ pool: Int) -> Refusal? {
    if !isWritable { return .readOnly }
    if let reason = pools[pool].brokenReason {
      return .poolNotRunning(pool: pools[pool].name, reason: reason)
    }
    switch pools[pool].stage {
    case .running, .closing: return nil
    case .starting: return .poolNotReady(pool: pools[pool].name)
    case .terminating, .joined:
      return .poolNotRunning(pool: pools[pool].name, reason: pools[pool].stage.inWords)
    }
  }

  // MARK: Interest

  mutating func poolAttended(_ pool: Int, isWaiting: Bool, at moment: Moment) {
    pools[pool].attendance.lastAt = moment.instant
    if isWaiting { pools[pool].attendance.count += 1 }
  }

  mutating func poolLeft(_ pool: Int, at moment: Moment) {
    pools[pool].attendance.count -= 1
    pools[pool].attendance.lastAt = moment.instant
  }

  // MARK: Recovery

  /// Takes up the created pools where a crash has left them. One whose name is that of a configured
  /// pool by now is dropped: that one runs its jobs.
  mutating func recoverPools(at moment: Moment, _ turn: inout Turn) {
    for created in store.createdPools {
      guard poolIndex(named: created.name) == nil else {
        emit(.poolRemoved(created.name), &turn)
        continue
      }
      // With more pools configured than before, and no room: its jobs wait for a later start.
      guard pools.count < Engine.poolsMax else { continue }
      let specification = created.specification
      let rule = poolRules[specification.template] ?? PoolRule()
      let pool = pools.count
      pools.append(
        PoolEntry(name: created.name, rule: rule.of(specification), specification: specification))
      pools[pool].processes = created.processes
      pools[pool].isPaused = created.isPaused
      begin(pool, at: moment)
      if created.stage == .terminating { pools[pool].end.cause = created.cause }
      if created.stage != .running { resumeEnd(of: pool, created.stage) }
      // What has no job any more needs no workers to end.
      if pools[pool].stage != .terminating, pools[pool].stage == .running || openJobs(of: pool) > 0
      {
        turn.effects.append(.startPool(id(ofPool: pool)))
      } else {
        pools[pool].end.isWorkerless = true
      }
    }
    if poolWork.ending > 0 { reviewPools(at: moment, &turn) }
  }
}

extension PoolStage {
  /// Why a pool in this stage takes no jobs.
  var inWords: String {
    switch self {
    case .starting: "it is being created"
    case .running: "it runs"
    case .closing: "it is closed"
    case .terminating: "it is being terminated"
    case .joined: "it was closed or terminated"
    }
  }
}

extension PoolRule {
  /// What a pool may have that was made after one with this rule.
  fileprivate func of(_ specification: PoolSpecification) -> PoolRule {
    var rule = self
    rule.allowsPickle = allowsPickle && specification.allowsPickle
    return rule
  }
}
