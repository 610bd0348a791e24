import Testing

@testable import JobCore

/// Pools that clients create: their beginning, and what can be changed of them.
struct PoolTests {
  private let mine = PoolSpecification(name: "mine", template: "default", processes: 2)

  // MARK: Creation

  @Test func `a pool is there, and durable, once all of its workers are ready`() {
    var rig = Rig()
    let turn = rig.handle(.poolCreateReceived(mine, request: 1))
    #expect(turn.inWords == "> startPool(1)")
    #expect(rig.engine.stage(ofPool: 1) == .starting && rig.store.createdPools.isEmpty)
    #expect(
      rig.submit(Submission(task: "square", pool: "mine"))
        == .refused(.poolNotReady(pool: "mine")))
    let started = rig.handle(.poolStarted(pool: PoolID(1)))
    #expect(started.inWords == "poolCreated > created poolChanged")
    #expect(started.answer(to: 1) == .poolCreated(PoolID(1), isReplay: false))
    #expect(rig.store.createdPools == [CreatedPool(mine, at: rig.moment.timestamp)])
    #expect(rig.engine.stage(ofPool: 1) == .running && rig.engine.poolPlaces == [0, 1])
  }

  @Test func `what an earlier pool of its name had is told from what it has`() throws {
    var rig = Rig()
    rig.create(mine, tasks: ["square"])
    #expect(rig.store.createdPools[0].firstNumber == 1)
    let number = try rig.square(pool: "mine")
    rig.handle(.poolTerminateReceived("mine", request: 1))
    rig.handle(.poolEnded(pool: PoolID(1)))
    rig.create(mine, tasks: ["square"])
    let own = try rig.square(pool: "mine")
    try rig.crash()
    #expect((number + 1...own).contains(rig.store.createdPools[0].firstNumber))
  }

  @Test func `a pool whose worker cannot be made ready is not there, and says why`() {
    var rig = Rig()
    rig.handle(.poolCreateReceived(mine, request: 1))
    #expect(rig.handle(.poolBroke(pool: PoolID(1), reason: "no")).inWords == "> terminatePool(1)")
    let turn = rig.handle(.poolEnded(pool: PoolID(1)))
    #expect(turn.inWords == "> refused(poolNotStarted) dropPool(1)")
    #expect(turn.answer(to: 1) == .refused(.poolNotStarted(reason: "no")))
    #expect(rig.engine.poolIndex(named: "mine") == nil && rig.journal.isEmpty)
    // Its position is the next one's.
    #expect(rig.handle(.poolCreateReceived(mine, request: 2)).inWords == "> startPool(1)")
  }

  @Test func `a pool without a name gets one`() throws {
    var rig = Rig()
    let nameless = PoolSpecification(template: "default", processes: 1)
    rig.handle(.poolCreateReceived(nameless, request: 1))
    rig.handle(.poolCreateReceived(nameless, request: 2))
    let names = [1, 2].map { rig.engine.name(ofPool: $0) }
    #expect(names.allSatisfy { $0.hasPrefix("pool-") } && names[0] != names[1])
  }

  @Test func `a name is one pool's, configured or created`() {
    var rig = Rig()
    rig.create(mine)
    for name in ["mine", "default"] {
      let other = PoolSpecification(name: name, template: "default", processes: 1)
      let turn = rig.handle(.poolCreateReceived(other, request: 1))
      #expect(turn.answer(to: 1) == .refused(.poolExists(name)))
    }
  }

  @Test func `the name of a created pool that is joined is free again, and its jobs are kept`()
    throws
  {
    var rig = Rig()
    rig.create(mine, tasks: ["square"])
    let number = try rig.square(pool: "mine")
    rig.handle(.poolTerminateReceived("mine", request: 1))
    rig.handle(.poolEnded(pool: PoolID(1)))
    let turn = rig.handle(.poolCreateReceived(mine, request: 2))
    #expect(turn.inWords == "poolRemoved > dropPool(1) startPool(1)")
    rig.handle(.poolStarted(pool: PoolID(1, serial: 1)))
    #expect(rig.store[number]?.state == .failed && rig.store.createdPools.count == 1)
    // That of a configured one is not.
    rig.handle(.poolTerminateReceived("default", request: 3))
    rig.handle(.poolEnded(pool: PoolID(0)))
    let other = rig.handle(.poolCreateReceived(.plain("default"), request: 4))
    #expect(other.answer(to: 4) == .refused(.poolExists("default")))
  }

  @Test func `the same request under a key gets the same pool, and another is a mismatch`() {
    var rig = Rig()
    var keyed = mine
    keyed.idempotencyKey = "k"
    rig.handle(.poolCreateReceived(keyed, request: 1))
    #expect(rig.handle(.poolCreateReceived(keyed, request: 2)).inWords == ">")
    let started = rig.handle(.poolStarted(pool: PoolID(1)))
    #expect(started.answer(to: 1) == .poolCreated(PoolID(1), isReplay: false))
    #expect(started.answer(to: 2) == .poolCreated(PoolID(1), isReplay: true))
    var nameless = keyed
    nameless.name = ""
    let again = rig.handle(.poolCreateReceived(nameless, request: 3))
    #expect(again.answer(to: 3) == .poolCreated(PoolID(1), isReplay: true))
    nameless.processes = 3
    let other = rig.handle(.poolCreateReceived(nameless, request: 4))
    #expect(other.answer(to: 4) == .refused(.poolMismatch("mine")))
  }

  @Test func `the number of pools is bounded, and joined ones do not count`() {
    var rig = Rig(limits: Limits { $0.poolsMax = 2 })
    rig.create(.plain("a"))
    rig.create(.plain("b"), at: 2)
    #expect(
      rig.handle(.poolCreateReceived(.plain("c"), request: 1)).answer(to: 1)
        == .refused(.tooManyPools(2)))
    rig.handle(.poolCloseReceived("a", request: 2))
    rig.handle(.poolEnded(pool: PoolID(1)))
    #expect(rig.handle(.poolCreateReceived(.plain("c"), request: 3)).inWords == "> startPool(3)")
  }

  @Test
  func `the position of the pool that was joined first is given to another when none is free`()
    throws
  {
    var rig = Rig(limits: Limits { $0.poolsMax = 255 })
    for index in 1...255 { rig.create(.plain("p\(index)"), at: index) }
    for index in [9, 7] {
      rig.handle(.poolCloseReceived("p\(index)", request: 1))
      rig.handle(.poolEnded(pool: PoolID(index)))
      rig.wait(1)
    }
    let turn = rig.handle(.poolCreateReceived(.plain("new"), request: 1))
    #expect(turn.inWords == "poolRemoved > dropPool(9) startPool(9)")
    #expect(rig.engine.poolIndex(named: "p9") == nil && rig.engine.poolIndex(named: "new") == 9)
  }

  @Test func `nothing is created while the service drains or cannot write`() {
    var rig = Rig()
    rig.handle(.storageChanged(isWritable: false))
    #expect(
      rig.handle(.poolCreateReceived(mine, request: 1)).answer(to: 1) == .refused(.readOnly))
    rig.handle(.storageChanged(isWritable: true))
    rig.handle(.poolCreateReceived(mine, request: 2))
    #expect(rig.handle(.drainRequested).inWords == "> terminatePool(1) finishDrain")
    #expect(rig.handle(.poolEnded(pool: PoolID(1))).answer(to: 2) == .refused(.draining))
    #expect(
      rig.handle(.poolCreateReceived(mine, request: 3)).answer(to: 3) == .refused(.draining))
  }

  // MARK: Its jobs

  @Test func `jobs come to a created pool by its name only`() throws {
    var rig = Rig()
    rig.create(mine, tasks: ["square", "own"])
    let plain = try rig.square()
    #expect(rig.store[plain].map { rig.store.names[$0.pool] } == "default")
    #expect(rig.submit(Submission(task: "own")) == .refused(.unknownTask("own")))
    let number = try rig.square(pool: "mine")
    #expect(rig.ready(pool: 1) == [Dispatched(job: number, slot: SlotID(pool: 1, index: 0))])
  }

  @Test func `a created pool allows what its template does and its client asked for`() {
    let rules = ["default": PoolRule(allowsPickle: true, allowsMain: true, argumentBytesMax: 9)]
    var rig = Rig(poolRules: rules)
    var pickling = PoolSpecification.plain("pickling")
    pickling.allowsPickle = true
    rig.create(.plain("plain"), tasks: ["square"])
    rig.create(pickling, at: 2, tasks: ["square"])
    #expect(rig.engine.rule(ofPool: 1).allowsPickle == false)
    #expect(rig.engine.rule(ofPool: 2) == rules["default"])
    let options = JobOptions(encoding: .pickle)
    #expect(
      rig.submit(Submission(task: "square", pool: "plain", options: options))
        == .refused(.pickleNotAllowed(pool: "plain")))
    #expect(
      rig.submit(Submission(task: "square", args: "[1234567890]", pool: "plain"))
        == .refused(.argumentsTooLarge(pool: "plain", bytesMax: 9)))
    #expect(rig.submit(Submission(task: "square", pool: "pickling", options: options)) != nil)
  }

  // MARK: Changes

  @Test func `a pool is resized, and what cuts maps knows its size`() {
    var rig = Rig()
    rig.create(mine)
    let turn = rig.handle(
      .poolChangeReceived("mine", processes: 5, isPaused: nil, request: 1))
    #expect(turn.inWords == "poolResized(5) > resizePool(1,5) pool")
    #expect(rig.engine.poolSizes == [1, 5] && rig.store.createdPools[0].processes == 5)
    // The same again is no change.
    let again = rig.handle(
      .poolChangeReceived("mine", processes: 5, isPaused: nil, request: 1))
    #expect(again.inWords == "> pool")
    let configured = rig.handle(
      .poolChangeReceived("default", processes: 3, isPaused: nil, request: 1))
    #expect(configured.inWords == "> resizePool(0,3) pool")
  }

  @Test(arguments: ["default", "mine"])
  func `a paused pool takes jobs and starts none until it is resumed`(name: String) throws {
    var rig = Rig()
    rig.create(mine, tasks: ["square"])
    let pool = try #require(rig.engine.poolIndex(named: name))
    rig.ready(pool: pool)
    let running = try rig.square(pool: name)
    let paused = rig.handle(.poolChangeReceived(name, processes: nil, isPaused: true, request: 1))
    #expect(paused.inWords == (pool == 0 ? "> pool" : "poolPaused > pool"))
    let waiting = try rig.square(pool: name)
    try rig.succeed(running)
    #expect(rig.store[waiting]?.state == .queued && rig.engine.isPaused(pool: pool))
    let resumed = rig.handle(
      .poolChangeReceived(name, processes: nil, isPaused: false, request: 1))
    #expect(resumed.dispatched.map(\.job) == [waiting])
  }

  @Test func `a job on its last chance waits for its paused pool and holds up nobody`() throws {
    var rig = Rig(limits: Limits { $0.lossesMax = 2 })
    rig.create(mine, tasks: ["square"])
    rig.ready(pool: 1)
    let number = try rig.square(pool: "mine")
    try rig.lose(number, .interrupted)
    #expect(rig.engine.lastChances == [number])
    try rig.lose(number, .notStarted)
    // It runs alone again; paused, it does not.
    rig.handle(.poolChangeReceived("mine", processes: nil, isPaused: true, request: 1))
    if rig.store[number]?.state == .running { try rig.lose(number, .notStarted) }
    rig.ready(pool: 0)
    let other = try rig.square()
    #expect(rig.store[other]?.state == .running && rig.store[number]?.state == .queued)
  }

  @Test func `what is not there, not yet or no more cannot be changed`() {
    var rig = Rig()
    func change(_ name: String) -> Event {
      .poolChangeReceived(name, processes: 3, isPaused: nil, request: 1)
    }
    #expect(rig.handle(change("mine")).answer(to: 1) == .refused(.noSuchPool("mine")))
    rig.handle(.poolCreateReceived(mine, request: 2))
    #expect(rig.handle(change("mine")).answer(to: 1) == .refused(.poolNotReady(pool: "mine")))
    rig.handle(.poolStarted(pool: PoolID(1)))
    rig.handle(.poolBroke(pool: PoolID(1), reason: "no"))
    #expect(
      rig.handle(change("mine")).answer(to: 1)
        == .refused(.poolNotRunning(pool: "mine", reason: "no")))
    rig.handle(.poolTerminateReceived("default", request: 3))
    #expect(rig.handle(change("default")).inWords == "> refused(poolNotRunning)")
  }

  // MARK: Names

  @Test func `names of pools that are gone are given to others, once no job has them`() throws {
    var rig = Rig()
    for round in 0..<50 {
      let name = "pool \(round)"
      rig.create(.plain(name), tasks: ["square"])
      rig.ready(pool: 1)
      let number = try rig.square(pool: name)
      try rig.succeed(number)
      if round > 0 { #expect(rig.forget(number) == .forgotten) }
      rig.handle(.poolCloseReceived(name, request: 1))
      rig.handle(.poolEnded(pool: PoolID(1, serial: round)))
      rig.pass(rig.engine.limits.joinedPoolAge)
      #expect(rig.engine.poolIndex(named: name) == nil)
    }
    // Those of the task, of the first pool, whose job is kept, and of the last one.
    #expect(rig.store.names.count == 3)
    #expect(rig.store[1].map { rig.store.names[$0.pool] } == "pool 0")
    try rig.crash()
    #expect(rig.store[1].map { rig.store.names[$0.pool] } == "pool 0")
  }

  @Test func `a name that is a task's too is kept`() throws {
    var rig = Rig(tasks: ["square", "cube"])
    rig.create(.plain("cube"), tasks: ["cube"])
    let own = try rig.accept(Submission(task: "cube"))
    let number = try rig.accept(Submission(task: "cube", pool: "cube"))
    rig.handle(.poolTerminateReceived("cube", request: 1))
    #expect(rig.store[number]?.state == .failed && rig.forget(number) == .forgotten)
    rig.handle(.poolEnded(pool: PoolID(1)))
    rig.pass(rig.engine.limits.joinedPoolAge)
    rig.create(.plain("other"))
    #expect(rig.store[own].map { rig.store.names[$0.task] } == "cube")
  }
}

extension PoolSpecification {
  /// A pool with everything else at its default.
  static func plain(_ name: String) -> PoolSpecification {
    PoolSpecification(name: name, template: "default", processes: 1)
  }
}

extension Rig {
  /// Creates a pool whose workers are ready at once.
  mutating func create(
    _ specification: PoolSpecification, at pool: Int = 1, tasks: [String]? = nil
  ) {
    handle(.poolCreateReceived(specification, request: 99))
    if let tasks { handle(.poolAnnounced(pool: engine.id(ofPool: pool), tasks: tasks)) }
    let turn = handle(.poolStarted(pool: engine.id(ofPool: pool)))
    #expect(turn.answer(to: 99) == .poolCreated(engine.id(ofPool: pool), isReplay: false))
  }
}
