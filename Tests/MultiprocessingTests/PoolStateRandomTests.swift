import TestSupport
import Testing

@testable import Multiprocessing

/// A world of simulated workers that do everything real ones do, in any order.
struct SimulatedWorkers {
  struct Worker {
    var id: PoolWorkerID
    var phase = 0  // 0 asked for, 1 started, 2 said hello, 3 ready
    var pending: [(call: UInt64, ordinal: UInt32)] = []
    var claimed: UInt32 = 0
    var revoked: UInt32 = 0
    var isStopped = false
    var hasTerm = false
    var run = 0
  }

  var pool: PoolState
  var random: SplitMix
  var time: UInt64 = 1
  var workers: [Worker] = []
  var credit: [Int: Int] = [:]
  var inFlight: [UInt64: Int] = [:]
  var lastCall: UInt64 = 0
  var wasStarted: Set<UInt64> = []
  var ended = 0

  init(seed: UInt64) {
    random = SplitMix(seed: seed)
    var settings = PoolSettings(processes: Int.random(in: 1...4, using: &random))
    settings.callsPerWorkerMax =
      Bool.random(using: &random) ? nil : .random(in: 1...5, using: &random)
    settings.grace = 1000
    settings.helloMax = 5000
    settings.backOffMin = 10
    settings.backOffMax = 100
    settings.recallAfter = 50
    settings.hangUpMax = 500
    settings.claimMax = Bool.random(using: &random) ? 200 : 100_000
    settings.hasInitializer = Bool.random(using: &random)
    settings.startFailuresMax = 12
    settings.hasClaims = Int.random(in: 0..<3, using: &random) > 0
    pool = PoolState(settings)
    pool.begin(at: time)
  }

  mutating func settle() {
    var next = 0
    while next < pool.actions.count {
      perform(pool.actions[next])
      next += 1
    }
    pool.actions.removeAll()
    var slotsThatLost: Set<Int> = []
    for report in pool.reports {
      if case .callLost(let call, _, _, _) = report, let slot = inFlight[call] {
        slotsThatLost.insert(slot)
      }
      if case .slotReady(let slot, let credit) = report, slotsThatLost.contains(slot) {
        #expect(credit >= self.credit[slot]!, "slot \(slot) tells its credit after what it lost")
      }
      take(report)
    }
    pool.reports.removeAll()
    pool.checkInvariants()
    #expect(pool.slots.count <= 5, "more slots than were ever wanted at once")
  }

  mutating func perform(_ action: PoolAction) {
    switch action {
    case .start(let id, _): workers.append(Worker(id: id))
    case .terminate(let id): change(id) { $0.hasTerm = true }
    case .kill(let id): die(id, .signalled(9))
    case .stop(let id): change(id) { $0.isStopped = true }
    case .revoke(let id, let last):
      guard let place = workers.firstIndex(where: { $0.id == id }) else { return }
      workers[place].revoked = last
      let claimed = workers[place].claimed
      workers[place].pending.removeAll { $0.ordinal > claimed && $0.ordinal <= last }
      pool.revoked(id, claimed: claimed, at: time)
    case .look(let id):
      guard let worker = workers.first(where: { $0.id == id }) else { return }
      pool.claimsSeen(id, claimed: worker.claimed, at: time)
    }
  }

