import Testing

@testable import JobCore

/// Names of tasks that clients make up: how many there may be.
@Suite struct NameTests {
  /// An engine with a pool that runs whatever it is asked for. Not a `Rig`, which looks at all jobs
  /// after each event.
  private struct Dynamic {
    var engine: Engine
    var turn = Turn()
    let moment = Moment(instant: Instant(nanoseconds: 1), timestamp: 1)

    init(store: JobStore = JobStore()) {
      engine = Engine(store: store, pools: ["default"], limits: Limits(), seed: 1)
      engine.recover(at: moment, &turn)
      engine.handle(
        .poolAnnounced(pool: PoolID(0), tasks: ["square", "cube"], isDynamic: true), at: moment,
        &turn)
    }

    mutating func handle(_ event: Event) {
      turn.reset()
      engine.handle(event, at: moment, &turn)
    }

    mutating func submit(_ task: String, pool: String? = "default") -> Answer? {
      handle(.submissionReceived(Submission(task: task, pool: pool), request: 1))
      return turn.answer(to: 1)
    }

    mutating func create(_ pool: String) -> Answer? {
      handle(.poolCreateReceived(.plain(pool), request: 2))
      return turn.answer(to: 2)
    }
  }

  @Test func `no more names are taken than may be, and those that are there go on`() throws {
    var dynamic = Dynamic()
    #expect(dynamic.submit("square") != .refused(.tooManyNames))
    // Those of tasks are counted, and 'square' is one.
    for number in 1..<NameTable.taskNamesMax {
      let answer = dynamic.submit("m\(number):f", pool: number % 2 == 0 ? nil : "default")
      guard case .accepted = answer else {
        Issue.record("\(number): \(String(describing: answer))")
        return
      }
    }
    for pool in [nil, "default"] {
      #expect(dynamic.submit("one:more", pool: pool) == .refused(.tooManyNames))
    }
    let map = MapSubmission(task: "one:more", items: MapTests.items(1), pool: "default")
    dynamic.turn.reset()
    dynamic.engine.handle(
      .mapReceived(map, request: 2), at: dynamic.moment, &dynamic.turn)
    #expect(dynamic.turn.answer(to: 2) == .refused(.tooManyNames))
    // Those that the pool has named have their place in any case.
    for task in ["m100:f", "square", "cube"] {
      guard case .accepted = dynamic.submit(task) else {
        Issue.record("\(task) is not taken")
        continue
      }
    }
  }

  @Test func `the names of pools take no place from those of tasks`() {
    var names = NameTable()
    let pools = (0..<NameTable.taskNamesMax).map { names.intern("pool \($0)") }
    #expect(names.hasPlaceForTask)
    for number in 0..<NameTable.taskNamesMax { _ = names.intern("task \(number)", isTask: true) }
    #expect(!names.hasPlaceForTask)
    // Also one that a pool had first, and one that comes again.
    names.release(names.find("task 7")!)
    names.release(pools[3])
    #expect(names.hasPlaceForTask)
    _ = names.intern("pool 4", isTask: true)
    _ = names.intern("pool 4", isTask: true)
    #expect(!names.hasPlaceForTask)
  }

  @Test func `a record with a name too many does not fit`() throws {
    var store = JobStore()
    func submitted(_ task: String) -> Record {
      .jobSubmitted(
        JobSubmitted(
          number: store.nextNumber, id: JobID(version7At: 1, random: (1, store.nextNumber)),
          task: task, pool: "default", args: "[]", options: nil, at: 1))
    }
    while store.names.count < NameTable.countMax {
      let record = submitted("t\(store.names.count)")
      try store.apply(record)
      try store.apply(.jobWithdrawn(record.job))
    }
    let before = store
    #expect(throws: JobStore.Misfit.self) { try store.apply(submitted("one more")) }
    #expect(!store.hasPlace(forTask: "one more", pool: "default"))
    #expect(store == before)
    try store.apply(submitted("t7"))
    // Nor does the engine decide what would not fit.
    var dynamic = Dynamic(store: store)
    #expect(dynamic.submit("cube") == .refused(.tooManyNames))
    #expect(dynamic.submit("square") == .refused(.tooManyNames))
  }

  @Test func `what pools left behind gives its names back when it is dropped`() throws {
    var store = JobStore()
    for number in 1...NameTable.poolNamesMax {
      let id = try #require(JobID("j\(number)"))
      try store.apply(
        .jobSubmitted(
          JobSubmitted(
            number: JobNumber(number), id: id, task: "t", pool: "p\(number)", args: "[]",
            options: nil, at: 1)))
    }
    // As after a snapshot: no record tells that these pools are gone.
    var dynamic = Dynamic(store: store)
    #expect(dynamic.submit("m:f") == .refused(.tooManyNames))
    #expect(dynamic.create("mine") == .refused(.tooManyNames))
    for number in JobNumber(1)...4 {
      dynamic.handle(.cancelReceived(number, grace: 0, request: 3))
      dynamic.handle(.forgetReceived(number, request: 4))
    }
    guard case .accepted = dynamic.submit("m:f") else {
      Issue.record("no name was given back")
      return
    }
    #expect(dynamic.create("mine") == nil, "it is being created")
  }

  @Test func `a slot that finds many stale entries goes on in the next turn`() throws {
    var dynamic = Dynamic()
    let count = 30_000
    let map = MapSubmission(task: "square", items: MapTests.items(count), chunkSize: 1)
    dynamic.handle(.mapReceived(map, request: 2))
    while dynamic.turn.answer(to: 2) == nil { dynamic.handle(.timePassed) }
    for _ in 0...count { _ = dynamic.submit("square") }
    var maps: [MapNumber] = []
    dynamic.engine.store.forEachOpenMap { maps.append($0.number) }
    let number = try #require(maps.first)
    dynamic.handle(.mapCancelReceived(number, grace: 0, request: 3))
    while dynamic.engine.store.map(number)?.stage != .final { dynamic.handle(.timePassed) }
    dynamic.handle(.slotReady(SlotID(pool: 0, index: 0), credit: 1, pid: 7))
    #expect(dynamic.turn.dispatched.isEmpty)
    #expect(dynamic.engine.nextDeadline(at: dynamic.moment) == dynamic.moment.instant)
    dynamic.handle(.timePassed)
    #expect(dynamic.turn.dispatched.count == 1)
    #expect(dynamic.engine.nextDeadline(at: dynamic.moment) != dynamic.moment.instant)
  }

  @Test func `two lives that are full of names can be replayed as one`() {
    #expect(2 * NameTable.poolNamesMax + 10_000 < NameTable.countMax)
  }
}
