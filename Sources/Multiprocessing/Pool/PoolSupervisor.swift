internal import CPlatform
internal import DequeModule
import Glibc

/// The one thread of a pool that knows its workers: it owns the machine (`WorkerPool`) and the
/// fork server, waits for all of them in one place, and never for a caller or a callback.
final class PoolSupervisor {
  private struct Slot {
    var credit = 0
    var inFlight = 0
  }

  private struct Call {
    var call: PoolCall?
    var slot: Int
  }

  private let core: PoolCore
  private let forkServer: ForkServer
  private let pool: WorkerPool
  private let descriptors = PollSet()
  private let initializerDescriptors: [Int32]
  private var ready: [pollfd] = []
  private var events: [ForkServerEvent] = []
  /// Calls that no worker has: first those that came back, in the order of their first assignment.
  private var queue = Deque<PoolCall>()
  /// Calls that a worker has, by their number there.
  private var calls: [Call] = []
  private var freeCalls: [Int] = []
  private var callsInFlight = 0
  /// That of the call that was given to a worker last, of those that had not been before.
  private var lastSerial: UInt64 = 0
  private var slots: [Slot] = []
  private var retryAt: UInt64?
  private var isClosing = false
  private var isTerminating = false
  private var brokenError: PoolError?
  /// Whether a worker came or went since that was made known.
  private var hasOtherWorkers = false
  private var startedCount = 0
  private var firstFailure: StartFailure?

  /// How long after a fork server could not be started the next try is made, in nanoseconds.
  private static let forkServerRetryAfter: UInt64 = 500_000_000

  /// Takes over the fork server and the descriptors.
  init(
    _ core: PoolCore, _ settings: PoolSettings, workers: WorkerSettings, forkServer: ForkServer
  ) throws(UnsupportedStartMethod) {
    self.core = core
    self.forkServer = forkServer
    initializerDescriptors = workers.initializerDescriptors
    let descriptors = descriptors
    pool = try WorkerPool(
      settings, workers: workers, forkServer: forkServer,
      watch: { descriptors.watch($0, writable: $1) }, unwatch: { descriptors.unwatch($0) })
    descriptors.watch(core.wake.descriptor)
    descriptors.watch(forkServer.fileDescriptor)
  }

  deinit {
    for descriptor in initializerDescriptors { close(descriptor) }
  }

  // MARK: Beginning and end

  /// Starts the workers, in the calling thread, and returns once each has started. If one cannot,
  /// those that have are ended.
  func start() throws(PoolError) {
    pool.start(at: Deadline.clock)
    let trouble = pool.startTrouble
    while trouble == nil, firstFailure == nil, !forkServer.isLost, startedCount < core.processes {
      turn()
    }
    guard trouble != nil || firstFailure != nil || forkServer.isLost else { return }
    forkServer.end()
    let reason = trouble ?? firstFailure.map { "a worker cannot be started: \($0)" }
    throw PoolError(.noWorkers(reason ?? "the fork server ended"))
  }

  /// Supervises until the pool has ended.
  func run() {
    while !isOver { turn() }
    abandonAll(brokenError ?? PoolError(.terminated))
    core.note(processIDs: [])
    forkServer.end()
    core.callbacks.stop()
    core.settled.set()
    LivePools.remove(core)
    core.ended.set()
  }

  private var isOver: Bool {
    guard pool.isEnded else { return false }
    return isTerminating || core.callbacks.isIdle
  }

  // MARK: A turn

  private func turn() {
    wait()
    let now = Deadline.clock
    for entry in ready {
      if entry.fd == core.wake.descriptor {
        core.wake.clear()
      } else if entry.fd == forkServer.fileDescriptor {
        drainForkServer(at: now)
      } else {
        let readable = Int32(entry.revents) & (POLLIN | POLLHUP | POLLERR) != 0
        pool.descriptorReady(
          entry.fd, readable: readable, writable: Int32(entry.revents) & POLLOUT != 0, at: now)
      }
    }
    passTime(at: now)
    takeReports()
    followWishes(at: now)
    assign(at: now)
    pool.flush()
    takeReports()
    if hasOtherWorkers { notePIDs() }
  }

  private func wait() {
    let now = Deadline.clock
    _ = forkServer.timePassed(at: now)  // Before its deadline is asked for.
    let mayWait = core.fallAsleep()
    var wake = pool.nextDeadline ?? .max
    if let due = forkServer.nextDeadline { wake = min(wake, due) }
    if let due = retryAt { wake = min(wake, due) }
    var length: Int64 = mayWait ? -1 : 0
    if mayWait && wake != .max {
      length = wake <= now ? 0 : Int64(clamping: wake - now)
    }
    descriptors.wait(nanoseconds: length, &ready)
    if mayWait { core.wakeUp() }
  }

  private func passTime(at now: UInt64) {
    if let due = pool.nextDeadline, due <= now { pool.deadlineReached(at: now) }
    if forkServer.isLookDue(at: now) { drainForkServer(at: now) }
    if let due = retryAt, due <= now { replaceForkServer(at: now) }
  }

  private func drainForkServer(at now: UInt64) {
    forkServer.drain(into: &events)
    for event in events {
      switch event {
      case .lost: if !isClosing { replaceForkServer(at: now) }
      case .started: startedCount += 1
      case .startFailed(_, let failure): firstFailure = firstFailure ?? failure
      case .exited: break
      }
      pool.forkServerEvent(event, at: now)
      takeReports()  // Now: the pool still knows who of its workers has gone.
    }
    events.removeAll(keepingCapacity: true)
    hasOtherWorkers = true
  }

