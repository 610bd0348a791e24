internal import DequeModule

/// The moves that the events are made of.
extension PoolState {
  // MARK: Slots

  /// Takes back slots that were removed, first those whose workers have not gone yet, so that no
  /// more processes run than slots are wanted, however often that changes; then makes new ones.
  mutating func addSlots(_ count: Int, at now: UInt64) {
    let removed = slots.indices.filter { slots[$0].isRemoved && !slots[$0].isGone }
    let gone = slots.indices.filter { slots[$0].isGone }
    for slot in (removed + gone).prefix(count) {
      slots[slot].isRemoved = false
      slots[slot].isGone = false
      refill(slot, at: now)
    }
    for _ in 0..<max(count - removed.count - gone.count, 0) {
      slots.append(Slot())
      refill(slots.count - 1, at: now)
    }
  }

  /// Takes a slot away from the driver, and ends its worker once it owes nothing; `recalling` what
  /// it has not started makes that sooner.
  mutating func remove(_ slot: Int, recalling: Bool = true, at now: UInt64) {
    slots[slot].isRemoved = true
    slots[slot].startAt = nil
    if let worker = slots[slot].worker, let index = place(of: worker) {
      if workers[index]!.phase == .starting {
        terminate(index, grace: settings.grace, at: now)
      } else {
        leave(index, at: now)
        if recalling && settings.hasClaims && !workers[index]!.inFlight.isEmpty { revoke(index) }
      }
    }
    reportCredit(of: slot)
    reportIfGone(slot)
  }

  /// Starts a worker in a slot that should have one and has none, or arranges for that.
  mutating func refill(_ slot: Int, at now: UInt64) {
    defer { reportCredit(of: slot) }
    slots[slot].startAt = nil
    guard phase == .running, !slots[slot].isRemoved else { return reportIfGone(slot) }
    guard slots[slot].worker == nil else { return }
    // The worker before last may not have gone yet; one on its way out by force is waited for, so
    // that no more calls run at a time than the pool has slots.
    guard !isBeingEnded(slot) else { return }
    guard notBefore <= now else {
      slots[slot].startAt = notBefore
      return
    }
    generation += 1
    let index = freeIndices.popLast() ?? workers.count
    let id = PoolWorkerID(generation: generation, index: index)
    let worker = PoolWorker(id: id, slot: slot)
    if index == workers.count { workers.append(worker) } else { workers[index] = worker }
    slots[slot].worker = id
    actions.append(.start(worker: id, slot: slot))
  }

  private func isBeingEnded(_ slot: Int) -> Bool {
    workers.contains { worker in
      guard let worker, worker.slot == slot else { return false }
      return worker.phase >= .terminated || !worker.inFlight.isEmpty
    }
  }

  /// Tells the driver how many calls the slot may have in flight, if that has changed.
  mutating func reportCredit(of slot: Int) {
    var credit = 0
    if phase == .running, !slots[slot].isRemoved, let id = slots[slot].worker {
      credit = workers[id.index]!.callsAtOnce(settings)
    }
    guard credit != slots[slot].credit else { return }
    slots[slot].credit = credit
    reports.append(.slotReady(slot: slot, credit: credit))
  }

  /// Tells the driver that a removed slot is gone when the last of its workers is.
  mutating func reportIfGone(_ slot: Int) {
    guard slots[slot].isRemoved, !slots[slot].isGone else { return }
    guard !workers.contains(where: { $0?.slot == slot }) else { return }
    slots[slot].isGone = true
    reports.append(.slotGone(slot: slot))
    endIfEmpty()
  }

  mutating func endIfEmpty() {
    guard phase != .running, !isEnded else { return }
    guard workers.allSatisfy({ $0 == nil }), slots.allSatisfy(\.isGone) else { return }
    isEnded = true
    reports.append(.poolEnded)
  }

  // MARK: Workers

  /// Where `worker` is in `workers`; nil: it is gone.
  func place(of worker: PoolWorkerID) -> Int? {
    let index = worker.index
    return index < workers.count && workers[index]?.id == worker ? index : nil
  }

  /// Where `worker` is, if it may still become ready: one that has closed its channel will not.
  func placeOfStarting(_ worker: PoolWorkerID) -> Int? {
    guard let index = place(of: worker), workers[index]!.phase == .starting,
      !workers[index]!.hasHungUp
    else { return nil }
    return index
  }

  /// Drops a worker whose process is gone. Returns its slot.
  mutating func forget(_ index: Int) -> Int {
    let worker = workers[index]!
    workers[index] = nil
    freeIndices.append(index)
    if slots[worker.slot].worker == worker.id { slots[worker.slot].worker = nil }
    return worker.slot
  }

  /// What follows when a call is no longer in flight.
  mutating func proceed(_ index: Int, isRetiring: Bool, at now: UInt64) {
    switch workers[index]!.step(isRetiring: isRetiring, settings) {
    case nil: break
    case .retire:
      workers[index]!.phase = .leaving
      workers[index]!.deadline = now + settings.grace
      detach(index, at: now)
    case .leave: leave(index, at: now)
    case .stop: stop(index, at: now)
    case .terminate(let grace): terminate(index, grace: grace, at: now)
    }
  }

  /// Takes the worker out of its slot, whose next worker is started before this one is gone.
  mutating func leave(_ index: Int, at now: UInt64) {
    guard workers[index]!.phase == .ready else { return }
    workers[index]!.phase = .leaving
    if workers[index]!.inFlight.isEmpty { stop(index, at: now) }
    detach(index, at: now)
  }

  private mutating func stop(_ index: Int, at now: UInt64) {
    actions.append(.stop(worker: workers[index]!.id))
    workers[index]!.deadline = now + settings.grace
  }

