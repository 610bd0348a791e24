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

    mutating func submit(_ task: String, pool: String? = "default") -> Answer? {
      turn.reset()
      engine.handle(
        .submissionReceived(Submission(task: task, pool: pool), request: 1), at: moment, &turn)
      return turn.answer(to: 1)
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

  @Test func `two lives that are full of names can be replayed as one`() {
    #expect(2 * NameTable.poolNamesMax + 10_000 < NameTable.countMax)
  }
}
