import Testing

@testable import JobCore

/// How pools end, and what a crash leaves of them.
struct PoolEndTests {
  /// A rig with a created pool `mine` at position 1 that knows `square`.
  private static func rig(_ limits: Limits = Limits(), idleTimeout: Milliseconds? = nil) -> Rig {
    var rig = Rig(limits: limits)
    var mine = PoolSpecification.plain("mine")
    mine.idleTimeout = idleTimeout
    rig.create(mine, tasks: ["square"])
    return rig
  }

  // MARK: Close

  @Test(arguments: ["default", "mine"])
  func `a closed pool takes no jobs, runs those that it has, and is joined`(name: String) throws {
    var rig = PoolEndTests.rig()
    let pool = try #require(rig.engine.poolIndex(named: name))
    rig.ready(pool: pool)
    let jobs = [try rig.square(pool: name), try rig.square(pool: name)]
    let closed = rig.handle(.poolCloseReceived(name, request: 1))
    #expect(closed.inWords == (pool == 0 ? "> poolChanged pool" : "poolClosed > poolChanged pool"))
    guard case .refused(.poolNotRunning) = rig.submit(Submission(task: "square", pool: name)) else {
      Issue.record("taken")
      return
    }
    try rig.succeed(jobs[0])
    #expect(rig.store[jobs[1]]?.state == .running)
    let last = try rig.succeed(jobs[1])
    #expect(last.inWords == "ended(succeeded) > ended closePool(\(pool))")
    #expect(rig.engine.stage(ofPool: pool) == .closing)
    #expect(rig.handle(.poolEnded(pool: PoolID(pool))).inWords == "> poolJoined")
    #expect(rig.engine.stage(ofPool: pool) == .joined)
    for event: Event in [
      .poolCloseReceived(name, request: 2), .poolTerminateReceived(name, request: 2),
    ] {
      #expect(rig.handle(event).inWords == "> pool")
    }
  }

  @Test func `a closed pool waits for attempts to come and for items of a map`() throws {
    var rig = PoolEndTests.rig()
    rig.ready(pool: 1)
    let number = try rig.square(JobOptions(attemptsMax: 2), pool: "mine")
    let map = try rig.openMap(MapSubmission(task: "square", items: nil, pool: "mine", chunkSize: 1))
    rig.handle(.poolCloseReceived("mine", request: 1))
    try rig.raise(number)
    rig.pass(rig.engine.limits.retryDelayMax)
    try rig.succeed(number)
    #expect(rig.engine.stage(ofPool: 1) == .closing)
    let items = rig.handle(.itemsReceived(map, [ChunkInput(count: 1, args: "[1]")]))
    let chunk = try #require(items.dispatched.first?.job)
    try rig.succeed(chunk, "[1]")
    let ended = rig.handle(.inputEnded(map, nil, request: nil))
    #expect(ended.effects.contains(.closePool(PoolID(1))))
  }

  @Test func `an empty pool is told to end as soon as it is closed`() {
    var rig = PoolEndTests.rig()
    let turn = rig.handle(.poolCloseReceived("mine", request: 1))
    #expect(turn.inWords == "poolClosed > poolChanged closePool(1) pool")
  }

  // MARK: Terminate

