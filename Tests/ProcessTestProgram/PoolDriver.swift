import Glibc
import Multiprocessing

/// Drives one pool the way the service does, with poll(2): hands out queued calls, collects
/// reports, replaces a lost fork server.
final class PoolDriver {
  enum Ending: Equatable {
    case ended(CallOutcome)
    case lost(ExitStatus, started: Bool, reason: String?)
  }

  struct Call {
    var number: UInt64
    var task: String
    var args: String
    var kwargs: String
  }

  let forkServer: ForkServer
  private(set) var pool: WorkerPool!
  private var watched: [Int32: Bool] = [:]
  private var credit: [Int: Int] = [:]
  private var slots: [UInt64: (slot: Int, call: Call)] = [:]
  private var inFlight: [Int: Int] = [:]
  private(set) var queue: [Call] = []
  private var nextQueued = 0
  private var lastCall: UInt64 = 0
  private var unseen: [ForkServerEvent] = []

  /// How each call ended, and in which order.
  private(set) var endings: [UInt64: Ending] = [:]
  private(set) var order: [UInt64] = []
  private(set) var events: [ForkServerEvent] = []
  private(set) var brokenReason: String?
  private(set) var hasStarted = false
  private(set) var isEnded = false
  private(set) var goneSlots: [Int] = []
  /// How many fork servers were killed because they did not answer.
  private(set) var hungForkServers = 0
  /// Whether calls that came back unstarted are queued again.
  var requeues = true
  /// When each call ended.
  private(set) var endedAt: [UInt64: UInt64] = [:]
  var keepsTimes = false
  /// Whether the fork server is listened to; its news keep while it is not.
  var hearsForkServer = true

  init(
    _ forkServer: ForkServer, processes: Int = 2,
    configure: (inout PoolSettings) -> Void = { _ in },
    workers: WorkerSettings = WorkerSettings()
  ) throws {
    self.forkServer = forkServer
    var settings = PoolSettings(processes: processes)
    configure(&settings)
    pool = try WorkerPool(
      settings, workers: workers, forkServer: forkServer,
      watch: { [unowned self] descriptor, writable in watched[descriptor] = writable },
      unwatch: { [unowned self] descriptor in watched[descriptor] = nil })
    pool.start(at: now())
  }

  /// Queues a call and returns its number.
  @discardableResult
  func call(_ task: String, _ args: String = "[]", _ kwargs: String = "{}") -> UInt64 {
    lastCall += 1
    queue.append(Call(number: lastCall, task: task, args: args, kwargs: kwargs))
    return lastCall
  }

  /// Runs turns until `condition` holds; ends the scenario after `seconds`.
  func run(
    until what: String, within seconds: Double = 10, line: Int = #line, _ condition: () -> Bool
  ) {
    let deadline = now() + UInt64(seconds * 1e9)
    settle()
    while !condition() {
      let time = now()
      if time >= deadline { fail("not within \(seconds) s: \(what); \(situation)", line: line) }
      turn(until: deadline, at: time)
    }
  }

  /// What there is to know when a scenario hangs.
  private var situation: String {
    """
    \(queue.count - nextQueued) queued, \(endings.count) ended, open \(slots.keys.sorted()), \
    credit \(credit), in flight \(inFlight), workers \(pool.workers), \
    fork server \(forkServer.process), last events \(events.suffix(8))
    """
  }

  /// Runs turns until the call has ended, and returns how.
  func ending(of call: UInt64, within seconds: Double = 10, line: Int = #line) -> Ending {
    run(until: "call \(call)", within: seconds, line: line) { endings[call] != nil }
    return endings[call]!
  }

  /// The result of a call that must succeed.
  func result(
    _ task: String, _ args: String = "[]", _ kwargs: String = "{}", line: Int = #line
  ) -> String {
    let ending = ending(of: call(task, args, kwargs), line: line)
    guard case .ended(.returned(let text)) = ending else { fail("\(task): \(ending)", line: line) }
    return text
  }

