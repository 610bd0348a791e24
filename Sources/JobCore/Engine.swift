import DequeModule

/// Decides everything and does nothing.
///
/// A value: it reads no clock, draws from a generator that it was given, touches no descriptor. An
/// event goes in with the moment of its turn; records to make durable and effects to perform come
/// out. This file holds the switch and what all event families share; each family has a file.
public struct Engine: Sendable {
  /// The durable state.
  public internal(set) var store: JobStore
  /// The bounds in force.
  public let limits: Limits
  /// The rules of tasks that have some, by name.
  let taskRules: [String: TaskRule]
  /// The rules of pools that have some, by name.
  let poolRules: [String: PoolRule]
  /// Whether no more work is taken.
  public internal(set) var isDraining = false
  /// Whether the journal takes records.
  public internal(set) var isWritable = true

  // Transient: what the workers are doing. Rebuilt from nothing after a crash.
  var pools: [PoolEntry]
  var lastSerial: UInt64 = 0
  var isDrainGraceOver = false
  var isDrainFinished = false

  /// Whether starts wait for a job on its last chance.
  var isHolding = false

  /// Whether a line begins with entries that no longer hold, and a slot waits for what is behind.
  var hasStaleFront = false

  /// How many workers each pool keeps, by its position: what Python's rule cuts a map's items by.
  /// As long as it was never set: one each.
  public var poolSizes: [Int] {
    get { pools.map(\.processes) }
    set { for (pool, processes) in newValue.enumerated() { pools[pool].processes = processes } }
  }
  /// How many pools are configured.
  public let configuredPools: Int
  /// What is to be watched of pools; see `Engine+Pools.swift`.
  var poolWork = PoolWork()
  /// The position of the pool that a submission last named.
  var lastNamedPool = 0
  /// The task that a configured pool was last chosen for, which alone named it, and that pool: most
  /// jobs are alike. Nil as soon as a pool names its tasks.
  var lastChoice: (task: String, pool: Int)?
  /// What is under way with maps; see `Engine+MapWork.swift`.
  var mapWork = MapWork()

  // Derived from the store.
  /// Open jobs that one more interruption ends.
  var lastChances: Set<JobNumber> = []
  var ready: [ReadyQueue] = []
  var deadlines = DeadlineQueue()

  /// What is taken off the ages of jobs.
  var clockJumps = ClockJumps()

  // An estimate.
  var drainRate = DrainRate()

  var generator: SeededGenerator
  let retryPolicy: RetryPolicy

  /// An engine over a recovered (or empty) state. `recover` must be called before any event.
  ///
  /// - Parameters:
  ///   - pools: the names of the configured pools; a pool is known by its position in this list.
  ///   - taskRules: the rules of tasks that have some, by name.
  ///   - poolRules: the rules of pools that allow more, or less, than others, by name.
  ///   - seed: of the generator that makes ids.
  public init(
    store: JobStore, pools: [String], limits: Limits, taskRules: [String: TaskRule] = [:],
    poolRules: [String: PoolRule] = [:], seed: UInt64
  ) {
    self.store = store
    self.limits = limits
    self.taskRules = taskRules
    self.poolRules = poolRules
    self.pools = pools.map { PoolEntry(name: $0, rule: poolRules[$0] ?? PoolRule()) }
    configuredPools = pools.count
    self.store.namesKept = Set(pools)
    generator = SeededGenerator(seed: seed)
    self.store.numberIDs(mask: generator.next())
    retryPolicy = RetryPolicy(limits)
  }