  mutating func take(_ report: PoolReport) {
    switch report {
    case .slotReady(let slot, let credit): self.credit[slot] = credit
    case .slotGone(let slot): #expect(credit[slot, default: 0] == 0)
    case .callEnded(let call, _):
      #expect(inFlight.removeValue(forKey: call) != nil, "call \(call) ended twice")
      #expect(wasStarted.contains(call))
    case .callLost(let call, _, let started, _):
      #expect(inFlight.removeValue(forKey: call) != nil, "call \(call) was lost twice")
      // Without claims a call that was sent first counts as started; never the other way round.
      #expect(started || !wasStarted.contains(call), "call \(call) has run and is given back")
      #expect(
        !started || wasStarted.contains(call) || !pool.settings.hasClaims,
        "call \(call) has not run and counts as lost")
    case .poolStarted: Issue.record("nobody asked for that")
    case .poolBroke: break
    case .poolEnded: ended += 1
    }
  }

  mutating func change(_ id: PoolWorkerID, _ body: (inout Worker) -> Void) {
    if let place = workers.firstIndex(where: { $0.id == id }) { body(&workers[place]) }
  }

  mutating func die(_ id: PoolWorkerID, _ status: ExitStatus) {
    guard let place = workers.firstIndex(where: { $0.id == id }) else { return }
    let worker = workers.remove(at: place)
    pool.exited(
      id, status, claimed: pool.settings.hasClaims ? worker.claimed : nil, at: time)
  }

  /// One thing happens.
  mutating func step() {
    time += UInt64.random(in: 0...20, using: &random)
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<35: assign()
    case 35..<86: workerMoves()
    case 86..<90: if let next = pool.nextDeadline { time = max(time, next) }
    case 90..<93:
      if let call = inFlight.keys.min() { pool.end(call, grace: 500, at: time) }
    case 93..<96:
      if let worker = workers.randomElement(using: &random) { die(worker.id, .signalled(11)) }
    case 96:
      if let worker = workers.randomElement(using: &random) {
        pool.misbehaved(worker.id, reason: "garbage", at: time)
      }
    case 97: pool.resize(to: .random(in: 1...5, using: &random), at: time)
    case 98:
      // The fork server is lost, and with it everybody.
      for worker in workers { die(worker.id, .unknown) }
    default:
      if let worker = workers.randomElement(using: &random) {
        pool.channelEnded(worker.id, at: time)
      }
    }
    settle()
    if let next = pool.nextDeadline, next <= time { pool.deadlineReached(at: time) }
    settle()
  }

  mutating func assign() {
    let open = credit.keys.sorted().filter { slot in
      inFlight.values.filter { $0 == slot }.count < credit[slot]!
    }
    guard let slot = open.randomElement(using: &random) else { return }
    lastCall += 1
    inFlight[lastCall] = slot
    let (id, ordinal) = pool.assign(lastCall, to: slot, at: time)
    let call = lastCall
    change(id) { $0.pending.append((call, ordinal)) }
  }

  /// A worker goes on with its life.
  mutating func workerMoves() {
    guard let place = workers.indices.randomElement(using: &random) else { return }
    var worker = workers[place]
    defer {
      if let now = workers.firstIndex(where: { $0.id == worker.id }) { workers[now] = worker }
    }
    switch worker.phase {
    case 0:
      if Int.random(in: 0..<10, using: &random) == 0 {
        workers.remove(at: place)
        pool.startFailed(worker.id, StartFailure(stage: .fork, errorNumber: 11), at: time)
      } else {
        worker.phase = 1
        pool.started(worker.id, at: time)
      }
    case 1:
      worker.phase = 2
      pool.saidHello(worker.id, at: time)
    case 2:
      if Int.random(in: 0..<10, using: &random) == 0 {
        pool.initializerFailed(worker.id, message: "no", at: time)
        die(worker.id, .exited(1))
      } else {
        worker.phase = 3
        pool.becameReady(worker.id, at: time)
      }
    default:
      work(&worker)
    }
  }

  mutating func work(_ worker: inout Worker) {
    if worker.hasTerm && Bool.random(using: &random) { return die(worker.id, .signalled(15)) }
    guard let first = worker.pending.first else {
      if worker.isStopped { die(worker.id, .exited(0)) }
      return
    }
    if worker.claimed < first.ordinal {
      worker.claimed = first.ordinal
      wasStarted.insert(first.call)
      return
    }
    worker.pending.removeFirst()
    worker.run += 1
    let isRetiring = worker.run == pool.settings.callsPerWorkerMax
    let took: UInt32 = [1, 1, 1, 1, 400, 2000].randomElement(using: &random)!
    let isOwed = pool.answered(
      worker.id, call: first.call, .returned("1"), microseconds: took, isRetiring: isRetiring,
      at: time)
    #expect(isOwed)
    if isRetiring {
      let id = worker.id
      change(id) { $0.isStopped = true }
      worker.isStopped = true
    }
  }
}

@Suite struct PoolStateRandomTests {
  @Test(arguments: 0..<100 as Range<UInt64>)
  func `every call ends exactly once, whatever happens`(seed: UInt64) {
    var world = SimulatedWorkers(seed: seed)
    world.settle()
    for _ in 0..<800 { world.step() }
    // Then the pool is ended, one way or the other, and comes to its end by deadlines alone.
    if seed % 2 == 0 {
      world.pool.close(at: world.time)
    } else {
      world.pool.terminate(grace: 100, at: world.time)
    }
    world.settle()
    var steps = 0
    while !world.pool.isEnded && steps < 10_000 {
      world.workerMoves()
      if steps % 50 == 0, let next = world.pool.nextDeadline {
        world.time = max(world.time, next)
        world.pool.deadlineReached(at: world.time)
      }
      world.settle()
      steps += 1
    }
    #expect(world.pool.isEnded)
    #expect(world.ended == 1)
    #expect(world.inFlight.isEmpty)
    #expect(world.lastCall > 20)
  }
}
