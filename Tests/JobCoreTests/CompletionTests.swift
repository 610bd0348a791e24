import Testing

@testable import JobCore

/// How calls end and what becomes of their jobs.
@Suite struct CompletionTests {
  static func error(of number: JobNumber, in rig: Rig) throws -> JobError {
    guard case .error(let error) = try #require(rig.store[number]).ending else {
      Issue.record("job \(number) has no error")
      throw Rig.NotAccepted()
    }
    return error
  }

  @Test func `a value ends the job`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    rig.wait(30)
    let turn = try rig.succeed(number, "[49]")
    #expect(turn.records == [.jobEnded(number, .succeeded("[49]"), at: Rig.start + 30)])
    #expect(turn.effects == [.jobEnded(number)])
    let job = try #require(rig.store[number])
    #expect(job.ending == .result("[49]"))
    #expect(job.finishedAt == Rig.start + 30)
    #expect(job.startedAt == Rig.start)
    #expect(rig.store.finishedBytes == 7)
    #expect(rig.store.openBytes == 0)
  }

  @Test func `an error that the task threw is kept as it was told`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    let call = try #require(rig.call(of: number))
    let raised = RaisedError(type: "ValueError", message: "no", traceback: "line 1")
    rig.handle(.callRaised(call, raised))
    let error = JobError(
      code: .raised, type: "ValueError", message: "no", traceback: "line 1", attempt: 1)
    #expect(try CompletionTests.error(of: number, in: rig) == error)
    #expect(rig.store[number]?.state == .failed)
    #expect(rig.store.finishedBytes == 3 + 10 + 2 + 6)
  }

  @Test(arguments: [
    (Loss.workerExited(exitcode: 3), JobError.Code.exited, Int32?.some(3)),
    (.workerExited(exitcode: 0), .exited, 0),
    (.workerExited(exitcode: -9), .signalled, -9),
    (.protocolBroken("not JSON"), .workerLost, nil),
  ])
  func `a lost worker fails its job with what is known`(
    loss: Loss, code: JobError.Code, exitcode: Int32?
  ) throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    try rig.lose(number, loss)
    let error = try CompletionTests.error(of: number, in: rig)
    #expect(error.code == code)
    #expect(error.exitcode == exitcode)
    #expect(error.signal == (exitcode == -9 ? 9 : nil))
    #expect(error.attempt == 1)
    if case .protocolBroken(let reason) = loss { #expect(error.message.contains(reason)) }
  }

  @Test func `a death takes down the call that ran, the next ones are only given back`() throws {
    var rig = Rig()
    rig.ready(credit: 3)
    let numbers = try (0..<3).map { _ in try rig.square() }
    rig.handle(.slotGone(SlotID(pool: 0, index: 0)))
    try rig.lose(numbers[0], .workerExited(exitcode: -11))
    try rig.lose(numbers[1], .notStarted)
    try rig.lose(numbers[2], .notStarted)
    #expect(numbers.map { rig.store[$0]?.state } == [.failed, .queued, .queued])
    #expect(numbers.map { rig.store[$0]?.attempt } == [1, 0, 0])
    #expect(numbers.map { rig.store[$0]?.losses } == [0, 0, 0])
  }

  // MARK: Retries

  @Test func `attempts are counted and the waits between them double up to a bound`() throws {
    var rig = Rig(limits: Limits { $0.retryDelayMax = 3_000 })
    rig.ready()
    let number = try rig.square(JobOptions(attemptsMax: 5))
    for (attempt, wait) in [(1, 1_000), (2, 2_000), (3, 3_000), (4, 3_000)] {
      #expect(rig.store[number].map { Int($0.attempt) } == attempt)
      try rig.raise(number)
      let job = try #require(rig.store[number])
      #expect(job.state == .scheduled)
      #expect(job.runAt == rig.moment.timestamp + Milliseconds(wait))
      #expect(try CompletionTests.error(of: number, in: rig).attempt == attempt)
      let due = rig.moment.instant.advanced(byMilliseconds: Milliseconds(wait))
      #expect(rig.engine.nextDeadline(at: rig.moment) == due)
      #expect(rig.pass(Milliseconds(wait) - 1).isEmpty)
      #expect(rig.pass(1).inWords == "queued started > changed dispatch changed")
    }
    try rig.raise(number)
    #expect(rig.store[number]?.state == .failed)
    #expect(try CompletionTests.error(of: number, in: rig).attempt == 5)
    #expect(rig.journal.filter { $0.word == "started" }.count == 5)
  }

  @Test func `a later attempt may succeed, and no error is left`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(attemptsMax: 3))
    try rig.lose(number, .protocolBroken("what"))
    rig.ready()
    rig.pass(1_000)
    try rig.succeed(number, "1")
    #expect(rig.store[number]?.ending == .result("1"))
    #expect(rig.store[number]?.attempt == 2)
    #expect(rig.store.finishedBytes == 3 + 1)
  }

  @Test(arguments: JobError.Code.allCases)
  func `only what could end differently is tried again`(code: JobError.Code) throws {
    let worth: Set<JobError.Code> = [
      .raised, .exited, .signalled, .timedOut, .oomKilled, .workerLost,
    ]
    #expect(code.isWorthRetrying == worth.contains(code))
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(attemptsMax: 2))
    try rig.raise(number, code)
    #expect(rig.store[number]?.state == (worth.contains(code) ? .scheduled : .failed))
  }

  @Test func `a job that asks for more attempts than can be counted ends all the same`() throws {
    var store = JobStore()
    let options = JobOptions(attemptsMax: 1_000_000)
    let submitted = JobSubmitted(
      number: 1, id: try #require(JobID("a")), task: "square", pool: "default", args: "",
      options: options, at: 1)
    var job = RestoredJob(submitted: submitted, state: .queued)
    job.attempt = 65_534
    store.restore(nextNumber: 2, forgotten: [])
    store.restore(job)
    var rig = Rig(store: store)
    rig.ready()
    try rig.raise(1)
    #expect(rig.store[1]?.state == .failed)
    #expect(try CompletionTests.error(of: 1, in: rig).attempt == 65_535)
  }

  @Test func `a longest wait of for ever is kept as for ever`() throws {
    var rig = Rig(
      limits: Limits {
        $0.retryDelay = .max
        $0.retryDelayMax = .max
        $0.retentionAge = .max
      })
    rig.ready()
    let number = try rig.square(JobOptions(attemptsMax: 2))
    try rig.raise(number)
    #expect(rig.store[number]?.runAt == .max)
    try rig.succeed(try rig.square())
    #expect(rig.engine.nextDeadline(at: rig.moment) == Instant(nanoseconds: .max))
    #expect(rig.pass(1).isEmpty)
  }

  // MARK: Time limits

  @Test func `the time limit ends the worker and fails the attempt`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(timeout: 250))
    let call = try #require(rig.call(of: number))
    #expect(
      rig.engine.nextDeadline(at: rig.moment)
        == rig.moment.instant.advanced(byMilliseconds: 250))
    #expect(rig.pass(249).isEmpty)
    #expect(rig.pass(1).effects == [.endCall(call, grace: 1_000)])
    #expect(rig.store[number]?.state == .running)
    #expect(rig.engine.nextDeadline(at: rig.moment) == nil)
    #expect(rig.pass(10_000).isEmpty)
    try rig.lose(number, .workerExited(exitcode: -15))
    let error = try CompletionTests.error(of: number, in: rig)
    #expect(error.code == .timedOut)
    #expect(error.message.contains("250 ms"))
  }

  @Test func `the time limit counts from the moment when the call comes to the front`() throws {
    var rig = Rig()
    rig.ready(credit: 2)
    let first = try rig.square(JobOptions(timeout: 1_000))
    let second = try rig.square(JobOptions(timeout: 100))
    #expect(rig.pass(900).isEmpty)
    try rig.succeed(first)
    #expect(rig.pass(99).isEmpty)
    #expect(rig.pass(1).ended.map(\.call) == [rig.call(of: second)])
  }

  @Test func `an attempt that ends in time leaves no deadline`() throws {
    var rig = Rig()
    rig.ready(credit: 2)
    let numbers = try (0..<2).map { _ in try rig.square(JobOptions(timeout: 100)) }
    for number in numbers { try rig.succeed(number) }
    #expect(rig.engine.deadlines.count == 0)
    let retention = rig.moment.instant.advanced(byMilliseconds: rig.engine.limits.retentionAge)
    #expect(rig.engine.nextDeadline(at: rig.moment) == retention)
  }

  @Test func `each attempt has the whole time limit`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(timeout: 2_000, attemptsMax: 2))
    rig.pass(1_500)
    try rig.raise(number)
    rig.pass(1_000)
    #expect(rig.store[number]?.attempt == 2)
    #expect(rig.pass(1_999).isEmpty)
    #expect(rig.pass(1).ended.count == 1)
  }

  @Test func `a value that comes after the time limit or a cancel is too late`() throws {
    var rig = Rig()
    rig.ready()
    let late = try rig.square(JobOptions(timeout: 100))
    rig.pass(100)
    try rig.succeed(late)
    #expect(try CompletionTests.error(of: late, in: rig).code == .timedOut)
    let cancelled = try rig.square()
    _ = rig.cancel(cancelled)
    try rig.succeed(cancelled)
    #expect(rig.store[cancelled]?.state == .cancelled)
    #expect(rig.store[cancelled]?.ending == Job.Ending.none)
  }

  @Test func `an answer after the end changes nothing`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    let call = try #require(rig.call(of: number))
    try rig.succeed(number, "1")
    let before = rig.store
    #expect(rig.handle(.callReturned(call, result: "2")).isEmpty)
    #expect(rig.handle(.callLost(call, .interrupted)).isEmpty)
    #expect(rig.store == before)
  }

  @Test func `deadlines that are due together are met in slices, oldest first`() throws {
    var rig = Rig(limits: Limits { $0.forgottenPerTurnMax = 2 })
    for slot in 0..<5 { rig.ready(slot) }
    for _ in 0..<5 { _ = try rig.square(JobOptions(attemptsMax: 2)) }
    for slot in 0..<5 { rig.handle(.slotGone(SlotID(pool: 0, index: slot))) }
    for number in JobNumber(1)...5 { try rig.raise(number) }
    #expect(rig.pass(1_000).records == [.jobQueued(1), .jobQueued(2)])
    #expect(try #require(rig.engine.nextDeadline(at: rig.moment)) <= rig.moment.instant)
    #expect(rig.pass(0).records == [.jobQueued(3), .jobQueued(4)])
    #expect(rig.pass(0).records == [.jobQueued(5)])
    #expect(rig.pass(0).isEmpty)
  }
}
