@testable import JobCore

/// A store as a snapshot holds it, through its public face only.
struct StoreSnapshot {
  private let nextNumber: JobNumber
  private let forgotten: [UInt64]
  private var jobs: [RestoredJob] = []

  init(_ store: JobStore) {
    nextNumber = store.nextNumber
    forgotten = Array(store.forgotten.hashes)
    store.forEachInSnapshotOrder { jobs.append(RestoredJob($0, names: store.names)) }
  }

  /// A store made of the snapshot and the records that came after it.
  func restored(
    and records: some Sequence<Record>, forgottenIDsMax: Int
  ) throws(JobStore.Misfit) -> JobStore {
    var store = JobStore(forgottenIDsMax: forgottenIDsMax)
    store.restore(nextNumber: nextNumber, forgotten: forgotten)
    for job in jobs { store.restore(job) }
    for record in records { try store.apply(record) }
    return store
  }
}

/// Crashes, and what a start makes of what it finds.
extension History {
  mutating func takeSnapshot() {
    snapshot = StoreSnapshot(engine.store)
    snapshotCovers = journal.count
  }

  /// The pools tell their tasks, as at every start.
  mutating func start() {
    var turn = Turn()
    engine.recover(at: moment, &turn)
    for pool in History.pools.indices {
      settle(hand(.poolAnnounced(pool: PoolID(pool), tasks: History.tasks[pool])), expected: [])
    }
  }

  /// The service is cut off; what recovery rebuilds must equal what was alive.
  mutating func crash() {
    eventCounts["crash", default: 0] += 1
    let bound = limits.forgottenIDsMax
    do {
      let empty = StoreSnapshot(JobStore())
      let replayed = try empty.restored(and: journal, forgottenIDsMax: bound)
      expect(replayed == engine.store, "the journal does not lead to the live state")
      let recovered = try snapshot.restored(
        and: journal.dropFirst(snapshotCovers), forgottenIDsMax: bound)
      expect(recovered == engine.store, "snapshot and journal do not lead to the live state")
      let again = try StoreSnapshot(recovered).restored(and: [], forgottenIDsMax: bound)
      expect(again == engine.store, "a snapshot of the whole is not the whole")
      let torn = journal.prefix(journal.count - random.below(min(journal.count + 1, 12)))
      recoverAside(try empty.restored(and: torn, forgottenIDsMax: bound))
      restart(on: recovered)
    } catch {
      problems.append("\(error)")
    }
  }

  /// Any beginning of the journal is a state that a start can make sense of.
  private mutating func recoverAside(_ store: JobStore) {
    var aside = Engine(store: store, pools: History.pools, limits: limits, seed: 1)
    var turn = Turn()
    aside.recover(at: moment, &turn)
    problems += aside.brokenInvariants().map { "after a torn journal: \($0)" }
    expect(aside.store.count(of: .running) == 0, "something runs after a start")
    expect(aside.store.count == store.count, "a start lost a job")
  }

  private mutating func restart(on store: JobStore) {
    slots = slots.map { $0.map { _ in SlotModel() } }
    // Serial numbers of calls begin anew.
    pastCalls = []
    usedCalls = []
    endedCalls = []
    isWritable = true
    isDraining = false
    isGraceOver = false
    isDrainFinished = false
    isBroken = [false, false]
    // Another process, another start of the monotonic clock; the wall clock went on.
    moment = Moment(
      instant: Instant(nanoseconds: UInt64(random.below(1_000_000_000))),
      timestamp: moment.timestamp + Timestamp(random.below(1_000)))
    engine = Engine(store: store, pools: History.pools, limits: limits, seed: random.next())
    let running = live.filter { jobs[Int($0) - 1].state == .running }
    let expected = running.map { number in
      (number, jobs[Int(number) - 1].verdictOfRecovery(lossesMax: limits.lossesMax))
    }
    for number in running { jobs[Int(number) - 1].isOvertime = false }
    var turn = Turn()
    engine.recover(at: moment, &turn)
    expect(
      turn.effects == turn.records.map { .jobChanged($0.job) },
      "a start tells something else than what it decides")
    settle(turn, expected: expected)
    for pool in lines.indices { lines[pool].sort() }
    for pool in History.pools.indices {
      settle(hand(.poolAnnounced(pool: PoolID(pool), tasks: History.tasks[pool])), expected: [])
    }
  }

  /// All workers are well from now on: every open job must come to its end.
  mutating func comeToRest() {
    crash()
    var rounds = 0
    while problems.isEmpty, engine.store.openCount > 0 {
      for pool in slots.indices {
        for index in slots[pool].indices { setCredit(SlotID(pool: pool, index: index), 2) }
      }
      for call in slots.joined().flatMap(\.calls) { end(call.id, .returned) }
      passTime(100)
      rounds += 1
      let open = engine.store.openCount
      expect(rounds < 500, "\(open) jobs never come to an end")
    }
    var submissions = [Int](repeating: 0, count: jobs.count)
    var endings = submissions
    for record in journal {
      if case .jobSubmitted = record { submissions[Int(record.job) - 1] += 1 }
      if case .jobEnded = record { endings[Int(record.job) - 1] += 1 }
    }
    for (index, job) in jobs.enumerated() {
      let isHeld = engine.store[JobNumber(index + 1)] != nil
      expect(job.state.isFinal, "job \(index + 1) is not final")
      expect(isHeld != job.isForgotten, "job \(index + 1) is there or not")
      expect(submissions[index] == 1, "job \(index + 1) came \(submissions[index]) times")
      expect(endings[index] == 1, "job \(index + 1) ended \(endings[index]) times")
    }
    crash()
  }
}