  private mutating func detach(_ index: Int, at now: UInt64) {
    let slot = workers[index]!.slot
    guard slots[slot].worker == workers[index]!.id else { return }
    slots[slot].worker = nil
    refill(slot, at: now)
  }

  /// First step of the ladder, unless it was taken: SIGTERM, and SIGKILL after `grace`. A second
  /// wish can only shorten the grace.
  mutating func terminate(_ index: Int, grace: UInt64, at now: UInt64) {
    guard workers[index]!.phase < .killed else { return }
    let deadline = now &+ min(grace, UInt64.max / 2)
    if workers[index]!.phase == .terminated {
      workers[index]!.deadline = min(workers[index]!.deadline ?? deadline, deadline)
      return
    }
    workers[index]!.phase = .terminated
    workers[index]!.deadline = deadline
    actions.append(.terminate(worker: workers[index]!.id))
    if settings.hasClaims && !workers[index]!.inFlight.isEmpty { revoke(index) }
    reportCredit(of: workers[index]!.slot)
  }

  /// Last step of the ladder.
  mutating func kill(_ index: Int) {
    workers[index]!.phase = .killed
    workers[index]!.deadline = nil
    actions.append(.kill(worker: workers[index]!.id))
    if settings.hasClaims && !workers[index]!.inFlight.isEmpty { revoke(index) }
    reportCredit(of: workers[index]!.slot)
  }

  mutating func revoke(_ index: Int) {
    actions.append(.revoke(worker: workers[index]!.id, last: workers[index]!.lastOrdinal))
  }

  private func seconds(_ nanoseconds: UInt64) -> String {
    let seconds = Double(nanoseconds) / 1e9
    return seconds == seconds.rounded() ? "\(Int(seconds)) s" : "\(seconds) s"
  }

  /// The worker's phase has lasted too long.
  mutating func overdue(_ index: Int, at now: UInt64) {
    switch workers[index]!.phase {
    case .starting:
      let worker = workers[index]!
      if worker.reason == nil {
        workers[index]!.reason =
          worker.hasHungUp
          ? "it closed its channel before it was ready"
          : worker.hasSaidHello
            ? "it was not ready in time, \(seconds(settings.readyMax))"
            : "it did not say hello in time, \(seconds(settings.helloMax))"
      }
      kill(index)
    case .leaving where !workers[index]!.hasHungUp || workers[index]!.inFlight.isEmpty:
      terminate(index, grace: settings.grace, at: now)
    case .ready, .leaving:
      workers[index]!.reason = "the worker closed its channel and went on"
      kill(index)
    case .terminated, .killed:
      kill(index)
    }
  }

  /// Calls well under a millisecond double the credit, but never to more than would take two of
  /// them together; one of a millisecond takes it back to 1.
  mutating func adjustCredit(_ index: Int, after microseconds: UInt32) {
    if microseconds >= PoolSettings.longCallMicroseconds {
      workers[index]!.credit = 1
    } else if microseconds < PoolSettings.shortCallMicroseconds {
      let most = Int(PoolSettings.prefetchMicroseconds / max(microseconds, 1))
      workers[index]!.credit = min(workers[index]!.credit * 2, settings.creditMax, most)
    }
  }

  // MARK: Failures

  /// A worker died while its slot counted on it.
  mutating func noteDeath(of worker: PoolWorker, _ status: ExitStatus, at now: UInt64) {
    // With the fork server all workers go, which says nothing about them.
    guard status != .unknown else { return }
    switch worker.phase {
    case .starting:
      let reason = worker.reason ?? "a worker ended before it was ready"
      noteFailure("\(reason) (\(status))", counts: true, at: now)
    case .killed where worker.reason != nil && worker.answered == 0 && worker.inFlight.isEmpty:
      noteFailure("\(worker.reason!) (\(status))", counts: true, at: now)
    case .ready where worker.answered == 0 && worker.inFlight.isEmpty:
      // Nobody was harmed, but starting it again at once could go on for ever.
      idleDeathsInARow += 1
      notBefore = max(notBefore, now + backOff(after: idleDeathsInARow))
      if isBecomingWhole {
        noteFailure("a worker ended before all were ready (\(status))", counts: true, at: now)
      }
    default:
      break
    }
  }

  /// A start failed. With enough of them in a row and no worker ready, the pool breaks. One that
  /// does not count only prolongs the wait before the next. One that is becoming whole breaks at
  /// once, unless it `isLoss`: with the fork server, of which there is another soon.
  mutating func noteFailure(
    _ reason: String, counts: Bool, isLoss: Bool = false, at now: UInt64
  ) {
    guard phase == .running else { return }
    startTrouble = reason
    failedStartsInARow += 1
    if counts { failuresInARow += 1 }
    notBefore = max(notBefore, now + backOff(after: failedStartsInARow))
    let most = settings.startFailuresMax ?? 3 * settings.processes
    let isOver =
      isBecomingWhole
      ? !isLoss || failedStartsInARow >= most
      : counts && failuresInARow >= most && readyWorkers == 0
    guard isOver else { return }
    phase = .broken(reason: reason)
    reports.append(.poolBroke(reason: reason))
    for slot in slots.indices where !slots[slot].isRemoved { remove(slot, at: now) }
    endIfEmpty()
  }

  /// Whether the first failure is one too many.
  var isBecomingWhole: Bool { settings.startsWhole && !hasBeenWhole }

  private func backOff(after failures: Int) -> UInt64 {
    let doublings = UInt64(min(failures - 1, 20))
    return min(settings.backOffMin << doublings, settings.backOffMax)
  }
}