  /// Decides what follows from `event` and adds it to `turn`.
  public mutating func handle(_ event: Event, at moment: Moment, _ turn: inout Turn) {
    clockJumps.pass(moment)
    switch event {
    case .submissionReceived(let submission, let request):
      submit(submission, request, at: moment, &turn)
    case .submissionWithdrawn(let number):
      withdraw(number, at: moment, &turn)
    case .cancelReceived(let number, let grace, let request):
      cancel(number, grace, request, at: moment, &turn)
    case .forgetReceived(let number, let request):
      forget(number, request, &turn)
    case .mapReceived(let submission, let request):
      submit(submission, request, at: moment, &turn)
    case .itemsReceived(let map, let chunks):
      takeItems(chunks, of: map, at: moment, &turn)
    case .inputEnded(let map, let error, let request):
      endInput(of: map, error, request, at: moment, &turn)
    case .resultsTaken(let map, let order, let sent, let received):
      resultsTaken(map, order, MapWork.Read(sent: sent, received: received), &turn)
    case .mapCancelReceived(let map, let grace, let request):
      cancelMap(map, grace, request, at: moment, &turn)
    case .mapForgetReceived(let map, let request):
      forgetMap(map, request, &turn)
    case .poolCreateReceived, .poolChangeReceived, .poolCloseReceived, .poolTerminateReceived,
      .poolAttended, .poolLeft:
      poolWished(event, at: moment, &turn)
    case .poolStarted(let pool), .poolEnded(let pool), .poolBroke(let pool, _),
      .poolAnnounced(let pool, _, _):
      if isThere(pool) { poolTold(event, pool.index, at: moment, &turn) }
    case .slotReady(let slot, let credit, let pid):
      slotReady(slot, credit, pid, at: moment, &turn)
    case .slotGone(let slot):
      pools[slot.pool].update(slot: slot.index) { $0.credit = 0 }
    case .callProgressed(let call, let progress):
      callProgressed(call, progress)
    case .callReturned(let call, let result):
      callSucceeded(call, .succeeded(result), at: moment, &turn)
    case .callReturnedBytes(let call, let bytes):
      callSucceeded(call, .succeededWithBytes(bytes), at: moment, &turn)
    case .callPassedLimit(let call, let limit):
      callPassedLimit(call, limit, &turn)
    case .callRaised(let call, let error):
      callRaised(call, error, at: moment, &turn)
    case .callLost(let call, let loss):
      callLost(call, loss, at: moment, &turn)
    case .timePassed:
      timePassed(at: moment, &turn)
    case .storageChanged(let isWritable):
      self.isWritable = isWritable
      if isWritable { dispatchAll(at: moment, &turn) }
    case .drainRequested:
      isDraining = true
      endBeginnings(at: moment, &turn)
      finishDrainIfIdle(&turn)
    case .drainGraceEnded:
      isDrainGraceOver = true
    }
    if isHolding { reviewHold(at: moment, &turn) }
    if poolWork.ending > 0 { reviewPools(at: moment, &turn) }
  }

  private mutating func poolWished(_ event: Event, at moment: Moment, _ turn: inout Turn) {
    switch event {
    case .poolCreateReceived(let specification, let request):
      createPool(specification, request, at: moment, &turn)
    case .poolChangeReceived(let name, let processes, let isPaused, let request):
      changePool(name, processes, isPaused, request, at: moment, &turn)
    case .poolCloseReceived(let name, let request): closePool(name, request, at: moment, &turn)
    case .poolTerminateReceived(let name, let request):
      terminatePool(name, request, at: moment, &turn)
    case .poolAttended(let pool, let isWaiting):
      if isThere(pool) { poolAttended(pool.index, isWaiting: isWaiting, at: moment) }
    case .poolLeft(let pool): if isThere(pool) { poolLeft(pool.index, at: moment) }
    default: preconditionFailure("not a wish about a pool")
    }
  }

  private mutating func poolTold(
    _ event: Event, _ pool: Int, at moment: Moment, _ turn: inout Turn
  ) {
    switch event {
    case .poolStarted: poolStarted(pool, at: moment, &turn)
    case .poolEnded: poolEnded(pool, at: moment, &turn)
    case .poolAnnounced(_, let tasks, let isDynamic):
      pools[pool].tasks = Set(tasks)
      pools[pool].isDynamic = isDynamic
      lastChoice = nil
    case .poolBroke(_, let reason): poolBroke(pool, reason, &turn)
    default: preconditionFailure("not told by a pool")
    }
  }

  /// Makes a fact part of the state and of the turn. The only way in which the engine changes jobs.
  ///
  /// The record moves into the turn; inlined, it would be copied there, which counts references.
  @inline(never)
  mutating func emit(_ record: consuming Record, _ turn: inout Turn) {
    do {
      try store.apply(record)
    } catch {
      preconditionFailure("the engine decided what its state forbids: \(error)")
    }
    turn.records.append(record)
  }

  /// The next moment at which `timePassed` has something to do.
  public func nextDeadline(at moment: Moment) -> Instant? {
    // Also while the journal takes nothing: it leads to no record.
    if store.hasDropped { return moment.instant }
    guard isWritable else { return nil }
    if hasStaleFront || hasRetentionWork(at: moment) || hasBrokenPoolWork || !mapWork.isEmpty
      || hasReliefWork
    {
      return moment.instant
    }
    let retention = store.oldestFinishedAt.map { finishedAt in
      let (wait, overflow) = limits.retentionAge.subtractingReportingOverflow(
        age(since: finishedAt, at: moment))
      return moment.instant.advanced(byMilliseconds: overflow ? .max : wait)
    }
    let others = poolWork.isEmpty ? retention : earlier(retention, poolDeadline(at: moment))
    return earlier(deadlines.next, others)
  }