  private func replaceForkServer(at now: UInt64) {
    retryAt = nil
    guard forkServer.isLost, !isClosing else { return }
    do {
      try forkServer.replace()
    } catch {
      retryAt = now + Self.forkServerRetryAfter
    }
  }

  private func notePIDs() {
    hasOtherWorkers = false
    core.note(
      processIDs: pool.workers.filter { $0.process > 0 && $0.state != .ending }.map(\.process))
  }

  // MARK: Wishes

  private func followWishes(at now: UInt64) {
    let wishes = core.take(into: &queue)
    if let brokenError, !queue.isEmpty { failAll(brokenError) }
    switch wishes.phase {
    case .running: break
    case .closed:
      guard !isClosing, queue.isEmpty, callsInFlight == 0, !wishes.hasStreams else { return }
      isClosing = true
      pool.close(at: now)
    case .terminated:
      guard !isTerminating else { return }
      isClosing = true
      isTerminating = true
      abandonAll(PoolError(.terminated))
      core.settled.set()
      pool.terminate(grace: wishes.grace, at: now)
    }
    takeReports()
  }

  /// Has every call fail, as if it had been run, because the pool broke.
  private func failAll(_ error: PoolError) {
    while let call = queue.popFirst() { end(call, .failed(error)) }
    for index in calls.indices {
      guard let call = calls[index].call else { continue }
      calls[index].call = nil
      end(call, .failed(error))
    }
    for stream in core.openStreams { stream.abandon(error) }
  }

  /// Ends every open job with an error, and without a callback.
  private func abandonAll(_ error: PoolError) {
    for call in queue { call.job.abandon(error) }
    queue.removeAll()
    for index in calls.indices {
      calls[index].call?.job.abandon(error)
      calls[index].call = nil
    }
    for stream in core.openStreams { stream.abandon(error) }
    if isTerminating { for job in core.callbacks.discard() { job.abandon(error) } }
  }

  // MARK: Calls

  /// Gives calls to workers, to one with the fewest first.
  private func assign(at now: UInt64) {
    while !queue.isEmpty {
      var best = -1
      var fewest = Int.max
      for (index, slot) in slots.enumerated()
      where slot.inFlight < slot.credit && slot.inFlight < fewest {
        (best, fewest) = (index, slot.inFlight)
        if fewest == 0 { break }
      }
      guard best >= 0 else { return }
      var call = queue.removeFirst()
      if call.serial == 0 {
        lastSerial += 1
        call.serial = lastSerial
      }
      let number = freeCalls.popLast() ?? calls.count
      pool.assignChunk(
        UInt64(number), task: call.task, arguments: call.arguments, to: best, at: now)
      let entry = Call(call: call, slot: best)
      if number == calls.count { calls.append(entry) } else { calls[number] = entry }
      slots[best].inFlight += 1
      callsInFlight += 1
    }
  }

  private func takeReports() {
    while !pool.state.reports.isEmpty { pool.drainReports(take) }
  }

  private func take(_ report: PoolReport) {
    switch report {
    case .slotReady(let slot, let credit):
      while slots.count <= slot { slots.append(Slot()) }
      if (credit == 0) != (slots[slot].credit == 0) { hasOtherWorkers = true }
      slots[slot].credit = credit
    case .slotGone, .poolStarted, .poolEnded:
      break
    case .callEnded(let number, .returned(let text)):
      if let call = remove(number) { end(call, .returned(text)) }
    case .callEnded(let number, .raised(let text)):
      if let call = remove(number) { end(call, .raised(text, items: call.items)) }
    case .callLost(let number, let status, let started, let reason):
      guard let call = remove(number) else { break }
      if started {
        end(call, .failed(loss(of: call, number, status, reason)))
      } else {
        giveBack(call)
      }
    case .poolBroke(let reason):
      let error = PoolError(
        reason.hasPrefix("the initializer failed")
          ? .initializerFailed(reason) : .noWorkers(reason))
      brokenError = error
      core.breakDown(error)
      failAll(error)
    }
  }

  /// Puts a call that was not started before all that were given out, or are to be, after it. Those
  /// that come back may do so in any order, and from several workers.
  private func giveBack(_ call: PoolCall) {
    var (low, high) = (0, queue.count)
    while low < high {
      let middle = (low + high) / 2
      let serial = queue[middle].serial
      if serial == 0 || serial > call.serial { high = middle } else { low = middle + 1 }
    }
    queue.insert(call, at: low)
  }

  private func remove(_ number: UInt64) -> PoolCall? {
    let index = Int(number)
    let call = calls[index].call
    slots[calls[index].slot].inFlight -= 1
    callsInFlight -= 1
    calls[index].call = nil
    freeCalls.append(index)
    return call
  }

  private func end(_ call: PoolCall, _ outcome: ChunkOutcome) {
    if call.job.chunkEnded(call.chunk, outcome) { core.callbacks.enqueue(call.job) }
  }

  private func loss(
    of call: PoolCall, _ number: UInt64, _ status: ExitStatus, _ reason: String?
  ) -> PoolError {
    let pid = pool.goneWorkers.last { $0.call == number }?.process ?? 0
    if reason == nil, case .exited(let code) = status {
      return PoolError(.workerExited(pid: pid, exitcode: code), of: call)
    }
    let code = PoolError.Code.workerLost(pid: pid, exitcode: status.exitcode, reason: reason)
    return PoolError(code, of: call)
  }
}