  @Test(arguments: ["default", "mine"])
  func `every open job of a terminated pool is final before its client hears`(name: String) throws {
    var rig = PoolEndTests.rig()
    let pool = try #require(rig.engine.poolIndex(named: name))
    rig.ready(pool: pool)
    let retried = try rig.square(JobOptions(attemptsMax: 9), pool: name)
    try rig.raise(retried)
    let running = try rig.square(JobOptions(timeout: 50, attemptsMax: 9), pool: name)
    let queued = try rig.square(pool: name)
    let other = try rig.square(pool: name == "mine" ? "default" : "mine")
    let turn = rig.handle(.poolTerminateReceived(name, request: 1))
    #expect(turn.answer(to: 1) == nil && turn.effects.contains(.terminatePool(PoolID(pool))))
    #expect(rig.store[retried]?.state == .failed && rig.store[queued]?.state == .failed)
    // Its time limit does not matter any more.
    rig.pass(60)
    #expect(rig.store[running]?.state == .running)
    let lost = try rig.lose(running, .workerExited(exitcode: -15))
    #expect(lost.answer(to: 1) == .pool(PoolID(pool)))
    for number in [retried, running, queued] {
      guard case .error(let error) = rig.store[number]?.ending else {
        Issue.record("no error")
        continue
      }
      #expect(error.code == .poolTerminated && error.message == "the pool '\(name)' was terminated")
    }
    #expect(rig.store[other]?.state == .queued)
    #expect(rig.engine.stage(ofPool: pool) == .terminating)
    #expect(rig.handle(.poolEnded(pool: PoolID(pool))).inWords == "> poolJoined")
    #expect(rig.engine.stage(ofPool: pool) == .joined)
  }

  @Test func `a value that comes after the wish is too late, and a cancel stays one`() throws {
    var rig = PoolEndTests.rig()
    rig.ready(credit: 3, pool: 1)
    let jobs = try (0..<3).map { _ in try rig.square(pool: "mine") }
    _ = rig.cancel(jobs[0])
    rig.handle(.poolTerminateReceived("mine", request: 1))
    try rig.succeed(jobs[0])
    try rig.succeed(jobs[1])
    let last = try rig.lose(jobs[2], .notStarted)
    #expect(jobs.map { rig.store[$0]?.state } == [.cancelled, .failed, .failed])
    #expect(last.answer(to: 1) == .pool(PoolID(1)))
  }

  @Test func `an answer names the pool that ended, also where it is dropped at once`() throws {
    var rig = PoolEndTests.rig(Limits { $0.joinedPoolsMax = 0 })
    rig.handle(.poolTerminateReceived("mine", request: 1))
    rig.handle(.poolEnded(pool: PoolID(1)))
    #expect(rig.engine.poolPlaces == [0])
    let next = PoolID(1, serial: 1)
    rig.handle(.poolCreateReceived(.plain("mine"), request: 2))
    rig.handle(.poolTerminateReceived("mine", request: 3))
    let ended = rig.handle(.poolEnded(pool: next))
    #expect(ended.answer(to: 3) == .pool(next) && !rig.engine.isThere(next))
  }

  @Test func `one that never ran may have the name of a pool whose jobs are kept`() throws {
    var rig = PoolEndTests.rig()
    _ = try rig.square(pool: "mine")
    rig.handle(.poolTerminateReceived("mine", request: 1))
    rig.handle(.poolEnded(pool: PoolID(1)))
    rig.handle(.poolCreateReceived(.plain("mine"), request: 2))
    rig.handle(.poolTerminateReceived("mine", request: 3))
    rig.handle(.poolEnded(pool: PoolID(1, serial: 1)))
    #expect(rig.engine.stage(ofPool: 1) == .joined && rig.store.createdPools.isEmpty)
    #expect(rig.engine.brokenInvariants() == [])
  }

  @Test func `a queue of any length ends in bounded slices`() throws {
    var rig = PoolEndTests.rig(Limits { $0.forgottenPerTurnMax = 10 })
    let jobs = try (0..<25).map { _ in try rig.square(pool: "mine") }
    rig.handle(.poolTerminateReceived("mine", request: 1))
    #expect(rig.store.count(of: .failed) == 10)
    #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
    #expect(rig.pass(0).answer(to: 1) == nil)
    #expect(rig.pass(0).answer(to: 1) == .pool(PoolID(1)))
    #expect(jobs.allSatisfy { rig.store[$0]?.state == .failed })
    #expect(rig.engine.nextDeadline(at: rig.moment) != rig.moment.instant)
  }

