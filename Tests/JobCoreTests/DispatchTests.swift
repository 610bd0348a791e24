import Testing

@testable import JobCore

/// Which job goes to which slot, and when.
@Suite struct DispatchTests {
  static func at(_ slot: Int, _ jobs: JobNumber..., pool: Int = 0) -> [Dispatched] {
    jobs.map { Dispatched(job: $0, slot: SlotID(pool: pool, index: slot)) }
  }

  @Test func `the oldest job goes first`() throws {
    var rig = Rig()
    for _ in 0..<3 { _ = try rig.square() }
    #expect(rig.engine.queuedCount(pool: 0) == 3)
    #expect(rig.ready() == DispatchTests.at(0, 1))
    #expect(try rig.succeed(1).dispatched == DispatchTests.at(0, 2))
    #expect(try rig.succeed(2).dispatched == DispatchTests.at(0, 3))
    #expect(rig.store[3]?.attempt == 1)
    #expect(rig.engine.queuedCount(pool: 0) == 0)
    #expect(rig.engine.runningCount(pool: 0) == 1)
    #expect(rig.engine.workerPID(ofJob: 3) == 100)
    #expect(rig.engine.workerPID(ofJob: 2) == nil)
  }

  @Test func `the start is a record and comes before the dispatch`() throws {
    var rig = Rig()
    _ = try rig.square()
    let turn = rig.handle(.slotReady(SlotID(pool: 0, index: 0), credit: 1, pid: 1))
    #expect(turn.records == [.attemptStarted(1, attempt: 1, at: Rig.start)])
    #expect(turn.effects == [.dispatch(try #require(rig.call(of: 1)), 1), .jobChanged(1)])
  }

  @Test func `an idle slot is chosen first, then the one that holds the fewest`() throws {
    var rig = Rig()
    rig.ready(0, credit: 3)
    rig.ready(1, credit: 2)
    rig.ready(2, credit: 1)
    var slots: [Int] = []
    for number in JobNumber(1)...8 {
      _ = try rig.square()
      if let call = rig.call(of: number) { slots.append(call.slot.index) }
    }
    #expect(slots == [0, 1, 2, 0, 1, 0])
    #expect(rig.store.count(of: .queued) == 2)
    try rig.succeed(3)
    #expect(rig.call(of: 7)?.slot.index == 2)
    try rig.succeed(1)
    #expect(rig.call(of: 8)?.slot.index == 0)
    try rig.succeed(4)
    try rig.succeed(6)
    _ = try rig.square()
    #expect(rig.call(of: 9)?.slot.index == 0, "2 and 1 call: the fewest wins")
  }

  @Test func `tiny calls go to one slot together, then to the next`() throws {
    var rig = Rig()
    rig.ready(0, credit: Engine.creditOfTinyCalls)
    rig.ready(1, credit: Engine.creditOfTinyCalls)
    var slots: [Int] = []
    for number in JobNumber(1)...19 {
      _ = try rig.square()
      if let call = rig.call(of: number) { slots.append(call.slot.index) }
    }
    let together = Engine.tinyCallsTogether
    #expect(slots.prefix(together).allSatisfy { $0 == 0 })
    #expect(slots[together..<together * 2].allSatisfy { $0 == 1 })
    #expect(slots[(together * 2)...] == [0, 1, 0], "then the one that holds the fewest")
    rig.ready(2, credit: 1)
    _ = try rig.square()
    #expect(rig.call(of: 20)?.slot.index == 2, "an idle slot that is not for tiny calls is first")
  }

  @Test func `credit is never exceeded, and less credit than calls is no credit`() throws {
    var rig = Rig()
    for _ in 0..<6 { _ = try rig.square() }
    #expect(rig.ready(credit: 3).count == 3)
    #expect(rig.ready(credit: 1).isEmpty)
    #expect(try rig.succeed(1).dispatched.isEmpty)
    #expect(try rig.succeed(2).dispatched.isEmpty)
    #expect(try rig.succeed(3).dispatched == DispatchTests.at(0, 4))
    rig.handle(.slotGone(SlotID(pool: 0, index: 0)))
    #expect(try rig.succeed(4).dispatched.isEmpty)
    #expect(rig.ready(credit: 2) == DispatchTests.at(0, 5, 6))
  }

  @Test func `a job that was given back goes before all younger ones`() throws {
    var rig = Rig()
    for _ in 0..<6 { _ = try rig.square() }
    rig.ready(credit: 3)
    // As the pool does it: first the credit, then what was lost.
    rig.handle(.slotGone(SlotID(pool: 0, index: 0)))
    try rig.lose(1, .workerExited(exitcode: 1))
    try rig.lose(3, .notStarted)
    try rig.lose(2, .notStarted)
    #expect(Array(rig.engine.ready[1].entries) == [2, 3, 4, 5, 6])
    #expect(rig.store[2]?.attempt == 0)
    #expect(rig.store[2]?.startedAt == 0, "an attempt that does not count has not started")
    #expect(rig.ready(credit: 9).map(\.job) == [2, 3, 4, 5, 6])
  }

