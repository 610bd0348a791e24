import Testing

@testable import Multiprocessing

/// A pool whose workers are played by the test.
final class Played {
  var state: PoolState
  var time: UInt64 = 1_000_000_000

  init(_ processes: Int, configure: (inout PoolSettings) -> Void = { _ in }) {
    var settings = PoolSettings(processes: processes)
    configure(&settings)
    state = PoolState(settings)
    state.begin(at: time)
  }

  func takeActions() -> [PoolAction] {
    state.checkInvariants()
    defer { state.actions.removeAll() }
    return state.actions
  }

  func takeReports() -> [PoolReport] {
    state.checkInvariants()
    defer { state.reports.removeAll() }
    return state.reports
  }

  /// Takes the start actions that are due and makes their workers ready.
  @discardableResult
  func readyAll() -> [PoolWorkerID] {
    takeActions().compactMap { action in
      guard case .start(let worker, _) = action else { return nil }
      state.started(worker, at: time)
      state.saidHello(worker, at: time)
      state.becameReady(worker, at: time)
      return worker
    }
  }

  func answer(
    _ worker: PoolWorkerID, _ call: UInt64, microseconds: UInt32 = 5000, isRetiring: Bool = false
  ) -> Bool {
    state.answered(
      worker, call: call, .returned("1"), microseconds: microseconds, isRetiring: isRetiring,
      at: time)
  }
}

