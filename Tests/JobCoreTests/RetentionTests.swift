import Testing

@testable import JobCore

/// Letting go of finished jobs: exact at each bound, in slices, remembered by hash.
@Suite struct RetentionTests {
  /// A rig with `count` finished jobs of 3 + 2 bytes, finished one millisecond apart.
  static func rig(finished count: Int, _ change: (inout Limits) -> Void) throws -> Rig {
    var rig = Rig(limits: Limits(change))
    rig.ready()
    for _ in 0..<count {
      try rig.succeed(try rig.square())
      rig.wait(1)
    }
    return rig
  }

  static func held(_ rig: Rig) -> [JobNumber] {
    var numbers: [JobNumber] = []
    rig.store.forEachInSnapshotOrder { numbers.append($0.number) }
    return numbers
  }

  @Test func `a job is kept for its age to the millisecond`() throws {
    var rig = try RetentionTests.rig(finished: 2) { $0.retentionAge = 1_000 }
    // The first ended at +0, the second at +1; it is +2 now.
    rig.wait(997)
    let due = rig.moment.instant.advanced(byMilliseconds: 1)
    #expect(rig.engine.nextDeadline(at: rig.moment) == due)
    #expect(rig.pass(0).isEmpty)
    #expect(rig.pass(1).records == [.jobForgotten(1)])
    #expect(rig.pass(1).records == [.jobForgotten(2)])
    #expect(rig.engine.nextDeadline(at: rig.moment) == nil)
  }

  @Test(arguments: [(9, 0), (10, 0), (11, 1), (13, 3)])
  func `as many finished jobs as the bound are kept`(finished: Int, dropped: Int) throws {
    var rig = try RetentionTests.rig(finished: finished) { $0.retentionJobsMax = 10 }
    let isDue = rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant
    #expect(isDue == (dropped > 0))
    let expected = (0..<dropped).map { Record.jobForgotten(JobNumber($0 + 1)) }
    #expect(rig.pass(0).records == expected)
    #expect(rig.store.finishedCount == finished - dropped)
  }

  @Test(arguments: [(26, 5), (25, 5), (24, 4), (20, 4), (19, 3), (5, 1), (4, 0), (0, 0)])
  func `as many finished bytes as the bound are kept`(bytesMax: Int, kept: Int) throws {
    // Five jobs of five bytes each.
    var rig = try RetentionTests.rig(finished: 5) { $0.retentionBytesMax = bytesMax }
    rig.pass(0)
    #expect(rig.store.finishedCount == kept)
    #expect(rig.store.finishedBytes == kept * 5)
    #expect(RetentionTests.held(rig) == (0..<kept).map { JobNumber(6 - kept + $0) })
    #expect(rig.engine.nextDeadline(at: rig.moment) != rig.moment.instant)
  }

  @Test func `open jobs are never let go`() throws {
    var rig = Rig(
      limits: Limits {
        $0.retentionJobsMax = 0
        $0.retentionBytesMax = 0
        $0.retentionAge = 0
      })
    rig.ready()
    let running = try rig.square()
    let queued = try rig.square()
    rig.pass(1_000_000)
    #expect(RetentionTests.held(rig) == [running, queued])
    try rig.succeed(running)
    #expect(rig.pass(0).records == [.jobForgotten(running)])
  }

  @Test func `it goes by the order of finishing, in slices`() throws {
    var rig = Rig(
      limits: Limits {
        $0.retentionJobsMax = 1
        $0.forgottenPerTurnMax = 2
      })
    for slot in 0..<6 { rig.ready(slot) }
    for _ in 0..<6 { _ = try rig.square() }
    for number in [4, 2, 6, 1, 5, 3] as [JobNumber] { try rig.succeed(number) }
    #expect(rig.pass(0).records == [.jobForgotten(4), .jobForgotten(2)])
    #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
    #expect(rig.forget(1) == .forgotten)
    #expect(rig.pass(0).records == [.jobForgotten(6), .jobForgotten(5)])
    #expect(rig.pass(0).isEmpty)
    #expect(RetentionTests.held(rig) == [3])
    try rig.crash()
  }

