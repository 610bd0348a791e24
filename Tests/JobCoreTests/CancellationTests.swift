import Testing

@testable import JobCore

/// Requests to end a job, in each of its states.
@Suite struct CancellationTests {
  @Test func `a queued job is dropped and never dispatched`() throws {
    var rig = Rig()
    let number = try rig.square()
    let next = try rig.square()
    rig.wait(5)
    #expect(rig.cancel(number) == .cancelled(number))
    #expect(rig.store[number]?.state == .cancelled)
    #expect(rig.store[number]?.finishedAt == Rig.start + 5)
    #expect(rig.ready().map(\.job) == [next])
  }

  @Test func `a scheduled job is dropped, with its deadline and its last error`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(attemptsMax: 2))
    try rig.raise(number)
    #expect(rig.cancel(number) == .cancelled(number))
    #expect(rig.engine.deadlines.count == 0)
    #expect(rig.store[number]?.ending == Job.Ending.none)
    #expect(rig.pass(1_000).isEmpty)
  }

  @Test func `a running job is cancelled when its worker has ended`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(timeout: 100, attemptsMax: 3))
    let call = try #require(rig.call(of: number))
    let turn = rig.handle(.cancelReceived(number, grace: 123, request: 9))
    #expect(turn.records == [.cancelRequested(number)])
    #expect(
      turn.effects
        == [.jobChanged(number), .endCall(call, grace: 123), .answer(9, .cancelled(number))])
    #expect(rig.store[number]?.state == .running)
    #expect(rig.store[number]?.isCancelRequested == true)
    #expect(rig.pass(200).isEmpty, "its time limit is of no interest any more")
    try rig.lose(number, .workerExited(exitcode: -15))
    #expect(rig.store[number]?.state == .cancelled)
  }

  @Test func `the second request hears the same and does nothing`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    _ = rig.cancel(number)
    let turn = rig.handle(.cancelReceived(number, grace: 0, request: 9))
    #expect(turn.records.isEmpty)
    #expect(turn.effects == [.answer(9, .cancelled(number))])
    try rig.succeed(number)
    #expect(rig.cancel(number) == .refused(.notCancellable(.cancelled)))
  }

  @Test func `a job that is next in line is ended when it comes to the front`() throws {
    var rig = Rig()
    rig.ready(credit: 3)
    let front = try rig.square()
    let next = try rig.square(JobOptions(timeout: 100))
    let last = try rig.square()
    let call = try #require(rig.call(of: next))
    #expect(rig.handle(.cancelReceived(next, grace: 77, request: 1)).ended.isEmpty)
    #expect(rig.cancel(next) == .cancelled(next))
    #expect(try rig.succeed(front).effects.contains(.endCall(call, grace: 77)))
    #expect(rig.engine.deadlines.count == 0)
    rig.handle(.slotGone(SlotID(pool: 0, index: 0)))
    try rig.lose(next, .workerExited(exitcode: -15))
    try rig.lose(last, .notStarted)
    #expect(rig.store[next]?.state == .cancelled)
    #expect(rig.store[last]?.state == .queued)
  }

  @Test func `a job that is next in line and given back is cancelled and not queued`() throws {
    var rig = Rig()
    rig.ready(credit: 2)
    _ = try rig.square()
    let next = try rig.square()
    _ = rig.cancel(next)
    try rig.lose(next, .notStarted)
    #expect(rig.store[next]?.state == .cancelled)
  }

  @Test func `a cancel after the time limit wins and ends the worker only once`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square(JobOptions(timeout: 100, attemptsMax: 2))
    #expect(rig.pass(100).ended.count == 1)
    #expect(rig.handle(.cancelReceived(number, grace: 5, request: 1)).ended.isEmpty)
    try rig.lose(number, .workerExited(exitcode: -15))
    #expect(rig.store[number]?.state == .cancelled)
  }

  @Test(arguments: [false, true])
  func `a cancel request outlives a crash`(isNextInLine: Bool) throws {
    var rig = Rig()
    rig.ready(credit: 2)
    if isNextInLine { _ = try rig.square() }
    let number = try rig.square()
    _ = rig.cancel(number)
    let records = try rig.crash()
    #expect(records.contains(.jobEnded(number, .cancelled, at: Rig.start)))
    #expect(rig.store[number]?.state == .cancelled)
    #expect(rig.store[number]?.isCancelRequested == false)
    #expect(rig.ready(credit: 9).map(\.job).contains(number) == false)
  }

  @Test(arguments: [Loss.interrupted, .notStarted, .protocolBroken("what")])
  func `a cancel request outlives every loss, also while it drains`(loss: Loss) throws {
    for isDraining in [false, true] {
      var rig = Rig()
      rig.ready()
      let number = try rig.square(JobOptions(attemptsMax: 2, onInterrupt: .fail))
      _ = rig.cancel(number)
      if isDraining {
        rig.handle(.drainRequested)
        rig.handle(.drainGraceEnded)
      }
      try rig.lose(number, loss)
      #expect(rig.store[number]?.state == .cancelled)
    }
  }

  @Test func `final and unknown jobs are not cancelled`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    try rig.succeed(number)
    #expect(rig.cancel(number) == .refused(.notCancellable(.succeeded)))
    #expect(rig.cancel(99) == .refused(.unknownJob))
    #expect(rig.cancel(0) == .refused(.unknownJob))
    #expect(rig.cancel(.max) == .refused(.unknownJob))
    #expect(rig.forget(.max) == .refused(.unknownJob))
  }
}
