import Testing

@testable import JobCore

/// Every state of a job against every event that can meet it, with what is expected written out.
@Suite struct EventTableTests {
  /// Where the job stands when the event comes. It has a time limit of 1,000 ms and two attempts.
  enum Situation: String, CaseIterable {
    case scheduled, queued, running
    /// Second in its slot's line; another job runs before it, so this one is job 2.
    case inLine
    /// Running, and a cancel request has come.
    case cancelling
    /// Running, and its time limit has passed.
    case overtime
    /// Running, and it has passed a limit of its task.
    case beyondLimit
    case succeeded, failed, cancelled, forgotten
  }

  enum Kind: String, CaseIterable {
    case cancel, forget, replay, mismatch, returned, raised, decoding, notStarted, exited
    case signalled, protocolBroken, interrupted, bytes, limit, outOfMemory, program, slotReady,
      slotGone, announced, broke, progressed
    case early, due, unwritable, writable, drain, graceEnded
  }

  /// `situation event: records > effects`, one line per pair; a pair without a line does nothing.
  static let expected = """
    scheduled cancel: ended(cancelled) > ended cancelled
    scheduled forget: > refused(notFinal)
    scheduled replay: > replay
    scheduled mismatch: > refused(mismatch)
    scheduled due: queued started > changed dispatch changed
    scheduled drain: > finishDrain
    queued cancel: ended(cancelled) > ended cancelled
    queued forget: > refused(notFinal)
    queued replay: > replay
    queued mismatch: > refused(mismatch)
    queued slotReady: started > dispatch changed
    queued drain: > finishDrain
    running cancel: cancelRequested > changed endCall(5000) cancelled
    running forget: > refused(notFinal)
    running replay: > replay
    running mismatch: > refused(mismatch)
    running returned: ended(succeeded) > ended
    running raised: attemptFailed(raised) > changed
    running decoding: ended(argument_decoding) > ended
    running notStarted: revoked(not_started) started > changed dispatch changed
    running exited: attemptFailed(exited) > changed
    running signalled: attemptFailed(signalled) > changed
    running protocolBroken: attemptFailed(worker_lost) > changed
    running interrupted: revoked(interrupted) started > changed dispatch changed
    running due: > endCall(1000)
    running bytes: ended(succeeded) > ended
    running limit: > endCall(0)
    running outOfMemory: attemptFailed(oom_killed) > changed
    running program: attemptFailed(exited) > changed
    inLine cancel: cancelRequested > changed cancelled
    inLine forget: > refused(notFinal)
    inLine replay: > replay
    inLine mismatch: > refused(mismatch)
    inLine returned: ended(succeeded) > ended
    inLine raised: attemptFailed(raised) > changed
    inLine decoding: ended(argument_decoding) > ended
    inLine notStarted: revoked(not_started) started > changed dispatch changed
    inLine exited: attemptFailed(exited) > changed
    inLine signalled: attemptFailed(signalled) > changed
    inLine protocolBroken: attemptFailed(worker_lost) > changed
    inLine interrupted: revoked(interrupted) started > changed dispatch changed
    inLine bytes: ended(succeeded) > ended
    inLine outOfMemory: attemptFailed(oom_killed) > changed
    inLine program: attemptFailed(exited) > changed
    cancelling cancel: > cancelled
    cancelling bytes: ended(cancelled) > ended
    cancelling outOfMemory: ended(cancelled) > ended
    cancelling program: ended(cancelled) > ended
    cancelling forget: > refused(notFinal)
    cancelling replay: > replay
    cancelling mismatch: > refused(mismatch)
    cancelling returned: ended(cancelled) > ended
    cancelling raised: ended(cancelled) > ended
    cancelling decoding: ended(cancelled) > ended
    cancelling notStarted: ended(cancelled) > ended
    cancelling exited: ended(cancelled) > ended
    cancelling signalled: ended(cancelled) > ended
    cancelling protocolBroken: ended(cancelled) > ended
    cancelling interrupted: ended(cancelled) > ended
    overtime cancel: cancelRequested > changed cancelled
    overtime forget: > refused(notFinal)
    overtime replay: > replay
    overtime mismatch: > refused(mismatch)
    overtime bytes: attemptFailed(timed_out) > changed
    overtime outOfMemory: attemptFailed(timed_out) > changed
    overtime program: attemptFailed(timed_out) > changed
    beyondLimit cancel: cancelRequested > changed cancelled
    beyondLimit forget: > refused(notFinal)
    beyondLimit replay: > replay
    beyondLimit mismatch: > refused(mismatch)
    beyondLimit returned: ended(memory_limit) > ended
    beyondLimit raised: ended(memory_limit) > ended
    beyondLimit decoding: ended(memory_limit) > ended
    beyondLimit notStarted: ended(memory_limit) > ended
    beyondLimit exited: ended(memory_limit) > ended
    beyondLimit signalled: ended(memory_limit) > ended
    beyondLimit protocolBroken: ended(memory_limit) > ended
    beyondLimit interrupted: ended(memory_limit) > ended
    beyondLimit bytes: ended(memory_limit) > ended
    beyondLimit outOfMemory: ended(memory_limit) > ended
    beyondLimit program: ended(memory_limit) > ended
    overtime returned: attemptFailed(timed_out) > changed
    overtime raised: attemptFailed(timed_out) > changed
    overtime decoding: attemptFailed(timed_out) > changed
    overtime notStarted: attemptFailed(timed_out) > changed
    overtime exited: attemptFailed(timed_out) > changed
    overtime signalled: attemptFailed(timed_out) > changed
    overtime protocolBroken: attemptFailed(timed_out) > changed
    overtime interrupted: attemptFailed(timed_out) > changed
    succeeded cancel: > refused(succeeded)
    succeeded forget: forgotten > forgotten
    succeeded replay: > replay
    succeeded mismatch: > refused(mismatch)
    succeeded drain: > finishDrain
    failed cancel: > refused(failed)
    failed forget: forgotten > forgotten
    failed replay: > replay
    failed mismatch: > refused(mismatch)
    failed drain: > finishDrain
    cancelled cancel: > refused(cancelled)
    cancelled forget: forgotten > forgotten
    cancelled replay: > replay
    cancelled mismatch: > refused(mismatch)
    cancelled drain: > finishDrain
    forgotten cancel: > refused(unknownJob)
    forgotten forget: > refused(unknownJob)
    forgotten replay: submitted started > accepted dispatch changed
    forgotten mismatch: submitted started > accepted dispatch changed
    forgotten drain: > finishDrain
    """

