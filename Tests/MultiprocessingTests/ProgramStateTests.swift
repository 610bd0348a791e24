import Glibc
import TestSupport
import Testing

@testable import Multiprocessing

/// A pool whose programs are played by the test.
private final class PlayedPrograms {
  var state: ProgramState
  var time: UInt64 = 1_000_000_000

  init(_ processes: Int) {
    var settings = ProgramPoolSettings(processes: processes, folder: "/nowhere")
    settings.drainMax = 1000
    settings.backOffMin = 100
    settings.backOffMax = 400
    settings.sweepMax = 5000
    state = ProgramState(settings)
    state.begin()
  }

  func takeActions() -> [ProgramAction] {
    defer { state.clearActions() }
    return state.actions
  }

  /// Assigns and starts a call.
  func run(_ call: UInt64, in slot: Int) {
    state.assign(call, to: slot, at: time)
    state.started(slot, process: 100 + Int32(slot))
    state.clearActions()
  }

  func settle(isSweepPending: Bool, after delay: UInt64 = 0) -> Bool {
    state.settle(isSweepPending: isSweepPending, at: time + delay)
  }

  func exit(_ slot: Int, _ status: Multiprocessing.ExitStatus) {
    state.exited(slot, status, use: ResourceUse(), at: time)
  }
}

@Suite struct ProgramStateTests {
  private let short = StartFailure(stage: .fork, errorNumber: EAGAIN)

  private func verdict(
    _ status: Multiprocessing.ExitStatus, _ change: (inout ProgramVerdict) -> Void = { _ in }
  ) -> ProgramVerdict {
    var verdict = ProgramVerdict()
    verdict.status = status
    change(&verdict)
    return verdict
  }

