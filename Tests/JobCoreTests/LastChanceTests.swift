import Testing

@testable import JobCore

/// A job that one more interruption ends runs alone: no job is given up for another's deeds.
@Suite struct LastChanceTests {
  static let slots = [
    SlotID(pool: 0, index: 0), SlotID(pool: 0, index: 1), SlotID(pool: 1, index: 0),
  ]

  static func rig() -> Rig {
    var rig = Rig(pools: ["default", "other"])
    readyAll(&rig)
    return rig
  }

  static func readyAll(_ rig: inout Rig) {
    for slot in slots { rig.ready(slot.index, pool: slot.pool) }
  }

  static func running(_ rig: Rig) -> Set<JobNumber> {
    Set(rig.engine.pools.flatMap(\.slots).flatMap(\.calls).map(\.job))
  }

  /// The fork server goes, and all that runs with it; then the workers are there again.
  static func loseAll(_ rig: inout Rig) throws {
    for slot in slots { rig.handle(.slotGone(slot)) }
    for number in running(rig).sorted() { try rig.lose(number, .interrupted) }
    readyAll(&rig)
  }

  /// A job, once it was cut off twice.
  static func cutOffTwice(_ rig: inout Rig, pool: String? = nil) throws -> JobNumber {
    let number = try rig.square(pool: pool)
    for _ in 0..<2 { try rig.lose(number, .interrupted) }
    #expect(rig.store[number]?.losses == 2)
    return number
  }

  @Test(arguments: [1, 3])
  func `those who end the fork server fail, and nobody else does`(culprits: Int) throws {
    var rig = Self.rig()
    var guilty: Set<JobNumber> = []
    var others: Set<JobNumber> = []
    for number in 0..<9 {
      let job = try rig.square(pool: number % 3 == 2 ? "other" : "default")
      if number < culprits { guilty.insert(job) } else { others.insert(job) }
    }
    var rounds = 0
    while rig.store.openCount > 0, rounds < 100 {
      rounds += 1
      let running = Self.running(rig)
      // The innocent are slow: while a culprit runs, none of them gets through.
      if running.isDisjoint(with: guilty) {
        for number in running.sorted() { try rig.succeed(number) }
      } else {
        try Self.loseAll(&rig)
      }
    }
    for number in guilty {
      #expect(try CompletionTests.error(of: number, in: rig).code == .interrupted)
    }
    for number in others { #expect(rig.store[number]?.state == .succeeded, "job \(number)") }
  }

  @Test func `it waits until nothing runs, and others wait for it`() throws {
    var rig = Self.rig()
    let long = try rig.square(pool: "other")
    let suspect = try Self.cutOffTwice(&rig)
    let later = try rig.square()
    let elsewhere = try rig.square(pool: "other")
    #expect(Self.running(rig) == [long])
    let turn = try rig.succeed(long)
    #expect(turn.dispatched.map(\.job) == [suspect])
    #expect(try Set(rig.succeed(suspect).dispatched.map(\.job)) == [later, elsewhere])
  }

  @Test func `those on their last chance run one after another, the oldest first`() throws {
    var rig = Self.rig()
    let jobs = try [rig.square(), rig.square(pool: "other"), rig.square()]
    for _ in 0..<2 { try Self.loseAll(&rig) }
    let new = try rig.square()
    for job in jobs {
      #expect(Self.running(rig) == [job])
      try rig.succeed(job)
    }
    #expect(Self.running(rig) == [new])
  }

  @Test func `a pool that can run nothing holds nobody up`() throws {
    var rig = Self.rig()
    let suspect = try Self.cutOffTwice(&rig, pool: "other")
    let waiting = try rig.square()
    #expect(Self.running(rig) == [suspect])
    rig.handle(.slotGone(SlotID(pool: 1, index: 0)))
    try rig.lose(suspect, .notStarted)
    #expect(Self.running(rig) == [waiting], "the other pool has no worker")
    let next = try rig.square()
    #expect(Self.running(rig) == [waiting, next])
    #expect(rig.ready(0, pool: 1).isEmpty, "there are others now")
    try rig.succeed(waiting)
    #expect(try rig.succeed(next).dispatched.map(\.job) == [suspect])
  }

  @Test func `a cancel of one that is waited for lets the others go`() throws {
    var rig = Self.rig()
    let long = try rig.square(pool: "other")
    let suspect = try Self.cutOffTwice(&rig)
    let later = try rig.square()
    #expect(Self.running(rig) == [long])
    #expect(rig.cancel(suspect) == .cancelled(suspect))
    #expect(Self.running(rig) == [long, later])
  }

  @Test func `a crash of the service does not make it forget`() throws {
    var rig = Self.rig()
    let suspect = try rig.square()
    for _ in 0..<2 {
      try rig.crash()
      Self.readyAll(&rig)
    }
    let other = try rig.square()
    #expect(Self.running(rig) == [suspect])
    try rig.crash()
    Self.readyAll(&rig)
    #expect(try CompletionTests.error(of: suspect, in: rig).code == .interrupted)
    #expect(Self.running(rig) == [other])
  }
}
