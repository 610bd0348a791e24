import DequeModule

/// Matching queued jobs with slots that have credit.
extension Engine {
  mutating func slotReady(
    _ slot: SlotID, _ credit: Int, _ pid: Int32, at moment: Moment, _ turn: inout Turn
  ) {
    pools[slot.pool].update(slot: slot.index) {
      $0.credit = credit
      $0.pid = pid
    }
    dispatch(pool: slot.pool, at: moment, &turn)
  }

  mutating func dispatchAll(at moment: Moment, _ turn: inout Turn) {
    guard lastChances.isEmpty else { return dispatchAroundLastChances(at: moment, &turn) }
    for pool in pools.indices { fill(pool: pool, at: moment, &turn) }
  }

  /// Hands out queued jobs of one pool, oldest first, while a slot can take the next one.
  mutating func dispatch(pool: Int, at moment: Moment, _ turn: inout Turn) {
    if lastChances.isEmpty, !isHolding {
      fill(pool: pool, at: moment, &turn)
    } else {
      reviewHold(at: moment, &turn)
    }
  }

  /// The same while nobody is to run alone.
  mutating func fill(pool: Int, at moment: Moment, _ turn: inout Turn) {
    guard pools[pool].freeCredit > 0, pools[pool].mayStart, isWritable, !isDraining else { return }
    if pools[pool].storedName == nil { pools[pool].storedName = store.names.find(pools[pool].name) }
    guard let line = pools[pool].storedName.map({ Int($0.index) }), line < ready.count else {
      return
    }
    while let number = nextQueued(in: line) {
      // It is ended with the others of its map, a slice a turn, and what stands behind them starts
      // then: all at once they would keep the loop.
      if !mapWork.cancelled.isEmpty, isOfCancelledMap(number) { return }
      let isExclusive = rule(of: number)?.isExclusive ?? false
      guard let index = chooseSlot(pool: pool, isExclusive: isExclusive) else { return }
      ready[line].removeFirst()
      start(
        number, in: SlotID(pool: pool, index: index), isExclusive: isExclusive, at: moment, &turn)
    }
  }

  /// Hands a job that has left its line to a slot with room.
  mutating func start(
    _ number: JobNumber, in slot: SlotID, isExclusive: Bool, at moment: Moment, _ turn: inout Turn
  ) {
    let (attempt, createdAt) = store[number].map { (Int($0.attempt), $0.createdAt) } ?? (0, 0)
    lastSerial += 1
    let call = Call(
      id: CallID(serial: lastSerial, slot: slot), job: number, isExclusive: isExclusive)
    // However the clock was set back meanwhile, a job's moments come in their order.
    let startedAt = max(moment.timestamp, createdAt)
    emit(.attemptStarted(number, attempt: attempt + 1, at: startedAt), &turn)
    let isFirst = pools[slot.pool].update(slot: slot.index) { held in
      held.calls.append(call)
      return held.calls.count == 1
    }
    turn.effects.append(.dispatch(call.id, number))
    turn.effects.append(.jobChanged(number))
    if isFirst { callBegan(call, at: moment, &turn) }
  }

  /// Stale entries that are dropped from the front of a line in one go: a map that was cancelled
  /// may have left any number of them.
  private static let staleTakenMax = 20_000

  /// The first entry of a line that still holds; stale ones before it are dropped. Nil also where
  /// there are so many of them that the rest has to wait for the next turn.
  private mutating func nextQueued(in line: Int) -> JobNumber? {
    for _ in 0..<Engine.staleTakenMax {
      guard let number = ready[line].first else { return nil }
      if store.state(of: number) == .queued { return number }
      ready[line].removeStaleFirst()
    }
    hasStaleFront = true
    return nil
  }

  /// Credit as large as this is given for calls of less than some 80 microseconds.
  static let creditOfTinyCalls = 24
  /// How many tiny calls one slot gets before the next: to wake a worker costs both sides as much
  /// as a few of them take.
  static let tinyCallsTogether = 8

  /// The slot with credit that holds the fewest calls; one with a few tiny ones before that. More
  /// than one call each is credit that the pool gives for calls of microseconds only, and what
  /// waits behind a call that turns out long comes back as lost, not started. A call that is to
  /// have its worker to itself goes to an empty slot only.
  func chooseSlot(pool: Int, isExclusive: Bool) -> Int? {
    guard pools[pool].freeCredit > 0 else { return nil }
    var best: Int?
    var bestCount = Int.max
    let slots = pools[pool].slots
    for index in slots.indices {
      let count = slots[index].calls.count
      guard slots[index].room > 0, !isExclusive || count == 0 else { continue }
      let isForTinyCalls = slots[index].credit >= Engine.creditOfTinyCalls
      if isForTinyCalls ? (1..<Engine.tinyCallsTogether).contains(count) : count == 0 {
        return index
      }
      guard count < bestCount else { continue }
      best = index
      bestCount = count
    }
    return best
  }

  /// A call came to the front of its slot: it runs now, and its time limit counts from here.
  mutating func callBegan(_ call: Call, at moment: Moment, _ turn: inout Turn) {
    switch call.ending {
    case .cancelled(let grace): return turn.effects.append(.endCall(call.id, grace: grace))
    case .withdrawn: return turn.effects.append(.endCall(call.id, grace: 0))
    // All workers of its pool were told to end.
    case .poolTerminated: return
    case .timedOut, .passed, nil: break
    }
    if let timeout = timeout(of: call.job) {
      deadlines.insert(call.job, due: moment.instant.advanced(byMilliseconds: timeout))
    }
  }

  /// The longest that an attempt of a job may run: the shorter of the job's and its task's bound.
  func timeout(of number: JobNumber) -> Milliseconds? {
    let own = store[number]?.options?.timeout
    guard let bound = rule(of: number)?.timeout else { return own }
    return own.map { min($0, bound) } ?? bound
  }
}