  private func earlier(_ one: Instant?, _ other: Instant?) -> Instant? {
    guard let one else { return other }
    return other.map { min(one, $0) } ?? one
  }

  private mutating func timePassed(at moment: Moment, _ turn: inout Turn) {
    if store.hasDropped { giveBackDropped(&turn) }
    guard isWritable else { return }
    var budget = limits.forgottenPerTurnMax
    while budget > 0, let number = deadlines.popDue(at: moment.instant) {
      budget -= 1
      switch store[number]?.state {
      case .scheduled: retryDue(number, &turn)
      case .running: timeLimitPassed(number, &turn)
      // A chunk of a map that was withdrawn.
      case nil: continue
      default: preconditionFailure("job \(number) has a deadline in a state that has none")
      }
    }
    if !mapWork.isEmpty { workOnMaps(at: moment, &turn) }
    relieveMaps(&turn)
    passPoolTime(at: moment, &turn)
    failJobsOfBrokenPools(at: moment, &turn)
    applyRetention(at: moment, &turn)
    hasStaleFront = false
    dispatchAll(at: moment, &turn)
  }

  /// The rule of a job's task; nil for most.
  func rule(of number: JobNumber) -> TaskRule? {
    guard !taskRules.isEmpty, let task = store[number]?.task else { return nil }
    return taskRules[store.names[task]]
  }

  // MARK: Questions

  /// How many jobs of a pool wait for a slot.
  public func queuedCount(pool: Int) -> Int {
    guard let name = store.names.find(pools[pool].name), Int(name.index) < ready.count else {
      return 0
    }
    return ready[Int(name.index)].count
  }

  /// How many jobs the slots of a pool hold.
  public func runningCount(pool: Int) -> Int {
    pools[pool].slots.reduce(0) { $0 + $1.calls.count }
  }

  /// How many slots of a pool hold a job.
  public func busySlots(pool: Int) -> Int {
    pools[pool].slots.reduce(0) { $0 + ($1.calls.isEmpty ? 0 : 1) }
  }

  /// The process that holds a running job; nil also while it is being started.
  public func workerPID(ofJob number: JobNumber) -> Int32? {
    for pool in pools.indices {
      for slot in pools[pool].slots where slot.calls.contains(where: { $0.job == number }) {
        return slot.pid == 0 ? nil : slot.pid
      }
    }
    return nil
  }

  /// How far a running job last said that it is.
  public func progress(ofJob number: JobNumber) -> Progress? {
    for pool in pools.indices {
      for slot in pools[pool].slots where slot.progress != nil && slot.calls.first?.job == number {
        return slot.progress
      }
    }
    return nil
  }

  /// Whether a pool runs tasks that its workers did not name.
  public func isDynamic(pool: Int) -> Bool { pools[pool].isDynamic }

  /// The tasks of each configured pool, by its position; nil until its first worker told.
  public func tasks(pool: Int) -> [String]? {
    pools[pool].tasks?.sorted()
  }

  /// Whether a pool's workers named a task.
  public func hasTold(_ task: String, pool: Int) -> Bool {
    pools[pool].tasks?.contains(task) == true
  }

  /// The attempt of a job that a slot holds.
  public func call(of number: JobNumber) -> CallID? {
    for pool in pools.indices {
      for slot in pools[pool].slots {
        if let call = slot.calls.first(where: { $0.job == number }) { return call.id }
      }
    }
    return nil
  }

  /// The job that a call is an attempt of.
  public func job(of call: CallID) -> JobNumber? {
    let slot = call.slot
    guard slot.pool < pools.count, slot.index < pools[slot.pool].slots.count else { return nil }
    return pools[slot.pool].slots[slot.index].calls.first { $0.id == call }?.job
  }

  /// When the job that has waited longest in a pool's queue was accepted.
  public func oldestQueuedAt(pool: Int) -> Timestamp? {
    guard
      let name = store.names.find(pools[pool].name), Int(name.index) < ready.count
    else { return nil }
    for number in ready[Int(name.index)].entries {
      if let job = store[number], job.state == .queued { return job.createdAt }
    }
    return nil
  }
}