  @Test func `a clock that went back keeps jobs longer and wakes nobody at once`() throws {
    var rig = try RetentionTests.rig(finished: 1) { $0.retentionAge = 0 }
    rig.moment = Moment(instant: rig.moment.instant, timestamp: Rig.start - 5_000)
    #expect(rig.pass(0).isEmpty)
    let due = rig.moment.instant.advanced(byMilliseconds: 5_000)
    #expect(rig.engine.nextDeadline(at: rig.moment) == due)
  }

  @Test func `forgotten ids are remembered, as many as the bound`() throws {
    var store = JobStore(forgottenIDsMax: 3)
    var ids: [JobID] = []
    for number in JobNumber(1)...5 {
      let id = try #require(JobID("job-\(number)"))
      ids.append(id)
      let submitted = JobSubmitted(
        number: number, id: id, task: "t", pool: "p", args: "", options: nil, at: 1)
      try store.apply(.jobSubmitted(submitted))
      try store.apply(.jobEnded(number, .cancelled, at: 1))
      #expect(!store.forgotten.contains(id.stableHash))
      try store.apply(.jobForgotten(number))
      #expect(store.forgotten.contains(id.stableHash))
      #expect(store.forgotten.count == min(Int(number), 3))
      #expect(store[number] == nil)
      #expect(store.number(of: id) == nil)
    }
    let isHeld = ids.map { store.forgotten.contains($0.stableHash) }
    #expect(isHeld == [false, false, true, true, true])
    #expect(Array(store.forgotten.hashes) == ids.suffix(3).map(\.stableHash))
  }

  @Test func `an id that was forgotten twice is remembered until the second goes`() {
    var forgotten = ForgottenIDs()
    for hash in [1, 2, 1] as [UInt64] { forgotten.insert(hash, bound: 3) }
    forgotten.insert(3, bound: 3)
    #expect(forgotten.contains(1))
    forgotten.insert(4, bound: 3)
    #expect(!forgotten.contains(2))
    #expect(forgotten.contains(1))
    forgotten.insert(5, bound: 3)
    #expect(!forgotten.contains(1))
    forgotten.insert(6, bound: 0)
    #expect(forgotten.count == 0)
    #expect(!forgotten.contains(6))
  }

  /// Bounds within a page, of one, and of some and a part.
  @Test(arguments: [1, 100, 4_096, 10_000])
  func `the last ids that were forgotten are remembered, and no others`(bound: Int) {
    var random = TestRandom(seed: UInt64(bound))
    var forgotten = ForgottenIDs()
    var all: [UInt64] = []
    for round in 1...30_000 {
      let hash = UInt64(random.below(20_000))
      forgotten.insert(hash, bound: bound)
      all.append(hash)
      guard round % 3_000 == 0 else { continue }
      let last = all.suffix(bound)
      #expect(forgotten.count == last.count)
      #expect(forgotten.hashes.elementsEqual(last))
      let wrong = (0..<20_000 as Range<UInt64>).filter { [held = Set(last)] in
        forgotten.contains($0) != held.contains($0)
      }
      #expect(wrong == [])
    }
  }

  @Test func `forgetting from the back leaves no pile behind`() throws {
    var rig = Rig()
    rig.ready()
    let first = try rig.square()
    try rig.succeed(first)
    var turn = Turn()
    for _ in 0..<5_000 {
      turn.reset()
      rig.engine.handle(
        .submissionReceived(Submission(task: "square"), request: 0), at: rig.moment, &turn)
      let number = try #require(turn.records.first?.job)
      let call = try #require(rig.call(of: number))
      rig.engine.handle(.callReturned(call, result: "1"), at: rig.moment, &turn)
      rig.engine.handle(.forgetReceived(number, request: 0), at: rig.moment, &turn)
    }
    #expect(rig.store.oldestFinished?.number == first)
    #expect(rig.store.count == 1)
    #expect(rig.engine.brokenInvariants() == [])
    #expect(rig.store.finishOrderCount < 2_000)
  }
}