  @Test func `a run is over when its process and its pipes are`() {
    let pool = PlayedPrograms(2)
    #expect(
      pool.takeActions() == [
        .report(.slotReady(slot: 0, credit: 1)), .report(.slotReady(slot: 1, credit: 1)),
      ])
    pool.state.assign(7, to: 1, at: pool.time)
    #expect(pool.state.room(in: 1) == 0 && pool.state.room(in: 0) == 1)
    pool.state.started(1, process: 50)
    #expect(pool.takeActions() == [.report(.began(call: 7, process: 50))])
    pool.state.pipeEnded(1)
    pool.exit(1, .exited(0))
    #expect(pool.takeActions() == [])
    #expect(pool.state.nextDeadline == pool.time + 1000)
    pool.state.pipeEnded(1)
    #expect(pool.takeActions() == [.conclude(slot: 1, call: 7, verdict(.exited(0)))])
    #expect(pool.state.room(in: 1) == 1 && pool.state.nextDeadline == nil)
  }

  @Test func `pipes that stay open are not waited for beyond the bound`() {
    let pool = PlayedPrograms(1)
    pool.run(7, in: 0)
    pool.exit(0, .exited(3))
    pool.state.end(7, grace: 0, at: pool.time)  // Its process is gone: nothing to end.
    pool.time += 1000
    pool.state.deadlineReached(at: pool.time)
    #expect(
      pool.takeActions() == [
        .conclude(slot: 0, call: 7, verdict(.exited(3)) { $0.isCutOff = true })
      ])
  }

  @Test func `the ladder: a signal, the grace, and SIGKILL`() {
    let pool = PlayedPrograms(1)
    pool.run(7, in: 0)
    pool.state.end(7, grace: 500, at: pool.time)
    pool.state.end(7, grace: 300, at: pool.time)
    pool.state.end(7, grace: 900, at: pool.time)
    #expect(pool.takeActions() == [.terminate(slot: 0)])
    #expect(pool.state.nextDeadline == pool.time + 300)
    pool.time += 300
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == [.kill(slot: 0)])
    pool.state.end(7, grace: 0, at: pool.time)
    pool.state.deadlineReached(at: pool.time + 1_000_000)
    #expect(pool.takeActions() == [])
    #expect(pool.state.nextDeadline == nil)
    pool.state.pipeEnded(0)
    pool.state.pipeEnded(0)
    pool.exit(0, .signalled(9))
    #expect(
      pool.takeActions() == [
        .conclude(slot: 0, call: 7, verdict(.signalled(9)) { $0.isEndedByPool = true })
      ])
  }

  @Test func `a call whose start is under way is ended like one that runs`() {
    let pool = PlayedPrograms(1)
    pool.state.assign(7, to: 0, at: pool.time)
    pool.state.end(7, grace: 500, at: pool.time)
    #expect(pool.takeActions().last == .terminate(slot: 0))
    pool.state.startFailed(
      0, StartFailure(stage: .exec, errorNumber: ENOENT), at: pool.time)
    #expect(
      pool.takeActions() == [
        .conclude(
          slot: 0, call: 7,
          verdict(.unknown) {
            $0.isEndedByPool = true
            $0.startFailure = StartFailure(stage: .exec, errorNumber: ENOENT)
          })
      ])
  }

  @Test func `too much output kills, once, whatever was wished before`() {
    let pool = PlayedPrograms(1)
    pool.run(7, in: 0)
    pool.state.end(7, grace: 500, at: pool.time)
    pool.state.outputOverflowed(0)
    pool.state.pipeEnded(0)
    #expect(pool.takeActions() == [.terminate(slot: 0), .kill(slot: 0)])
    pool.state.end(7, grace: 0, at: pool.time)
    #expect(pool.takeActions() == [])
    #expect(pool.state.nextDeadline == nil)
  }

  @Test func `a machine short of something is left alone for a while, ever longer`() {
    let pool = PlayedPrograms(2)
    _ = pool.takeActions()
    for pause: UInt64 in [100, 200, 400, 400] {
      pool.state.assign(1, to: 0, at: pool.time)
      pool.state.assign(2, to: 1, at: pool.time)
      pool.state.startFailed(0, short, at: pool.time)
      pool.state.startFailed(1, short, at: pool.time)  // Together they count once.
      #expect(
        pool.takeActions() == [
          .report(.slotReady(slot: 0, credit: 0)), .report(.slotReady(slot: 1, credit: 0)),
          .giveBack(slot: 0, call: 1, short), .giveBack(slot: 1, call: 2, short),
        ])
      #expect(pool.state.room(in: 0) == 0)
      #expect(pool.state.nextDeadline == pool.time + pause)
      pool.state.deadlineReached(at: pool.time + pause - 1)
      #expect(pool.takeActions() == [])
      pool.time += pause
      pool.state.deadlineReached(at: pool.time)
      #expect(
        pool.takeActions() == [
          .report(.slotReady(slot: 0, credit: 1)), .report(.slotReady(slot: 1, credit: 1)),
        ])
    }
    pool.run(1, in: 0)
    pool.state.assign(2, to: 1, at: pool.time)
    pool.state.startFailed(1, short, at: pool.time)
    #expect(pool.state.nextDeadline == pool.time + 100)  // A start that succeeded starts it over.
  }

  @Test func `the end waits for the last run, and a while for the sweep`() {
    let pool = PlayedPrograms(2)
    pool.run(7, in: 0)
    pool.state.terminate(grace: 100, at: pool.time)
    #expect(
      pool.takeActions() == [
        .report(.slotReady(slot: 0, credit: 0)), .report(.slotReady(slot: 1, credit: 0)),
        .terminate(slot: 0),
      ])
    #expect(!pool.settle(isSweepPending: false))
    pool.exit(0, .signalled(15))
    pool.state.pipeEnded(0)
    pool.state.pipeEnded(0)
    _ = pool.takeActions()
    #expect(!pool.settle(isSweepPending: true))
    #expect(pool.state.nextDeadline == pool.time + 5000)
    #expect(!pool.settle(isSweepPending: true, after: 4999))
    let before = pool.state
    #expect(pool.settle(isSweepPending: false, after: 1))
    #expect(pool.takeActions() == [.report(.poolEnded)])
    pool.state = before
    #expect(pool.settle(isSweepPending: true, after: 5000))
    #expect(pool.takeActions() == [.report(.poolEnded)])
    #expect(pool.state.nextDeadline == nil)
    #expect(!pool.settle(isSweepPending: true, after: 5001))
  }

  @Test func `news of what is gone changes nothing`() {
    let pool = PlayedPrograms(1)
    _ = pool.takeActions()
    let before = pool.state
    pool.state.started(0, process: 5)
    pool.exit(0, .exited(0))
    pool.state.pipeEnded(0)
    pool.state.outputOverflowed(0)
    pool.state.startFailed(0, short, at: pool.time)
    pool.state.end(7, grace: 0, at: pool.time)
    pool.state.deadlineReached(at: .max)
    #expect(pool.state == before)
  }

  /// Whatever comes in whatever order, each call is over exactly once, and none is forgotten.
  @Test func `every call is over exactly once`() {
    let seed = testSeed()
    var random = SplitMix(seed: seed)
    let pool = PlayedPrograms(3)
    var open: [UInt64: Int] = [:]
    var last: UInt64 = 0
    func settle() {
      for action in pool.takeActions() {
        switch action {
        case .giveBack(let slot, let call, _), .conclude(let slot, let call, _):
          #expect(open.removeValue(forKey: call) == slot, "seed \(seed)")
        default: break
        }
      }
    }
    for _ in 0..<20_000 {
      let slot = Int.random(in: 0..<3, using: &random)
      pool.time += UInt64.random(in: 0...50, using: &random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0 where pool.state.room(in: slot) == 1:
        last += 1
        open[last] = slot
        pool.state.assign(last, to: slot, at: pool.time)
      case 1: pool.state.started(slot, process: 9)
      case 2: pool.state.startFailed(slot, short, at: pool.time)
      case 3 where pool.state.slots[slot].run?.openPipes ?? 0 > 0: pool.state.pipeEnded(slot)
      case 4: pool.exit(slot, .exited(0))
      case 5: pool.state.end(last, grace: 60, at: pool.time)
      case 6: pool.state.outputOverflowed(slot)
      default:
        if let due = pool.state.nextDeadline, due <= pool.time {
          pool.state.deadlineReached(at: pool.time)
          #expect(pool.state.nextDeadline ?? .max > pool.time, "it spins; seed \(seed)")
        }
      }
      settle()
      #expect(
        pool.state.slots.compactMap { $0.run?.call }.sorted() == open.keys.sorted(), "seed \(seed)")
    }
    #expect(last > 500, "seed \(seed)")
  }
}