  @Test func `maps of a terminated pool end, one whose document is cut and one that takes items`()
    throws
  {
    var rig = PoolEndTests.rig()
    rig.ready(pool: 1)
    let document = MapSubmission(
      task: "square", items: MapTests.items(1_500), pool: "mine", chunkSize: 1)
    rig.handle(.mapReceived(document, request: 1))
    let open = try rig.openMap(
      MapSubmission(task: "square", items: nil, pool: "mine", chunkSize: 1))
    rig.handle(.itemsReceived(open, [ChunkInput(count: 1, args: "[1]")]))
    var turn = rig.handle(.poolTerminateReceived("mine", request: 2))
    #expect(turn.effects.contains { $0.word == "accepted" })
    for _ in 0..<3 { turn = rig.pass(0) }
    let running = try #require(rig.engine.pools[1].slots[0].calls.first?.job)
    #expect(try rig.lose(running, .workerExited(exitcode: -9)).answer(to: 2) == .pool(PoolID(1)))
    rig.store.descendMaps(below: .max) { map in
      #expect(map.stage == .final && map.inputError?.code == .poolTerminated)
      return true
    }
    #expect(rig.store.count(of: .failed) == 1_001)
  }

  @Test func `a pool that is being created can be terminated`() {
    var rig = Rig()
    rig.handle(.poolCreateReceived(.plain("mine"), request: 1))
    #expect(
      rig.handle(.poolTerminateReceived("mine", request: 2)).inWords == "> terminatePool(1)")
    // It is told once.
    #expect(rig.handle(.poolTerminateReceived("mine", request: 3)).inWords == ">")
    #expect(rig.handle(.poolBroke(pool: PoolID(1), reason: "no")).inWords == ">")
    // The workers were faster: the wish had to wait for the disk.
    #expect(rig.handle(.poolStarted(pool: PoolID(1))).inWords == ">")
    let turn = rig.handle(.poolEnded(pool: PoolID(1)))
    #expect(turn.inWords == "> refused(poolNotStarted) poolJoined pool pool")
    #expect(turn.answer(to: 1).map { "\($0)" }?.contains("it was terminated before") == true)
    #expect(rig.engine.stage(ofPool: 1) == .joined && rig.journal.isEmpty)
    // It goes as others do, and no record tells of it.
    #expect(rig.pass(rig.engine.limits.joinedPoolAge).inWords == "> dropPool(1)")
    #expect(rig.engine.poolIndex(named: "mine") == nil && rig.journal.isEmpty)
  }

  @Test func `a repeat of the wish for a pool that was terminated before it ran is no success`() {
    var rig = Rig()
    var mine = PoolSpecification.plain("mine")
    mine.idempotencyKey = "k"
    rig.handle(.poolCreateReceived(mine, request: 1))
    rig.handle(.poolTerminateReceived("mine", request: 2))
    rig.handle(.poolEnded(pool: PoolID(1)))
    let turn = rig.handle(.poolCreateReceived(mine, request: 3))
    #expect(turn.inWords == "> refused(poolNotStarted)")
  }

  @Test(arguments: [true, false])
  func `jobs that wait for a pool of a name wait on when one of that name does not begin`(
    isTerminated: Bool
  ) throws {
    var before = Rig(pools: ["default", "gpu"])
    let job = try before.square(pool: "gpu")
    var rig = Rig(store: before.store)
    rig.handle(.poolCreateReceived(.plain("gpu"), request: 1))
    if isTerminated {
      rig.handle(.poolTerminateReceived("gpu", request: 2))
    } else {
      rig.handle(.poolBroke(pool: PoolID(1), reason: "no"))
    }
    rig.pass(10)
    rig.handle(.poolEnded(pool: PoolID(1)))
    #expect(rig.pass(10).records.isEmpty && rig.store[job]?.state == .queued)
  }

  @Test func `the name of a created pool that had no place at the start is taken`() throws {
    var before = Rig()
    before.create(.plain("mine"))
    let names = (0..<Engine.poolsMax).map { "p\($0)" }
    var rig = Rig(pools: names, store: before.store)
    rig.handle(.poolTerminateReceived("p0", request: 1))
    rig.handle(.poolEnded(pool: PoolID(0)))
    let turn = rig.handle(.poolCreateReceived(.plain("mine"), request: 2))
    #expect(turn.answer(to: 2) == .refused(.poolExists("mine")))
  }

  @Test func `a drain ends a pool that is being created, however fast its workers are`() {
    var rig = Rig()
    rig.handle(.poolCreateReceived(.plain("mine"), request: 1))
    #expect(rig.handle(.drainRequested).effects.contains(.terminatePool(PoolID(1))))
    #expect(rig.handle(.poolStarted(pool: PoolID(1))).inWords == ">")
    #expect(rig.handle(.poolEnded(pool: PoolID(1))).answer(to: 1) == .refused(.draining))
    #expect(rig.engine.poolIndex(named: "mine") == nil)
  }

  @Test func `what is told of a pool that is gone is not told of the next one at its position`() {
    var rig = Rig()
    let gone = PoolID(1)
    let next = PoolID(1, serial: 1)
    rig.handle(.poolCreateReceived(.plain("a"), request: 1))
    rig.handle(.poolBroke(pool: gone, reason: "no"))
    let ended = rig.handle(.poolEnded(pool: gone))
    #expect(ended.effects.last == .dropPool(gone, name: "a"))
    let created = rig.handle(.poolCreateReceived(.plain("b"), request: 2))
    #expect(created.effects == [.startPool(next)])
    for event: Event in [
      .poolEnded(pool: gone), .poolStarted(pool: gone), .poolBroke(pool: gone, reason: "no"),
      .poolAnnounced(pool: gone, tasks: ["no"]), .poolAttended(pool: gone, isWaiting: true),
      .poolLeft(pool: gone),
    ] {
      #expect(rig.handle(event).inWords == ">")
    }
    #expect(rig.engine.stage(ofPool: 1) == .starting && rig.engine.tasks(pool: 1) == nil)
    #expect(rig.engine.pools[1].attendance.count == 0)
    #expect(
      rig.handle(.poolStarted(pool: next)).answer(to: 2) == .poolCreated(next, isReplay: false))
  }

  @Test func `a broken pool is closed at once, as its workers are gone`() throws {
    var rig = PoolEndTests.rig()
    _ = try rig.square(pool: "mine")
    rig.handle(.poolBroke(pool: PoolID(1), reason: "no"))
    rig.handle(.poolEnded(pool: PoolID(1)))
    rig.pass(0)
    #expect(rig.handle(.poolCloseReceived("mine", request: 1)).inWords.hasSuffix("pool"))
    #expect(rig.engine.stage(ofPool: 1) == .joined && rig.engine.reason(ofPool: 1) == "no")
  }

  // MARK: Time

  @Test func `a pool that nobody is interested in is terminated`() throws {
    var rig = PoolEndTests.rig(idleTimeout: 1_000)
    rig.pass(900)
    _ = try rig.square(pool: "mine")
    rig.pass(900)
    rig.handle(.poolAttended(pool: PoolID(1), isWaiting: true))
    rig.pass(5_000)
    #expect(rig.engine.stage(ofPool: 1) == .running)
    rig.handle(.poolLeft(pool: PoolID(1)))
    rig.pass(999)
    #expect(rig.engine.stage(ofPool: 1) == .running)
    #expect(
      rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant.advanced(byMilliseconds: 1))
    let turn = rig.pass(1)
    #expect(turn.inWords.hasPrefix("poolTerminated ended(pool_terminated) > terminatePool(1)"))
    #expect(rig.engine.reason(ofPool: 1)?.hasPrefix("pool_abandoned") == true)
    #expect(rig.store.createdPools[0].cause?.hasPrefix("pool_abandoned") == true)
  }

  @Test func `a joined pool is dropped after a while`() {
    var rig = PoolEndTests.rig()
    rig.handle(.poolCloseReceived("mine", request: 1))
    rig.handle(.poolEnded(pool: PoolID(1)))
    rig.pass(rig.engine.limits.joinedPoolAge - 1)
    #expect(rig.engine.poolIndex(named: "mine") == 1)
    #expect(rig.pass(1).inWords == "poolRemoved > dropPool(1)")
    #expect(rig.engine.poolIndex(named: "mine") == nil && rig.store.createdPools.isEmpty)
    #expect(rig.engine.poolPlaces == [0])
  }

  @Test func `of many joined pools the first is dropped before its time`() {
    var rig = Rig(limits: Limits { $0.joinedPoolsMax = 1 })
    rig.create(.plain("a"))
    rig.create(.plain("b"), at: 2)
    for (name, pool) in [("a", 1), ("b", 2)] {
      rig.handle(.poolCloseReceived(name, request: 1))
      rig.wait(1)
      let turn = rig.handle(.poolEnded(pool: PoolID(pool)))
      #expect(
        turn.inWords == (pool == 1 ? "> poolJoined" : "poolRemoved > poolJoined dropPool(1)"))
    }
    #expect(rig.engine.poolPlaces == [0, 2])
  }

  @Test func `a pool is not joined before the call of a withdrawn map is over`() throws {
    var rig = Rig()
    rig.ready(0)
    let map = try rig.acceptMap(MapTests.document(1, chunkSize: 1))
    let chunk = try #require(map.chunks.first.flatMap { rig.call(of: $0.job) })
    rig.handle(.submissionWithdrawn(map.number))
    rig.handle(.poolTerminateReceived("default", request: 1))
    rig.handle(.poolEnded(pool: PoolID(0)))
    #expect(rig.engine.pools[0].stage == .terminating)
    rig.handle(.callLost(chunk, .workerExited(exitcode: -15)))
    #expect(rig.engine.pools[0].stage == .joined)
  }

  @Test func `a configured pool that is joined stays`() {
    var rig = Rig()
    rig.handle(.poolTerminateReceived("default", request: 1))
    rig.handle(.poolEnded(pool: PoolID(0)))
    rig.pass(rig.engine.limits.joinedPoolAge)
    #expect(rig.engine.stage(ofPool: 0) == .joined && rig.engine.poolPlaces == [0])
  }

  // MARK: Recovery

  @Test func `a created pool is there after a crash, with its size, its pause and its queue`()
    throws
  {
    var rig = PoolEndTests.rig()
    rig.ready(pool: 1)
    let jobs = [try rig.square(pool: "mine"), try rig.square(pool: "mine")]
    rig.handle(.poolChangeReceived("mine", processes: 7, isPaused: true, request: 1))
    try rig.crash()
    let pool = try #require(rig.engine.poolIndex(named: "mine"))
    #expect(rig.engine.poolSizes == [1, 7] && rig.engine.isPaused(pool: pool))
    #expect(rig.engine.specification(ofPool: pool) == .plain("mine"))
    rig.ready(pool: pool)
    #expect(jobs.allSatisfy { rig.store[$0]?.state == .queued })
    let turn = rig.handle(
      .poolChangeReceived("mine", processes: nil, isPaused: false, request: 1))
    #expect(turn.dispatched.map(\.job) == [jobs[0]])
  }

  @Test func `a pool that was being created is not there after a crash`() throws {
    var rig = Rig()
    rig.handle(.poolCreateReceived(.plain("mine"), request: 1))
    try rig.crash()
    #expect(rig.engine.poolPlaces == [0])
  }

  @Test func `a closed pool goes on to its end, and one without jobs is joined`() throws {
    var rig = PoolEndTests.rig()
    let number = try rig.square(pool: "mine")
    rig.handle(.poolCloseReceived("mine", request: 1))
    #expect(try rig.recovered().effects.contains(.startPool(PoolID(1))))
    #expect(rig.engine.stage(ofPool: 1) == .closing)
    rig.ready(pool: 1)
    #expect(try rig.succeed(number).effects.contains(.closePool(PoolID(1))))
    #expect(try rig.recovered().effects.contains(.startPool(PoolID(1))) == false)
    #expect(rig.engine.stage(ofPool: 1) == .joined)
  }

  @Test func `a terminated pool fails its jobs after a crash, without workers`() throws {
    var rig = PoolEndTests.rig(Limits { $0.forgottenPerTurnMax = 1 })
    rig.ready(pool: 1)
    let jobs = try (0..<3).map { _ in try rig.square(pool: "mine") }
    rig.handle(.poolTerminateReceived("mine", request: 1))
    let turn = try rig.recovered()
    #expect(turn.effects.contains(.startPool(PoolID(1))) == false)
    for _ in 0..<3 { rig.pass(0) }
    #expect(jobs.allSatisfy { rig.store[$0]?.state == .failed })
    #expect(rig.engine.stage(ofPool: 1) == .joined)
  }

  @Test func `a configured pool takes the name, and the jobs, of a created one`() throws {
    var rig = PoolEndTests.rig()
    let number = try rig.square(pool: "mine")
    var engine = Engine(store: rig.store, pools: ["default", "mine"], limits: Limits(), seed: 1)
    var turn = Turn()
    engine.recover(at: rig.moment, &turn)
    #expect(turn.records == [.poolRemoved("mine")] && engine.brokenInvariants() == [])
    engine.handle(.slotReady(SlotID(pool: 1, index: 0), credit: 1, pid: 1), at: rig.moment, &turn)
    #expect(turn.dispatched.map(\.job) == [number])
  }

  // MARK: Moves

  @Test(arguments: CreatedPool.Stage.allCases, PoolMove.allCases)
  func `every move from every stage is legal or a misfit`(
    stage: CreatedPool.Stage, move: PoolMove
  ) throws {
    let changes: Set<PoolMove> = [.resized, .paused, .resumed]
    let expected: [CreatedPool.Stage: Set<PoolMove>] = [
      .running: changes.union([.closed, .terminated, .removed]),
      .closing: changes.union([.terminated, .removed]),
      .terminating: [.removed],
    ]
    var store = JobStore()
    try store.apply(.poolCreated(.plain("p"), at: 5))
    if stage == .closing { try store.apply(.poolClosed("p")) }
    if stage == .terminating { try store.apply(.poolTerminated("p", cause: nil)) }
    let record: Record =
      switch move {
      case .resized: .poolResized("p", processes: 9)
      case .paused: .poolPaused("p")
      case .resumed: .poolResumed("p")
      case .closed: .poolClosed("p")
      case .terminated: .poolTerminated("p", cause: "why")
      case .removed: .poolRemoved("p")
      }
    if try #require(expected[stage]).contains(move) {
      try store.apply(record)
    } else {
      #expect(throws: JobStore.Misfit.self) { try store.apply(record) }
    }
    #expect(throws: JobStore.Misfit.self) { try store.apply(.poolClosed("other")) }
    guard move != .removed else { return }
    #expect(throws: JobStore.Misfit.self) { try store.apply(.poolCreated(.plain("p"), at: 5)) }
  }
}

extension Rig {
  /// The service is cut off and starts again; answers what recovery decided, effects included.
  fileprivate mutating func recovered() throws -> Turn {
    let before = engine
    try crash()
    // The same once more, for the effects: nothing but that start differs.
    var again = Engine(
      store: before.store, pools: ["default"], limits: before.limits, seed: 3)
    var turn = Turn()
    again.recover(at: moment, &turn)
    return turn
  }
}