  @Test func `what waits behind a long call can be taken back and runs elsewhere`() throws {
    var rig = Rig()
    rig.ready(0, credit: 2)
    let long = try rig.square()
    let waiting = try rig.square()
    rig.ready(0, credit: 1)
    #expect(try rig.lose(waiting, .notStarted).dispatched.isEmpty)
    #expect(rig.ready(1) == DispatchTests.at(1, waiting))
    #expect(rig.store[waiting]?.attempt == 1)
    #expect(rig.store[long]?.state == .running)
  }

  @Test func `a retried job goes to the end of the line`() throws {
    var rig = Rig()
    let first = try rig.square(JobOptions(attemptsMax: 2))
    rig.ready()
    _ = try rig.square()
    _ = try rig.square()
    try rig.raise(first)
    rig.pass(1_000)
    #expect(try rig.succeed(2).dispatched == DispatchTests.at(0, 3))
    #expect(try rig.succeed(3).dispatched == DispatchTests.at(0, first))
  }

  @Test func `two pools do not disturb one another`() throws {
    var rig = Rig(pools: ["a", "b"])
    for _ in 0..<3 { _ = try rig.square(pool: "a") }
    let other = try rig.square(pool: "b")
    #expect(rig.engine.queuedCount(pool: 0) == 3)
    #expect(rig.engine.queuedCount(pool: 1) == 1)
    #expect(rig.ready(0, credit: 5, pool: 1) == DispatchTests.at(0, other, pool: 1))
    #expect(rig.ready(0, pool: 0) == DispatchTests.at(0, 1))
    #expect(try rig.succeed(other).dispatched.isEmpty)
    #expect(try rig.succeed(1).dispatched == DispatchTests.at(0, 2))
    rig.handle(.poolBroke(pool: PoolID(0), reason: "no"))
    rig.pass(0)
    #expect(rig.store[3]?.state == .failed)
    _ = try rig.square(pool: "b")
    #expect(rig.store[5]?.state == .running)
  }

  @Test func `cancelled jobs in line are stepped over and do not pile up`() throws {
    var rig = Rig()
    for _ in 0..<300 { _ = try rig.square() }
    for number in JobNumber(1)...200 where number != 100 { _ = rig.cancel(number) }
    #expect(rig.engine.queuedCount(pool: 0) == 101)
    let entries = Array(rig.engine.ready[1].entries)
    #expect(entries.count <= 2 * 101)
    #expect(rig.engine.oldestQueuedAt(pool: 0) == rig.store[100]?.createdAt)
    #expect(rig.ready() == DispatchTests.at(0, 100))
    #expect(try rig.succeed(100).dispatched == DispatchTests.at(0, 201))
  }

  @Test func `the age of the oldest queued job is not that of a cancelled one`() throws {
    var rig = Rig()
    #expect(rig.engine.oldestQueuedAt(pool: 0) == nil)
    let cancelled = try rig.square()
    rig.wait(10)
    let waiting = try rig.square()
    #expect(rig.engine.oldestQueuedAt(pool: 0) == Rig.start)
    _ = rig.cancel(cancelled)
    #expect(rig.engine.oldestQueuedAt(pool: 0) == Rig.start + 10)
    _ = rig.forget(cancelled)
    #expect(rig.engine.oldestQueuedAt(pool: 0) == Rig.start + 10)
    _ = rig.cancel(waiting)
    #expect(rig.engine.oldestQueuedAt(pool: 0) == nil)
  }

  @Test func `an answer that nobody waits for changes nothing, whatever it names`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    let call = try #require(rig.call(of: number))
    let before = rig.store
    let nonsense = [
      0, UInt64.max, call.rawValue ^ 1, call.rawValue ^ 1 << 16, call.rawValue ^ 1 << 24,
    ]
    for rawValue in nonsense {
      let call = CallID(rawValue: rawValue)
      #expect(rig.handle(.callReturned(call, result: "1")).isEmpty)
      #expect(rig.handle(.callRaised(call, .plain)).isEmpty)
      #expect(rig.handle(.callLost(call, .interrupted)).isEmpty)
      #expect(rig.engine.job(of: call) == nil)
    }
    #expect(rig.store == before)
    #expect(rig.engine.job(of: call) == number)
  }

  @Test func `a call's number holds its slot`() {
    for (pool, index) in [(0, 0), (3, 17), (255, 65_535)] {
      let slot = SlotID(pool: pool, index: index)
      let call = CallID(serial: 1 << 39, slot: slot)
      #expect(call.slot == slot)
      #expect(CallID(rawValue: call.rawValue) == call)
      #expect(call.rawValue >> 24 == 1 << 39)
    }
  }
}