  func waitReady(_ count: Int, within seconds: Double = 10, line: Int = #line) {
    run(until: "\(count) ready", within: seconds, line: line) { pool.readyWorkers >= count }
  }

  /// Ends the pool and waits for that.
  func end(line: Int = #line) {
    pool.terminate(grace: 200_000_000, at: now())
    run(until: "the end", line: line) { isEnded }
  }

  /// How many descriptors the pool has watched.
  var watchCount: Int { watched.count }

  func slot(of call: UInt64) -> Int? { slots[call]?.slot }

  private func turn(until deadline: UInt64, at time: UInt64) {
    var wake = deadline
    if let next = pool.nextDeadline { wake = min(wake, next) }
    if forkServer.timePassed(at: time) { hungForkServers += 1 }
    if let next = forkServer.nextDeadline { wake = min(wake, next) }
    var set = watched.map { entry in
      pollfd(
        fd: entry.key, events: Int16(POLLIN) | (entry.value ? Int16(POLLOUT) : 0), revents: 0)
    }
    let interest = hearsForkServer ? Int16(POLLIN) : 0
    set.append(pollfd(fd: forkServer.fileDescriptor, events: interest, revents: 0))
    let milliseconds = wake <= time ? 0 : Int32(min((wake - time) / 1_000_000 + 1, 60_000))
    poll(&set, nfds_t(set.count), milliseconds)
    let time = now()
    if hearsForkServer { forkServer.drain(into: &unseen) }
    for event in unseen {
      if event == .lost {
        do { try forkServer.replace() } catch { fail("\(error)") }
      }
      pool.forkServerEvent(event, at: time)
      events.append(event)
    }
    unseen.removeAll(keepingCapacity: true)
    let broken = Int16(POLLHUP) | Int16(POLLERR)
    for entry in set where entry.revents != 0 && entry.fd != forkServer.fileDescriptor {
      pool.descriptorReady(
        entry.fd, readable: entry.revents & (Int16(POLLIN) | broken) != 0,
        writable: entry.revents & Int16(POLLOUT) != 0, at: time)
    }
    if let next = pool.nextDeadline, next <= time { pool.deadlineReached(at: time) }
    settle()
  }

  /// Takes the reports, hands out calls, writes.
  func settle() {
    pool.drainReports(take)
    assign()
    pool.flush()
    pool.drainReports(take)
  }

  private func take(_ report: PoolReport) {
    switch report {
    case .slotReady(let slot, let credit): self.credit[slot] = credit
    case .slotGone(let slot): goneSlots.append(slot)
    case .callEnded(let call, let outcome): finish(call, .ended(outcome))
    case .callLost(let call, let status, let started, let reason):
      if !started && requeues {
        let entry = slots.removeValue(forKey: call)!
        inFlight[entry.slot]! -= 1
        queue.append(entry.call)
      } else {
        finish(call, .lost(status, started: started, reason: reason))
      }
    case .poolStarted: hasStarted = true
    case .poolBroke(let reason): brokenReason = reason
    case .poolEnded: isEnded = true
    }
  }

  private func finish(_ call: UInt64, _ ending: Ending) {
    guard let entry = slots.removeValue(forKey: call) else { fail("call \(call) ended twice") }
    inFlight[entry.slot]! -= 1
    endings[call] = ending
    order.append(call)
    if keepsTimes { endedAt[call] = now() }
  }

  /// The slot with the fewest calls in flight goes first.
  private func assign() {
    while nextQueued < queue.count {
      var best: (slot: Int, count: Int)?
      for (slot, credit) in credit where inFlight[slot, default: 0] < credit {
        let count = inFlight[slot, default: 0]
        if best == nil || (count, slot) < best! { best = (slot, count) }
      }
      guard let best else { return }
      let call = queue[nextQueued]
      nextQueued += 1
      inFlight[best.slot, default: 0] += 1
      slots[call.number] = (best.slot, call)
      pool.assign(
        call.number, attempt: 1, task: call.task, args: call.args, kwargs: call.kwargs,
        to: best.slot, at: now())
    }
  }
}