  static let table: [String: String] = {
    var table: [String: String] = [:]
    for line in expected.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
      precondition(table.updateValue(parts[1], forKey: parts[0]) == nil, "\(parts[0]) twice")
    }
    return table
  }()

  static func submission(args: String = "[7]") -> Submission {
    Submission(
      task: "square", args: args, id: JobID("job-1"),
      options: JobOptions(timeout: 1_000, attemptsMax: 2))
  }

  /// A rig in which the job stands as said, and the call of its last attempt.
  static func rig(_ situation: Situation) throws -> (rig: Rig, call: CallID) {
    var rig = Rig()
    if situation == .inLine {
      rig.ready(credit: 2)
      let other = try rig.square()
      let number = try rig.accept(submission())
      #expect([other, number] == [1, 2])
      return (rig, try #require(rig.call(of: number)))
    }
    let number = try rig.accept(submission())
    if situation == .queued { return (rig, CallID(rawValue: 1 << 24)) }
    rig.ready()
    let call = try #require(rig.call(of: number))
    switch situation {
    case .scheduled: try rig.raise(number)
    case .cancelling: _ = rig.cancel(number)
    case .overtime: rig.pass(1_000)
    case .beyondLimit: rig.handle(.callPassedLimit(call, .memory(limit: 1, used: 2)))
    case .succeeded: try rig.succeed(number)
    case .failed: try rig.raise(number, .argumentDecoding)
    case .cancelled:
      _ = rig.cancel(number)
      try rig.lose(number, .workerExited(exitcode: -15))
    case .forgotten:
      try rig.succeed(number)
      _ = rig.forget(number)
    case .queued, .running, .inLine: break
    }
    return (rig, call)
  }

  static func event(_ kind: Kind, _ number: JobNumber, _ call: CallID) -> Event {
    let slot = SlotID(pool: 0, index: 0)
    return switch kind {
    case .cancel: .cancelReceived(number, grace: 5_000, request: 77)
    case .forget: .forgetReceived(number, request: 77)
    case .replay: .submissionReceived(submission(), request: 77)
    case .mismatch: .submissionReceived(submission(args: "[8]"), request: 77)
    case .returned: .callReturned(call, result: "49")
    case .raised: .callRaised(call, .plain)
    case .decoding: .callRaised(call, RaisedError(code: .argumentDecoding, type: "", message: ""))
    case .notStarted: .callLost(call, .notStarted)
    case .exited: .callLost(call, .workerExited(exitcode: 3))
    case .signalled: .callLost(call, .workerExited(exitcode: -9))
    case .protocolBroken: .callLost(call, .protocolBroken("what"))
    case .interrupted: .callLost(call, .interrupted)
    case .progressed: .callProgressed(call, Progress(value: "0.5"))
    case .bytes: .callReturnedBytes(call, BytesResult(contentType: "image/png", base64: ""))
    case .limit: .callPassedLimit(call, .cpu(limit: 1, used: 2))
    case .outOfMemory: .callLost(call, .outOfMemory(exitcode: -9))
    case .program:
      .callLost(call, .programFailed(RaisedError(code: .exited, type: "", message: "")))
    case .slotReady: .slotReady(slot, credit: 1, pid: 9)
    case .slotGone: .slotGone(slot)
    case .announced: .poolAnnounced(pool: PoolID(0), tasks: ["square"])
    case .broke: .poolBroke(pool: PoolID(0), reason: "it cannot")
    case .early, .due: .timePassed
    case .unwritable: .storageChanged(isWritable: false)
    case .writable: .storageChanged(isWritable: true)
    case .drain: .drainRequested
    case .graceEnded: .drainGraceEnded
    }
  }

  @Test(arguments: Situation.allCases, Kind.allCases)
  func `each event meets each state as the table says`(situation: Situation, kind: Kind) throws {
    var (rig, call) = try EventTableTests.rig(situation)
    let number: JobNumber = situation == .inLine ? 2 : 1
    if kind == .early { rig.wait(999) }
    if kind == .due { rig.wait(1_000) }
    let before = rig.store
    let turn = rig.handle(EventTableTests.event(kind, number, call))
    let expected = EventTableTests.table["\(situation) \(kind)"] ?? " >"
    #expect(turn.inWords == expected.trimmingSpaces, "\(situation) \(kind)")
    var replayed = before
    for record in turn.records { try replayed.apply(record) }
    #expect(replayed == rig.store)
  }

  @Test func `the table names only pairs that exist`() {
    let pairs = Situation.allCases.flatMap { situation in
      Kind.allCases.map { "\(situation) \($0)" }
    }
    #expect(EventTableTests.table.keys.filter { !pairs.contains($0) } == [])
  }
}
