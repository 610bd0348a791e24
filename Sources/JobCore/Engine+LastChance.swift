import DequeModule

/// Jobs that were cut off so often that once more is the end.
///
/// A crash of the service, or of its fork server, cuts off everything that runs, and does not say
/// who caused it. So a job on its last chance runs alone, with nothing else in any pool: whoever is
/// cut off then has cut itself off, and no job is given up for what another one does. Other starts
/// are held back while it runs, and while it waits until nothing runs; but not while it waits for
/// its own pool, which may have no worker for long.
extension Engine {
  /// Whether one more interruption is the end of a job that was interrupted before.
  func isOnLastChance(_ job: Job) -> Bool {
    job.losses > 0 && Int(job.losses) + 1 >= limits.lossesMax
  }

  /// Notes a job that was given back, if it is on its last chance.
  mutating func noteLastChance(of number: JobNumber) {
    guard let job = store[number], isOnLastChance(job) else { return }
    lastChances.insert(number)
  }

  /// Hands out the oldest job that is on its last chance, once nothing runs; while there is none
  /// that could run, all others.
  mutating func dispatchAroundLastChances(at moment: Moment, _ turn: inout Turn) {
    guard isWritable, !isDraining else { return }
    let isOneRunning = lastChances.contains { store.state(of: $0) == .running }
    var next = nextOnLastChance
    while !mapWork.cancelled.isEmpty, let chunk = next, isOfCancelledMap(chunk) {
      if let line = store[chunk].map({ Int($0.pool.index) }) { ready[line].remove(chunk) }
      end(chunk, .cancelled, at: moment, &turn)
      next = nextOnLastChance
    }
    isHolding = isOneRunning || next != nil
    guard isHolding else {
      for pool in pools.indices { fill(pool: pool, at: moment, &turn) }
      return
    }
    guard let next, pools.allSatisfy({ $0.slots.allSatisfy(\.calls.isEmpty) }),
      let pool = pool(of: next), let index = chooseSlot(pool: pool, isExclusive: true),
      let line = store[next].map({ Int($0.pool.index) })
    else { return }
    ready[line].remove(next)
    start(next, in: SlotID(pool: pool, index: index), isExclusive: true, at: moment, &turn)
  }

  /// The oldest job on its last chance that could run.
  private var nextOnLastChance: JobNumber? {
    lastChances.filter { store.state(of: $0) == .queued && hasRoom(for: $0) }.min()
  }

  /// What follows from an event for the starts that are held back: a job on its last chance may
  /// have ended, or its pool may run nothing any more.
  mutating func reviewHold(at moment: Moment, _ turn: inout Turn) {
    guard lastChances.isEmpty else { return dispatchAroundLastChances(at: moment, &turn) }
    isHolding = false
    dispatchAll(at: moment, &turn)
  }

  private func hasRoom(for number: JobNumber) -> Bool {
    pool(of: number).map { pools[$0].freeCredit > 0 && pools[$0].mayStart } ?? false
  }

  /// The position of a job's pool; nil: it is not configured.
  private func pool(of number: JobNumber) -> Int? {
    guard let name = store[number].map({ store.names[$0.pool] }) else { return nil }
    return poolIndex(named: name)
  }
}
