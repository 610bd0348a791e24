import Testing

@testable import JobCore

/// The wall clock is set by somebody: no job goes before its time, and moments stay in order.
@Suite struct ClockJumpsTests {
  static let day: Milliseconds = 86_400_000

  /// Only the wall clock goes on.
  static func set(_ rig: inout Rig, by milliseconds: Milliseconds) {
    rig.moment = Moment(
      instant: rig.moment.instant, timestamp: rig.moment.timestamp + milliseconds)
  }

  @Test(arguments: [[day], [day, day], [-day, day], [day, -day], [-day, -day, 3 * day]])
  func `a job is kept for its age however the clock is set`(jumps: [Milliseconds]) throws {
    var rig = try RetentionTests.rig(finished: 1) { $0.retentionAge = 10_000 }
    for jump in jumps {
      ClockJumpsTests.set(&rig, by: jump)
      #expect(rig.pass(1_000).isEmpty)
    }
    rig.wait(8_998 - 1_000 * Milliseconds(jumps.count))
    #expect(rig.pass(0).isEmpty)
    #expect(RetentionTests.held(rig) == [1])
  }

  @Test(arguments: [[day], [day, day], [1_500]])
  func `a jump forward is no reason to keep it for longer`(jumps: [Milliseconds]) throws {
    var rig = try RetentionTests.rig(finished: 1) { $0.retentionAge = 10_000 }
    for jump in jumps {
      ClockJumpsTests.set(&rig, by: jump)
      rig.pass(1_000)
    }
    let left = 9_999 - 1_000 * Milliseconds(jumps.count)
    let due = rig.moment.instant.advanced(byMilliseconds: left)
    #expect(rig.engine.nextDeadline(at: rig.moment) == due)
    #expect(rig.pass(left).records == [.jobForgotten(1)])
  }

  @Test func `what finished after the jump is younger by none of it`() throws {
    var rig = try RetentionTests.rig(finished: 1) { $0.retentionAge = 10_000 }
    ClockJumpsTests.set(&rig, by: ClockJumpsTests.day)
    rig.pass(5_000)
    try rig.succeed(try rig.square())
    #expect(rig.pass(4_999).records == [.jobForgotten(1)])
    #expect(rig.pass(5_000).isEmpty)
    #expect(rig.pass(1).records == [.jobForgotten(2)])
  }

  @Test func `many jumps are remembered as few, and drop nothing early`() throws {
    var rig = try RetentionTests.rig(finished: 1) { $0.retentionAge = 100_000 }
    for _ in 0..<100 {
      ClockJumpsTests.set(&rig, by: ClockJumpsTests.day)
      rig.pass(100)
      try rig.succeed(try rig.square())
    }
    #expect(rig.store.finishedCount == 101)
    rig.pass(89_000)
    #expect(rig.store.finishedCount == 101)
  }

  @Test func `a job that the clock went back for has its moments in order`() throws {
    var rig = Rig()
    let number = try rig.square()
    ClockJumpsTests.set(&rig, by: -ClockJumpsTests.day)
    rig.ready()
    ClockJumpsTests.set(&rig, by: -ClockJumpsTests.day)
    try rig.succeed(number)
    let job = try #require(rig.store[number])
    #expect(job.createdAt == Rig.start)
    #expect(job.startedAt == Rig.start)
    #expect(job.finishedAt == Rig.start)
  }

  @Test func `a retry does not wait for a clock that was set back while nobody looked`() throws {
    var rig = Rig(limits: Limits { $0.retryDelay = 1_000 })
    let number = try rig.square(JobOptions(attemptsMax: 2))
    rig.ready()
    try rig.raise(number)
    ClockJumpsTests.set(&rig, by: -ClockJumpsTests.day)
    try rig.crash()
    #expect(rig.pass(999).isEmpty)
    #expect(rig.pass(1).records.contains(.jobQueued(number)))
  }
}
