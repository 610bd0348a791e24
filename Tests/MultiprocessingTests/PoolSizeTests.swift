import Glibc
import TestSupport
import Testing

@testable import Multiprocessing

/// Pools that begin whole or not at all, and pools whose size changes.
@Suite struct PoolSizeTests {
  private func whole(_ processes: Int) -> Played {
    Played(processes) { $0.startsWhole = true }
  }

  private func starts(of pool: Played) -> [PoolWorkerID] {
    pool.takeActions().compactMap { action in
      if case .start(let worker, _) = action { worker } else { nil }
    }
  }

  private func makeReady(_ worker: PoolWorkerID, of pool: Played) {
    pool.state.started(worker, at: pool.time)
    pool.state.saidHello(worker, at: pool.time)
    pool.state.becameReady(worker, at: pool.time)
  }

  // MARK: Beginnings

  @Test func `a pool that starts whole tells so once, when all of its workers are ready`() {
    let pool = whole(2)
    let workers = starts(of: pool)
    makeReady(workers[0], of: pool)
    #expect(pool.takeReports() == [.slotReady(slot: 0, credit: 1)])
    makeReady(workers[1], of: pool)
    #expect(pool.takeReports() == [.slotReady(slot: 1, credit: 1), .poolStarted])
    // From then on it is as any other.
    pool.state.exited(workers[1], .signalled(9), claimed: 0, at: pool.time)
    #expect(pool.state.brokenReason == nil)
    pool.time += 1_000_000_000
    pool.state.deadlineReached(at: pool.time)
    pool.readyAll()
    #expect(pool.takeReports().contains(.poolStarted) == false)
  }

  @Test func `its first worker that fails is the end of all`() {
    let pool = whole(2)
    let workers = starts(of: pool)
    makeReady(workers[0], of: pool)
    pool.state.started(workers[1], at: pool.time)
    pool.state.saidHello(workers[1], at: pool.time)
    pool.state.initializerFailed(workers[1], message: "no", at: pool.time)
    pool.state.exited(workers[1], .exited(1), claimed: 0, at: pool.time)
    let reason = "the initializer failed: no (exit status 1)"
    #expect(pool.state.brokenReason?.hasPrefix("the initializer failed: no") == true, "\(reason)")
    #expect(pool.takeActions() == [.stop(worker: workers[0])])
    pool.state.exited(workers[0], .exited(0), claimed: 0, at: pool.time)
    #expect(pool.state.isEnded && pool.takeReports().last == .poolEnded)
  }

  @Test func `so is a start that the machine is short of something for`() {
    let pool = whole(2)
    let workers = starts(of: pool)
    pool.state.startFailed(
      workers[0], StartFailure(stage: .fork, errorNumber: EAGAIN), at: pool.time)
    #expect(pool.state.brokenReason != nil)
  }

  @Test func `what cannot be started is named where somebody knows its name`() {
    let failure = StartFailure(stage: .workingFolder, errorNumber: ENOENT)
    for (words, reason) in [
      (nil, "a worker cannot be started: working folder: No such file or directory"),
      ("the folder '/x' is none", "a worker cannot be started: the folder '/x' is none"),
    ] {
      let pool = whole(1)
      pool.state.startFailed(starts(of: pool)[0], failure, words: words, at: pool.time)
      #expect(pool.state.brokenReason == reason)
    }
  }

  @Test func `a worker that is killed for a fault is listed with it`() {
    let pool = whole(1)
    let worker = starts(of: pool)[0]
    makeReady(worker, of: pool)
    #expect(pool.state.summary(of: worker, process: 7, startedAt: 0)?.fault == nil)
    pool.state.misbehaved(worker, reason: "the worker spoke in riddles", at: pool.time)
    let summary = pool.state.summary(of: worker, process: 7, startedAt: 0)
    #expect(summary?.fault == "the worker spoke in riddles; it was killed")
    #expect(summary?.isEndedByPool == false)
  }

