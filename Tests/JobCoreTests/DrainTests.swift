import Testing

@testable import JobCore

/// The end of the service: take no more work, let what runs finish, say so once.
@Suite struct DrainTests {
  @Test func `with nothing running the drain ends at once, and once`() throws {
    var rig = Rig()
    let queued = try rig.square()
    #expect(rig.handle(.drainRequested).effects == [.finishDrain])
    #expect(rig.handle(.drainRequested).isEmpty)
    #expect(rig.ready().isEmpty)
    #expect(rig.handle(.drainGraceEnded).isEmpty)
    #expect(rig.cancel(queued) == .cancelled(queued))
    #expect(rig.pass(1_000).isEmpty)
  }

  /// How the last running job may leave.
  enum Leaving: String, CaseIterable {
    case returned, raised, retried, notStarted, shutdown, interrupted, cancelled, overtime
  }

  @Test(arguments: Leaving.allCases)
  func `the drain ends when the last running job is gone, whichever way`(
    leaving: Leaving
  ) throws {
    var rig = Rig()
    rig.ready(0)
    rig.ready(1)
    let first = try rig.square()
    let last = try rig.square(
      JobOptions(timeout: 100, attemptsMax: leaving == .retried ? 2 : 1))
    let queued = try rig.square()
    #expect(rig.handle(.drainRequested).isEmpty)
    #expect(try rig.succeed(first).inWords == "ended(succeeded) > ended")
    let turn: Turn
    switch leaving {
    case .returned: turn = try rig.succeed(last)
    case .raised, .retried: turn = try rig.raise(last)
    case .notStarted: turn = try rig.lose(last, .notStarted)
    case .shutdown:
      rig.handle(.drainGraceEnded)
      turn = try rig.lose(last, .workerExited(exitcode: -9))
    case .interrupted: turn = try rig.lose(last, .interrupted)
    case .cancelled:
      _ = rig.cancel(last)
      turn = try rig.lose(last, .workerExited(exitcode: -15))
    case .overtime:
      rig.pass(100)
      turn = try rig.lose(last, .workerExited(exitcode: -15))
    }
    let isFinal = rig.store[last]?.state.isFinal == true
    #expect(turn.effects == [isFinal ? .jobEnded(last) : .jobChanged(last), .finishDrain])
    #expect(rig.store[queued]?.state == .queued)
    for event in [Event.drainRequested, .timePassed, .storageChanged(isWritable: true)] {
      #expect(rig.handle(event).isEmpty)
    }
    #expect(rig.pass(10_000).effects.contains(.finishDrain) == false)
    try rig.crash()
    #expect(rig.ready().isEmpty == false, "the next start works on")
  }

  @Test func `a drain with a full line waits for all that slots hold and no more`() throws {
    var rig = Rig()
    rig.ready(credit: 2)
    for _ in 0..<5 { _ = try rig.square() }
    rig.handle(.drainRequested)
    #expect(try rig.succeed(1).inWords == "ended(succeeded) > ended")
    #expect(try rig.succeed(2).inWords == "ended(succeeded) > ended finishDrain")
    #expect(rig.store.count(of: .queued) == 3)
    #expect(rig.engine.isDraining)
  }
}