@Suite struct PoolStateTests {
  @Test func `a worker that is ready gives its slot credit for one call`() {
    let pool = Played(2)
    let workers = pool.readyAll()
    #expect(workers.count == 2)
    #expect(
      pool.takeReports() == [.slotReady(slot: 0, credit: 1), .slotReady(slot: 1, credit: 1)])
    let (worker, ordinal) = pool.state.assign(7, to: 0, at: pool.time)
    #expect(worker == workers[0] && ordinal == 1)
    #expect(pool.answer(worker, 7))
    #expect(pool.takeReports() == [.callEnded(call: 7, outcome: .returned("1"))])
  }

  @Test func `credit doubles with short calls and falls to one with a long one`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    var credits: [Int] = []
    for call in UInt64(1)...8 {
      _ = pool.state.assign(call, to: 0, at: pool.time)
      // Neither short nor long: nothing changes.
      let microseconds: UInt32 = call == 3 ? 500 : call == 8 ? 1000 : 10
      #expect(pool.answer(worker, call, microseconds: microseconds))
      credits.append(pool.state.slots[0].credit)
    }
    #expect(credits == [2, 4, 4, 8, 16, 32, 32, 1])
  }

  @Test func `credit is bounded by what the calls would take together`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    var credits: [Int] = []
    for (call, microseconds) in zip(UInt64(1)..., [10, 200, 200, 200, 200, 0, 0] as [UInt32]) {
      _ = pool.state.assign(call, to: 0, at: pool.time)
      #expect(pool.answer(worker, call, microseconds: microseconds))
      credits.append(pool.state.slots[0].credit)
    }
    #expect(credits == [2, 4, 8, 10, 10, 20, 32])
  }

  @Test func `a death loses the claimed call and gives the others back`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    #expect(pool.answer(worker, 1, microseconds: 1))
    _ = pool.state.assign(2, to: 0, at: pool.time)
    _ = pool.state.assign(3, to: 0, at: pool.time)
    _ = pool.takeReports()
    pool.state.exited(worker, .signalled(9), claimed: 2, at: pool.time)
    #expect(
      pool.takeReports() == [
        .slotReady(slot: 0, credit: 0),
        .callLost(call: 2, exitStatus: .signalled(9), started: true, reason: nil),
        .callLost(call: 3, exitStatus: .signalled(9), started: false, reason: nil),
      ], "no credit before what is lost, or it would go there again")
    #expect(pool.readyAll().count == 1, "the slot is refilled at once")
  }

  @Test func `without claims the first unanswered call is the one that died`() {
    let pool = Played(1, configure: { $0.hasClaims = false })
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    #expect(pool.answer(worker, 1, microseconds: 1))
    _ = pool.state.assign(2, to: 0, at: pool.time)
    _ = pool.state.assign(3, to: 0, at: pool.time)
    _ = pool.takeReports()
    pool.state.exited(worker, .exited(1), claimed: nil, at: pool.time)
    #expect(
      pool.takeReports().suffix(2) == [
        .callLost(call: 2, exitStatus: .exited(1), started: true, reason: nil),
        .callLost(call: 3, exitStatus: .exited(1), started: false, reason: nil),
      ])
  }

  @Test func `a call that was sent but not claimed is not lost with an idle worker`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    _ = pool.takeReports()
    pool.state.exited(worker, .signalled(9), claimed: 0, at: pool.time)
    #expect(
      pool.takeReports().last
        == .callLost(call: 1, exitStatus: .signalled(9), started: false, reason: nil))
  }

  @Test func `ending a running call climbs the ladder`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    pool.state.end(1, grace: 100, at: pool.time)
    #expect(pool.takeActions() == [.revoke(worker: worker, last: 1)])
    pool.state.revoked(worker, claimed: 1, at: pool.time)
    #expect(
      pool.takeActions() == [.terminate(worker: worker), .revoke(worker: worker, last: 1)])
    #expect(pool.state.nextDeadline == pool.time + 100)
    pool.time += 100
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions().first == .kill(worker: worker))
    pool.state.exited(worker, .signalled(9), claimed: 1, at: pool.time)
    #expect(
      pool.takeReports().contains(
        .callLost(call: 1, exitStatus: .signalled(9), started: true, reason: nil)))
    #expect(pool.readyAll().count == 1)
  }

  @Test func `ending a call that has run does not end the one that runs now`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    _ = pool.answer(worker, 1, microseconds: 1)
    _ = pool.state.assign(2, to: 0, at: pool.time)
    _ = pool.state.assign(3, to: 0, at: pool.time)
    pool.state.end(2, grace: 100, at: pool.time)
    _ = pool.takeActions()
    pool.state.revoked(worker, claimed: 3, at: pool.time)  // 2 has run, its answer is on the way.
    #expect(pool.takeActions() == [])
    #expect(pool.answer(worker, 2))
    #expect(pool.answer(worker, 3))
  }

  @Test func `calls behind one that takes long are taken back`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    _ = pool.answer(worker, 1, microseconds: 1)
    _ = pool.state.assign(2, to: 0, at: pool.time)
    _ = pool.state.assign(3, to: 0, at: pool.time)
    _ = pool.takeReports()
    #expect(pool.state.nextDeadline == pool.time + 5_000_000)
    pool.time += 5_000_000
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == [.revoke(worker: worker, last: 3)])
    pool.state.revoked(worker, claimed: 2, at: pool.time)
    #expect(
      pool.takeReports() == [
        .slotReady(slot: 0, credit: 1),
        .callLost(call: 3, exitStatus: .unknown, started: false, reason: nil),
      ])
    #expect(pool.state.nextDeadline == nil)
  }

  @Test func `a call that is ended takes its slot's credit before those behind it come back`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    _ = pool.answer(worker, 1, microseconds: 1)
    _ = pool.state.assign(2, to: 0, at: pool.time)
    _ = pool.state.assign(3, to: 0, at: pool.time)
    _ = pool.takeReports()
    pool.state.end(2, grace: 100, at: pool.time)
    pool.state.revoked(worker, claimed: 2, at: pool.time)
    #expect(
      pool.takeReports() == [
        .slotReady(slot: 0, credit: 0),
        .callLost(call: 3, exitStatus: .unknown, started: false, reason: nil),
      ])
    pool.state.exited(worker, .signalled(15), claimed: 2, at: pool.time)
    #expect(
      pool.takeReports()
        == [.callLost(call: 2, exitStatus: .signalled(15), started: true, reason: nil)])
  }

  @Test func `a worker is never given more calls than it runs in its life`() {
    let pool = Played(1, configure: { $0.callsPerWorkerMax = 3 })
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    _ = pool.answer(worker, 1, microseconds: 1)
    _ = pool.state.assign(2, to: 0, at: pool.time)
    _ = pool.answer(worker, 2, microseconds: 1)
    #expect(pool.state.slots[0].credit == 1, "its credit is 4, but one call is left")
    _ = pool.state.assign(3, to: 0, at: pool.time)
    _ = pool.takeActions()
    _ = pool.answer(worker, 3, microseconds: 1, isRetiring: true)
    let next = pool.readyAll()
    #expect(next.count == 1, "its successor is started before it is gone")
    pool.state.exited(worker, .exited(0), claimed: 3, at: pool.time)
    #expect(pool.takeActions() == [])
    #expect(pool.state.slots[0].worker == next[0])
  }

  @Test func `an initializer that always fails breaks the pool after three tries for each process`()
  {
    let pool = Played(2)
    var tries = 0
    while pool.state.brokenReason == nil {
      for action in pool.takeActions() {
        guard case .start(let worker, _) = action else { continue }
        tries += 1
        pool.state.started(worker, at: pool.time)
        pool.state.saidHello(worker, at: pool.time)
        pool.state.initializerFailed(worker, message: "no", at: pool.time)
        pool.state.exited(worker, .exited(1), claimed: 0, at: pool.time)
      }
      if let next = pool.state.nextDeadline {
        #expect(next > pool.time, "there is a pause between tries")
        pool.time = next
        pool.state.deadlineReached(at: pool.time)
      }
      #expect(tries < 20)
    }
    #expect(tries == 6)
    #expect(pool.state.brokenReason == "the initializer failed: no (exited with code 1)")
    #expect(pool.takeReports().suffix(3).contains(.poolEnded))
  }

  @Test func `an idle worker that retires has a successor before it is gone`() {
    let pool = Played(1, configure: { $0.hasClaims = false })
    let worker = pool.readyAll()[0]
    pool.state.retires(worker, at: pool.time)
    let next = pool.readyAll()
    #expect(next.count == 1)
    #expect(pool.state.slots[0].worker == next[0])
    // It has the usual grace, and is nobody's loss.
    #expect(pool.state.nextDeadline == pool.time + 5_000_000_000)
    pool.state.retires(worker, at: pool.time)
    pool.state.exited(worker, .exited(0), claimed: nil, at: pool.time)
    #expect(pool.state.nextDeadline == nil && pool.takeActions() == [])
    pool.state.checkInvariants()
  }

  @Test func `what is known of a worker that ended before it was ready is the reason`() {
    let pool = Played(1, configure: { $0.startFailuresMax = 1 })
    guard case .start(let worker, _)? = pool.takeActions().first else {
      Issue.record("nothing is started")
      return
    }
    pool.state.started(worker, at: pool.time)
    pool.state.explained(worker, reason: "no module")
    pool.state.explained(worker, reason: "something else")
    pool.state.exited(worker, .exited(1), claimed: nil, at: pool.time)
    #expect(pool.state.brokenReason == "no module (exited with code 1)")
  }

  @Test func `a folder that a worker cannot start in breaks the pool`() {
    let pool = Played(1, configure: { $0.startFailuresMax = 1 })
    guard case .start(let worker, _)? = pool.takeActions().first else {
      Issue.record("nothing is started")
      return
    }
    pool.state.startFailed(
      worker, StartFailure(stage: .workingFolder, errorNumber: 2), at: pool.time)
    #expect(pool.state.brokenReason?.contains("No such file") == true)
  }

  @Test func `a machine short of processes does not break the pool`() {
    let pool = Played(1)
    for _ in 0..<50 {
      for action in pool.takeActions() {
        guard case .start(let worker, _) = action else { continue }
        let failure = StartFailure(stage: .fork, errorNumber: 11)  // EAGAIN
        pool.state.startFailed(worker, failure, at: pool.time)
      }
      let next = pool.state.nextDeadline
      #expect(next != nil && next! > pool.time && next! <= pool.time + 5_000_000_000)
      pool.time = next ?? pool.time
      pool.state.deadlineReached(at: pool.time)
    }
    #expect(pool.state.brokenReason == nil)
    #expect(pool.readyAll().count == 1)
  }

  @Test func `a worker that dies idle again and again is started with pauses`() {
    let pool = Played(1)
    let first = pool.readyAll()[0]
    pool.state.exited(first, .signalled(9), claimed: 0, at: pool.time)
    #expect(pool.takeActions() == [])
    #expect(pool.state.nextDeadline == pool.time + 50_000_000)
  }

  @Test func `a worker that never says hello is killed`() {
    let pool = Played(1)
    guard case .start(let worker, _)? = pool.takeActions().first else { return }
    pool.state.started(worker, at: pool.time)
    #expect(pool.state.nextDeadline == pool.time + 10_000_000_000)
    pool.time += 10_000_000_000
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == [.kill(worker: worker)])
  }

  @Test func `a worker without an initializer is bound until it is ready`() {
    let pool = Played(
      1,
      configure: {
        $0.hasInitializer = false
        $0.initializerMax = 60_000_000_000
      })
    guard case .start(let worker, _)? = pool.takeActions().first else { return }
    pool.state.started(worker, at: pool.time)
    pool.state.saidHello(worker, at: pool.time)
    #expect(pool.state.nextDeadline == pool.time + 10_000_000_000)
    pool.time += 10_000_000_000
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == [.kill(worker: worker)])
    pool.state.exited(worker, .signalled(9), claimed: 0, at: pool.time)
    #expect(pool.state.startTrouble?.contains("was not ready in time, 10 s") == true)
  }

  /// The first worker of a pool runs and has said hello, whichever is heard of first.
  private func greet(_ pool: Played, helloIsFirst: Bool) throws -> PoolWorkerID {
    let starts = pool.takeActions().compactMap { action in
      if case .start(let worker, _) = action { worker } else { nil }
    }
    let worker = try #require(starts.first)
    if helloIsFirst { pool.state.saidHello(worker, at: pool.time) }
    pool.state.started(worker, at: pool.time)
    if !helloIsFirst { pool.state.saidHello(worker, at: pool.time) }
    return worker
  }

  @Test(arguments: [true, false])
  func `an initializer may take any time, whichever news comes first`(helloIsFirst: Bool) throws {
    let pool = Played(1)
    _ = try greet(pool, helloIsFirst: helloIsFirst)
    #expect(pool.state.nextDeadline == nil)
  }

  @Test(arguments: [true, false])
  func `an initializer may be given a time`(helloIsFirst: Bool) throws {
    let pool = Played(1, configure: { $0.initializerMax = 500 })
    let worker = try greet(pool, helloIsFirst: helloIsFirst)
    #expect(pool.state.nextDeadline == pool.time + 500)
    pool.time += 500
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == [.kill(worker: worker)])
    pool.state.exited(worker, .signalled(9), claimed: 0, at: pool.time)
    #expect(pool.state.startTrouble?.contains("was not ready in time") == true)
  }

  @Test func `what no worker could be started for is known until one is ready`() {
    let pool = Played(2)
    guard case .start(let worker, _)? = pool.takeActions().first else { return }
    #expect(pool.state.startTrouble == nil)
    let failure = StartFailure(stage: .fork, errorNumber: 11)
    pool.state.startFailed(worker, failure, at: pool.time)
    #expect(pool.state.startTrouble == "a worker cannot be started: \(failure)")
    pool.time += 100_000_000
    pool.state.deadlineReached(at: pool.time)
    pool.readyAll()
    #expect(pool.state.startTrouble == nil)
  }

  @Test func `a worker that closes its channel gets no calls, and goes on for two seconds`() {
    let pool = Played(1, configure: { $0.creditMax = 4 })
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    #expect(pool.answer(worker, 1, microseconds: 10))
    _ = pool.state.assign(2, to: 0, at: pool.time)
    _ = pool.state.assign(3, to: 0, at: pool.time)
    _ = pool.takeReports()
    pool.state.channelEnded(worker, at: pool.time)
    #expect(pool.takeActions() == [.revoke(worker: worker, last: 3)])
    pool.state.revoked(worker, claimed: 2, at: pool.time)
    #expect(
      pool.takeReports() == [
        .slotReady(slot: 0, credit: 0),
        .callLost(call: 3, exitStatus: .unknown, started: false, reason: nil),
      ])
    #expect(pool.state.room(in: 0) == 0)
    pool.time += 2_000_000_000
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions().contains(.kill(worker: worker)))
    pool.state.exited(worker, .signalled(9), claimed: 2, at: pool.time)
    #expect(
      pool.takeReports() == [
        .callLost(
          call: 2, exitStatus: .signalled(9), started: true,
          reason: "the worker closed its channel and went on")
      ])
    #expect(pool.takeActions().count == 1, "the slot is filled again")
  }

  @Test func `the other end of a channel that has ended gives a worker no more time`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    pool.state.channelEnded(worker, at: pool.time)
    let due = pool.time + 2_000_000_000
    pool.time += 1_000_000_000
    // The call had been claimed, and its answer comes by the end that is open.
    pool.state.revoked(worker, claimed: 1, at: pool.time)
    #expect(pool.answer(worker, 1))
    pool.state.channelEnded(worker, at: pool.time)
    #expect(pool.state.room(in: 0) == 0)
    #expect(pool.state.nextDeadline == due)
  }

  @Test func `a worker that closes its channel before it is ready never is`() {
    let pool = Played(1)
    guard case .start(let worker, _)? = pool.takeActions().first else { return }
    pool.state.channelEnded(worker, at: pool.time)
    pool.state.started(worker, at: pool.time)
    pool.state.saidHello(worker, at: pool.time)
    pool.state.becameReady(worker, at: pool.time)
    #expect(pool.state.readyWorkers == 0)
    pool.time += 2_000_000_000
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == [.kill(worker: worker)])
    pool.state.exited(worker, .signalled(9), claimed: 0, at: pool.time)
    #expect(pool.state.startTrouble?.contains("closed its channel before it was ready") == true)
  }

  @Test func `a worker that dies after its channel has ended is not blamed for it`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    _ = pool.takeReports()
    pool.state.channelEnded(worker, at: pool.time)
    pool.state.exited(worker, .signalled(11), claimed: 1, at: pool.time)
    #expect(
      pool.takeReports().contains(
        .callLost(call: 1, exitStatus: .signalled(11), started: true, reason: nil)))
  }

  @Test func `a worker that leaves its call lying is killed, and the call comes back`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    _ = pool.takeReports()
    #expect(pool.state.nextDeadline == pool.time + 10_000_000_000)
    pool.time += 10_000_000_000
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == [.look(worker: worker)])
    pool.state.claimsSeen(worker, claimed: 0, at: pool.time)
    #expect(pool.takeActions() == [.kill(worker: worker), .revoke(worker: worker, last: 1)])
    pool.state.revoked(worker, claimed: 0, at: pool.time)
    #expect(
      pool.takeReports() == [
        .slotReady(slot: 0, credit: 0),
        .callLost(call: 1, exitStatus: .unknown, started: false, reason: nil),
      ])
  }

  @Test func `a worker that has taken up its call may take any time for it`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    pool.time += 10_000_000_000
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == [.look(worker: worker)])
    pool.state.claimsSeen(worker, claimed: 1, at: pool.time)
    #expect(pool.takeActions() == [] && pool.state.nextDeadline == nil)
    // The next one is looked for again.
    #expect(pool.answer(worker, 1))
    _ = pool.state.assign(2, to: 0, at: pool.time)
    #expect(pool.state.nextDeadline == pool.time + 10_000_000_000)
  }

  @Test func `claims on calls that never were end the worker, and it loses only the first`() {
    let pool = Played(1, configure: { $0.creditMax = 4 })
    let worker = pool.readyAll()[0]
    _ = pool.state.assign(1, to: 0, at: pool.time)
    #expect(pool.answer(worker, 1, microseconds: 10))
    for call in 2...3 as ClosedRange<UInt64> {
      _ = pool.state.assign(call, to: 0, at: pool.time)
    }
    pool.state.end(2, grace: 0, at: pool.time)
    #expect(pool.takeActions() == [.revoke(worker: worker, last: 3)])
    pool.state.revoked(worker, claimed: .max, at: pool.time)
    #expect(pool.takeActions() == [.kill(worker: worker), .revoke(worker: worker, last: 3)])
    pool.state.revoked(worker, claimed: .max, at: pool.time)
    #expect(pool.takeActions() == [])
    _ = pool.takeReports()
    pool.state.exited(worker, .signalled(9), claimed: .max, at: pool.time)
    #expect(
      pool.takeReports() == [
        .callLost(
          call: 2, exitStatus: .signalled(9), started: true,
          reason: "the worker claimed a call that it was never given"),
        .callLost(call: 3, exitStatus: .signalled(9), started: false, reason: nil),
      ])
  }

  @Test func `an answer that is not owed is refused`() {
    let pool = Played(1)
    let worker = pool.readyAll()[0]
    #expect(!pool.answer(worker, 1))
    _ = pool.state.assign(1, to: 0, at: pool.time)
    #expect(!pool.answer(worker, 2))
    pool.state.misbehaved(worker, reason: "lies", at: pool.time)
    pool.state.exited(worker, .signalled(9), claimed: 1, at: pool.time)
    #expect(
      pool.takeReports().contains(
        .callLost(call: 1, exitStatus: .signalled(9), started: true, reason: "lies")))
  }

  @Test func `closing waits for all that is in flight and then stops every worker`() {
    let pool = Played(2)
    let workers = pool.readyAll()
    _ = pool.state.assign(1, to: 0, at: pool.time)
    #expect(pool.answer(workers[0], 1, microseconds: 1))
    _ = pool.state.assign(2, to: 0, at: pool.time)
    _ = pool.state.assign(3, to: 0, at: pool.time)
    _ = pool.takeReports()
    pool.state.close(at: pool.time)
    #expect(pool.takeActions() == [.stop(worker: workers[1])])
    #expect(pool.answer(workers[0], 2))
    #expect(pool.takeActions() == [])
    #expect(pool.answer(workers[0], 3))
    #expect(pool.takeActions() == [.stop(worker: workers[0])])
    for worker in workers { pool.state.exited(worker, .exited(0), claimed: 1, at: pool.time) }
    #expect(
      pool.takeReports().suffix(3) == [.slotGone(slot: 0), .slotGone(slot: 1), .poolEnded])
  }

  @Test func `a pool that shrinks gives back what its last slot has not started`() {
    let pool = Played(2)
    let workers = pool.readyAll()
    _ = pool.state.assign(1, to: 1, at: pool.time)
    pool.state.resize(to: 1, at: pool.time)
    #expect(pool.takeActions() == [.revoke(worker: workers[1], last: 1)])
    _ = pool.takeReports()
    pool.state.revoked(workers[1], claimed: 0, at: pool.time)
    #expect(
      pool.takeReports()
        == [.callLost(call: 1, exitStatus: .unknown, started: false, reason: nil)])
    #expect(pool.takeActions() == [.stop(worker: workers[1])])
    pool.state.exited(workers[1], .exited(0), claimed: 0, at: pool.time)
    #expect(pool.takeReports() == [.slotGone(slot: 1)])
    pool.state.resize(to: 2, at: pool.time)
    #expect(pool.readyAll().count == 1)
    #expect(pool.takeReports() == [.slotReady(slot: 1, credit: 1)], "slots come back")
  }

  @Test func `terminating is bounded by the grace`() {
    let pool = Played(2)
    let workers = pool.readyAll()
    pool.state.terminate(grace: 50, at: pool.time)
    _ = pool.takeActions()
    pool.time += 50
    pool.state.deadlineReached(at: pool.time)
    #expect(pool.takeActions() == workers.map { .kill(worker: $0) })
    pool.state.exited(workers[0], .signalled(9), claimed: 0, at: pool.time)
    #expect(!pool.state.isEnded)
    pool.state.exited(workers[1], .signalled(9), claimed: 0, at: pool.time)
    #expect(pool.state.isEnded)
  }
}
