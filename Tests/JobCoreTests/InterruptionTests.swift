import Testing

@testable import JobCore

/// Attempts cut off through no fault of the job: by a crash of the service or of its fork server,
/// or by a shutdown.
@Suite struct InterruptionTests {
  @Test func `a job cut off by a crash waits again, counted apart from its attempts`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(attemptsMax: 2))
    #expect(try rig.crash() == [.attemptRevoked(number, .interrupted)])
    let job = try #require(rig.store[number])
    #expect(job.state == .queued)
    #expect(job.attempt == 0)
    #expect(job.losses == 1)
    #expect(rig.ready().map(\.job) == [number])
    #expect(rig.store[number]?.attempt == 1)
  }

  @Test func `the third loss gives a job up, and not the second`() throws {
    var rig = Rig()
    let number = try rig.square(JobOptions(attemptsMax: 9))
    for losses in 1...2 {
      rig.ready()
      try rig.crash()
      #expect(rig.store[number]?.state == .queued)
      #expect(rig.store[number].map { Int($0.losses) } == losses)
    }
    rig.ready()
    try rig.crash()
    let error = try CompletionTests.error(of: number, in: rig)
    #expect(error.code == .interrupted)
    #expect(error.message.contains("3 times"))
    #expect(rig.store[number]?.state == .failed)
  }

  @Test func `losses of a fork server and of the service add up`() throws {
    var rig = Rig()
    let number = try rig.square()
    rig.ready()
    try rig.lose(number, .interrupted)
    #expect(rig.store[number]?.state == .running)
    #expect(rig.store[number]?.losses == 1)
    try rig.crash()
    rig.ready()
    try rig.lose(number, .interrupted)
    #expect(rig.store[number]?.state == .failed)
  }

  @Test func `with on_interrupt fail, the first cut-off is the end`() throws {
    let options = JobOptions(attemptsMax: 5, onInterrupt: .fail)
    var crashed = Rig()
    crashed.ready()
    let number = try crashed.square(options)
    try crashed.crash()
    #expect(try CompletionTests.error(of: number, in: crashed).code == .interrupted)
    #expect(crashed.store[number]?.attempt == 1)

    var forked = Rig()
    forked.ready()
    let other = try forked.square(options)
    try forked.lose(other, .interrupted)
    #expect(try CompletionTests.error(of: other, in: forked).code == .interrupted)

    var waiting = Rig()
    let queued = try waiting.square(options)
    try waiting.crash()
    #expect(waiting.store[queued]?.state == .queued, "it was not running")
  }

  @Test func `a call that had not begun is given back even with on_interrupt fail`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(onInterrupt: .fail))
    try rig.lose(number, .notStarted)
    #expect(rig.store[number]?.state == .running)
    #expect(rig.store[number]?.attempt == 1)
  }

  @Test func `a shutdown whose grace is over gives back without counting`() throws {
    var rig = Rig()
    rig.ready(0)
    rig.ready(1)
    let number = try rig.square()
    let failing = try rig.square(JobOptions(onInterrupt: .fail))
    rig.handle(.drainRequested)
    rig.handle(.drainGraceEnded)
    let turn = try rig.lose(number, .workerExited(exitcode: -15))
    #expect(turn.records == [.attemptRevoked(number, .shutdown)])
    #expect(rig.store[number]?.losses == 0)
    #expect(rig.store[number]?.attempt == 0)
    try rig.lose(failing, .workerExited(exitcode: -9))
    #expect(try CompletionTests.error(of: failing, in: rig).code == .interrupted)
    #expect(try rig.crash() == [])
    #expect(rig.store[number]?.state == .queued)
  }

  @Test func `before the grace is over, a death is the job's own`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    rig.handle(.drainRequested)
    try rig.lose(number, .workerExited(exitcode: -9))
    #expect(try CompletionTests.error(of: number, in: rig).code == .signalled)
  }

  @Test func `recovery keeps the order of age and the moments of retries`() throws {
    var rig = Rig()
    rig.ready(0)
    let retried = try rig.square(JobOptions(attemptsMax: 2))
    try rig.raise(retried)
    let running = try rig.square()
    let queued = try rig.square()
    rig.wait(400)
    #expect(try rig.crash() == [.attemptRevoked(running, .interrupted)])
    let due = rig.moment.instant.advanced(byMilliseconds: 600)
    #expect(rig.engine.nextDeadline(at: rig.moment) == due)
    #expect(rig.ready(0).map(\.job) == [running])
    #expect(rig.ready(1).map(\.job) == [queued])
    rig.ready(2)
    #expect(rig.pass(600).dispatched.map(\.job) == [retried])
  }

  @Test func `a retry that came due while the service was down starts at once`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(attemptsMax: 2))
    try rig.raise(number)
    rig.wait(3_600_000)
    try rig.crash()
    #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
    #expect(rig.pass(0).records == [.jobQueued(number)])
  }

  @Test func `jobs of a pool that is configured no more wait and can be cancelled`() throws {
    var rig = Rig(pools: ["old"])
    let number = try rig.square()
    var engine = Engine(store: rig.store, pools: ["new"], limits: Limits(), seed: 3)
    var turn = Turn()
    engine.recover(at: rig.moment, &turn)
    let slot = SlotID(pool: 0, index: 0)
    engine.handle(.slotReady(slot, credit: 1, pid: 1), at: rig.moment, &turn)
    #expect(turn.isEmpty)
    engine.handle(.cancelReceived(number, grace: 0, request: 1), at: rig.moment, &turn)
    #expect(turn.inWords == "ended(cancelled) > ended cancelled")
    #expect(engine.brokenInvariants() == [])
  }
}