  @Test func `so is a worker that dies before the others are ready`() {
    let pool = whole(2)
    let workers = starts(of: pool)
    makeReady(workers[0], of: pool)
    pool.state.exited(workers[0], .exited(3), claimed: 0, at: pool.time)
    #expect(pool.state.brokenReason?.hasPrefix("a worker ended before all were ready") == true)
  }

  @Test func `the loss of the fork server is nobody's failure`() {
    let pool = whole(2)
    let workers = starts(of: pool)
    makeReady(workers[0], of: pool)
    for worker in workers { pool.state.exited(worker, .unknown, claimed: 0, at: pool.time) }
    for worker in starts(of: pool) { makeReady(worker, of: pool) }
    #expect(pool.takeReports().last == .poolStarted)
  }

  @Test func `nor is it that of workers whose start it took along, unless it goes on and on`() {
    let lost = StartFailure(stage: .forkServerLost, errorNumber: EPIPE)
    let pool = whole(2)
    func lose() {
      for worker in starts(of: pool) { pool.state.startFailed(worker, lost, at: pool.time) }
      pool.time += 60_000_000_000
      pool.state.deadlineReached(at: pool.time)
    }
    lose()
    for worker in starts(of: pool) { makeReady(worker, of: pool) }
    #expect(pool.takeReports().last == .poolStarted)
    let never = whole(2)
    for _ in 0..<6 {
      for worker in starts(of: never) { never.state.startFailed(worker, lost, at: never.time) }
      never.time += 60_000_000_000
      never.state.deadlineReached(at: never.time)
    }
    #expect(never.state.brokenReason != nil)
  }

  // MARK: Sizes

  @Test func `however often a pool is resized, it has no more processes than it was wanted to`() {
    let pool = Played(4)
    var living = Set(pool.readyAll())
    for (call, slot) in (0..<4).enumerated() {
      _ = pool.state.assign(UInt64(call + 1), to: slot, at: pool.time)
    }
    _ = pool.takeReports()
    for _ in 0..<20 {
      pool.state.resize(to: 1, at: pool.time)
      pool.state.resize(to: 4, at: pool.time)
      for action in pool.takeActions() {
        if case .start(let worker, _) = action { living.insert(worker) }
        if case .revoke(let worker, _) = action {
          pool.state.revoked(worker, claimed: 1, at: pool.time)
        }
      }
    }
    #expect(living.count == 4 && pool.state.slots.count == 4)
  }

  @Test func `a slot that comes back has a worker when the one before it is gone`() {
    let pool = Played(2)
    let workers = pool.readyAll()
    _ = pool.state.assign(1, to: 1, at: pool.time)
    pool.state.resize(to: 1, at: pool.time)
    pool.state.revoked(workers[1], claimed: 1, at: pool.time)
    pool.state.resize(to: 2, at: pool.time)
    #expect(starts(of: pool) == [], "its worker still runs a call")
    #expect(pool.answer(workers[1], 1))
    pool.state.exited(workers[1], .exited(0), claimed: 1, at: pool.time)
    let successor = starts(of: pool)
    #expect(successor.count == 1)
    _ = pool.takeReports()
    makeReady(successor[0], of: pool)
    #expect(pool.takeReports() == [.slotReady(slot: 1, credit: 1)])
  }

  @Test func `a pool of programs is resized, and what runs beyond goes on`() {
    var pool = ProgramState(ProgramPoolSettings(processes: 2, folder: "/nowhere"))
    func reports() -> [ProgramAction] {
      defer { pool.clearActions() }
      return pool.actions
    }
    pool.begin()
    _ = reports()
    pool.assign(1, to: 1, at: 5)
    pool.started(1, process: 101)
    _ = reports()
    pool.resize(to: 1)
    #expect(reports() == [.report(.slotReady(slot: 1, credit: 0))])
    #expect(pool.slots[1].run != nil && pool.room(in: 0) == 1)
    pool.resize(to: 3)
    #expect(
      reports() == [
        .report(.slotReady(slot: 1, credit: 1)), .report(.slotReady(slot: 2, credit: 1)),
      ])
    #expect(pool.room(in: 1) == 0, "it has what it had")
    #expect(pool.processes == 3)
  }
}
