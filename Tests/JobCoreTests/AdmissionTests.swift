import Testing

@testable import JobCore

/// The bounds on open jobs and their bytes, and the times when nothing is taken.
@Suite struct AdmissionTests {
  @Test func `as many open jobs as the bound are taken, and not one more`() throws {
    var rig = Rig(limits: Limits { $0.openJobsMax = 3 })
    let first = try rig.square(JobOptions(attemptsMax: 2))
    let second = try rig.square()
    rig.ready()
    try rig.raise(first)  // Scheduled jobs are open, too.
    #expect(rig.store[second]?.state == .running)
    _ = try rig.square()
    #expect(rig.store.openCount == 3)
    let journal = rig.journal.count
    #expect(rig.submit(Submission(task: "square")) == .refused(.queueFull(retryAfter: 5)))
    #expect(rig.journal.count == journal)
    _ = rig.cancel(first)
    _ = try rig.square()
    #expect(rig.submit(Submission(task: "square"))?.word == "refused(queueFull)")
  }

  @Test func `bytes of open jobs are taken up to the bound exactly`() throws {
    let options = JobOptions(kwargs: "{\"a\":1}", tags: ["xy", "z"], idempotencyKey: "key")
    // args 3 + kwargs 7 + tags 3 + key 3.
    var rig = Rig(limits: Limits { $0.openBytesMax = 16 })
    let whole = Submission(task: "square", args: "[1]", options: options)
    let number = try rig.accept(whole)
    #expect(rig.store.openBytes == 16)
    #expect(rig.submit(Submission(task: "square", args: ""))?.word == "accepted")
    #expect(rig.submit(Submission(task: "square", args: "1"))?.word == "refused(queueFull)")
    _ = rig.cancel(number)
    #expect(rig.store.openBytes == 0)
    #expect(rig.store.finishedBytes == 16)
    let over = Submission(task: "square", args: "[123456789012345]")
    #expect(
      rig.submit(over) == .refused(.payloadTooLarge(bytesMax: 16)), "it would wait for ever")
    _ = try rig.accept(Submission(task: "square", args: "[12345678901234]"))
    #expect(rig.store.openBytes == 16)
  }

  @Test func `a full queue answers replays`() throws {
    var rig = Rig(limits: Limits { $0.openJobsMax = 1 })
    let submission = Submission(task: "square", id: JobID("a"))
    let number = try rig.accept(submission)
    #expect(rig.submit(submission) == .accepted(number, isReplay: true))
  }

  @Test func `a full queue says when to come back, by the rate at which jobs end`() throws {
    var rig = Rig(limits: Limits { $0.openJobsMax = 1_000 })
    rig.ready(credit: 1)
    for _ in 0..<1_000 { _ = try rig.square() }
    #expect(rig.submit(Submission(task: "square")) == .refused(.queueFull(retryAfter: 5)))
    // 5 jobs/s: one every 200 ms; a hundredth of 1,000 jobs takes 2 s. The job that opens the
    // window counts in it: 6 ends in the first second.
    for number in JobNumber(1)...6 {
      try rig.succeed(number)
      rig.wait(200)
    }
    for _ in 0..<6 { _ = try rig.square() }
    // 6 jobs/s: 10 jobs in 1.67 s.
    #expect(rig.submit(Submission(task: "square")) == .refused(.queueFull(retryAfter: 2)))
    // Nothing ends for 9 s: 6 / (1 + 9) jobs/s, 10 jobs in 16.7 s.
    rig.wait(8_800)
    #expect(rig.submit(Submission(task: "square")) == .refused(.queueFull(retryAfter: 17)))
    // One job in 100 s: (6 + 1) / 101 jobs/s, and no more than a minute is ever asked.
    rig.wait(91_000)
    try rig.succeed(7)
    _ = try rig.square()
    #expect(rig.submit(Submission(task: "square")) == .refused(.queueFull(retryAfter: 60)))
  }

  @Test func `a queue that is full of bytes says when enough of them have gone`() throws {
    var rig = Rig(limits: Limits { $0.openBytesMax = 1_000 })
    rig.ready(credit: 1)
    let small = Submission(task: "square", args: "[" + String(repeating: "1", count: 8) + "]")
    for _ in 0..<100 { _ = try rig.accept(small) }
    for number in JobNumber(1)...11 {
      try rig.succeed(number)
      _ = try rig.accept(small)
      rig.wait(100)
    }
    // 11 jobs/s, of 10 bytes each.
    #expect(rig.store.openBytes == 1_000)
    #expect(rig.submit(small) == .refused(.queueFull(retryAfter: 1)))
    func large(_ bytes: Int) -> Submission {
      Submission(task: "square", args: "[" + String(repeating: "1", count: bytes - 2) + "]")
    }
    #expect(rig.submit(large(110)) == .refused(.queueFull(retryAfter: 1)))
    #expect(rig.submit(large(111)) == .refused(.queueFull(retryAfter: 2)))
    #expect(rig.submit(large(1_000)) == .refused(.queueFull(retryAfter: 10)))
  }

  @Test func `while it drains it refuses new jobs`() throws {
    var rig = Rig()
    rig.handle(.drainRequested)
    #expect(rig.submit(Submission(task: "square")) == .refused(.draining))
    #expect(rig.submit(Submission(task: "unheard")) == .refused(.draining))
    #expect(rig.store.count == 0)
  }

  @Test func `while the journal takes nothing it refuses every change by a client`() throws {
    var rig = Rig()
    rig.ready()
    let done = try rig.square()
    try rig.succeed(done)
    let running = try rig.square()
    let queued = try rig.square()
    rig.handle(.storageChanged(isWritable: false))
    let journal = rig.journal.count
    #expect(rig.submit(Submission(task: "square")) == .refused(.readOnly))
    #expect(rig.cancel(queued) == .refused(.readOnly))
    #expect(rig.cancel(running) == .refused(.readOnly))
    #expect(rig.forget(done) == .refused(.readOnly))
    #expect(rig.cancel(done) == .refused(.notCancellable(.succeeded)))
    #expect(rig.forget(queued) == .refused(.notFinal(.queued)))
    rig.pass(48 * 3_600_000)
    #expect(rig.engine.nextDeadline(at: rig.moment) == nil)
    #expect(rig.journal.count == journal)
    // What ends in that time is kept for the journal, and nothing new begins.
    #expect(try rig.succeed(running).inWords == "ended(succeeded) > ended")
    #expect(rig.store[queued]?.state == .queued)
    let turn = rig.handle(.storageChanged(isWritable: true))
    #expect(turn.dispatched == [Dispatched(job: queued, slot: SlotID(pool: 0, index: 0))])
    #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
    #expect(rig.pass(0).records == [.jobForgotten(done)])
  }

  @Test func `time limits that pass while the journal takes nothing are met afterwards`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(timeout: 100))
    rig.handle(.storageChanged(isWritable: false))
    #expect(rig.pass(500).isEmpty)
    rig.handle(.storageChanged(isWritable: true))
    #expect(rig.pass(0).ended.map(\.call) == [rig.call(of: number)])
  }

  @Test func `a submission that could not be written leaves nothing behind`() throws {
    var rig = Rig()
    rig.ready(credit: 2)
    let other = try rig.square()
    let dispatched = try rig.square(JobOptions(idempotencyKey: "key"))
    let queued = try rig.square()
    #expect(rig.store[dispatched]?.state == .running)
    #expect(rig.store[queued]?.state == .queued)
    rig.handle(.storageChanged(isWritable: false))
    let words = "withdrawn > changed"
    #expect(rig.handle(.submissionWithdrawn(dispatched)).inWords == words)
    #expect(rig.handle(.submissionWithdrawn(queued)).inWords == words)
    #expect(rig.handle(.submissionWithdrawn(queued)).isEmpty)
    #expect(rig.store[dispatched] == nil && rig.store[queued] == nil)
    #expect(rig.store.number(ofKey: "key") == nil)
    #expect(rig.store.openCount == 1 && rig.store.forgotten == JobStore().forgotten)
    #expect(rig.engine.queuedCount(pool: 0) == 0)
    #expect(rig.engine.runningCount(pool: 0) == 1)
    rig.handle(.storageChanged(isWritable: true))
    let again = try rig.square(JobOptions(idempotencyKey: "key"))
    #expect(again == 4 && rig.call(of: again) != nil, "its slot was given back")
    try rig.succeed(other)
  }

  @Test func `one that is withdrawn from the front lets the next begin`() throws {
    var rig = Rig()
    rig.ready(credit: 2)
    let first = try rig.square()
    let next = try rig.square(JobOptions(timeout: 100))
    rig.handle(.submissionWithdrawn(first))
    #expect(rig.pass(100).ended.map(\.call) == [rig.call(of: next)])
  }

  @Test func `jobs of a pool that is configured no more are counted, and can be cancelled`() throws
  {
    var before = Rig(pools: ["old", "default", "older"])
    let queued = try before.square(pool: "old")
    _ = try before.square(pool: "default")
    let scheduled = try before.square(JobOptions(attemptsMax: 2), pool: "older")
    _ = try before.square(pool: "older")
    before.ready(0, pool: 2)
    try before.raise(scheduled)
    #expect(before.engine.jobsWithoutPool().isEmpty)
    var rig = Rig(store: before.store)
    #expect(rig.engine.jobsWithoutPool().map(\.pool) == ["old", "older"])
    #expect(rig.engine.jobsWithoutPool().map(\.count) == [1, 2])
    rig.ready(credit: 9)
    rig.pass(5_000)
    #expect(rig.store[queued]?.state == .queued)
    #expect(rig.cancel(queued) == .cancelled(queued))
    #expect(rig.cancel(scheduled) == .cancelled(scheduled))
    #expect(rig.engine.jobsWithoutPool().map(\.count) == [1])
    #expect(rig.forget(queued) == .forgotten)
  }
}
