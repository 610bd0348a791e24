internal import DequeModule

/// What the workers do. An event about a worker that is gone is ignored: it was on its way when
/// the worker died.
extension PoolState {
  /// The process of `worker` runs.
  public mutating func started(_ worker: PoolWorkerID, at now: UInt64) {
    guard let index = placeOfStarting(worker) else { return }
    // The hello comes by another socket than the news of the start, and may have been first.
    if workers[index]!.hasSaidHello && settings.hasInitializer { return }
    workers[index]!.deadline = now + settings.helloMax
  }

  /// The process of `worker` could not be started. A machine short of processes or memory is
  /// tried again for ever, with growing pauses; anything else counts towards breaking the pool. So
  /// does a working folder, which is here one that somebody has named.
  ///
  /// - Parameter words: the failure in words that name what cannot be started, if somebody knows.
  public mutating func startFailed(
    _ worker: PoolWorkerID, _ failure: StartFailure, words: String? = nil, at now: UInt64
  ) {
    guard let index = place(of: worker) else { return }
    precondition(workers[index]!.inFlight.isEmpty, "a worker that never ran has calls")
    let slot = forget(index)
    let counts = !failure.isTransient || failure.stage == .workingFolder
    noteFailure(
      "a worker cannot be started: \(words ?? "\(failure)")", counts: counts,
      isLoss: failure.stage == .forkServerLost, at: now)
    refill(slot, at: now)
  }

  /// `worker` speaks our protocol and runs its initializer now, if it has one.
  public mutating func saidHello(_ worker: PoolWorkerID, at now: UInt64) {
    guard let index = placeOfStarting(worker) else { return }
    workers[index]!.hasSaidHello = true
    guard settings.hasInitializer else { return }
    workers[index]!.deadline = settings.initializerMax.map { now + $0 }
  }

  /// `worker` takes calls.
  public mutating func becameReady(_ worker: PoolWorkerID, at now: UInt64) {
    guard let index = placeOfStarting(worker) else { return }
    failuresInARow = 0
    failedStartsInARow = 0
    startTrouble = nil
    workers[index]!.phase = .ready
    workers[index]!.deadline = nil
    reportCredit(of: workers[index]!.slot)
    guard isBecomingWhole, phase == .running, readyWorkers >= settings.processes else { return }
    hasBeenWhole = true
    reports.append(.poolStarted)
  }

  /// The initializer of `worker` failed; its exit is to follow.
  public mutating func initializerFailed(
    _ worker: PoolWorkerID, message: String, at now: UInt64
  ) {
    cannotBecomeReady(worker, reason: "the initializer failed: \(message)", at: now)
  }

  /// `worker` says that it will never take calls, for a `reason` that is a sentence; its exit is to
  /// follow.
  public mutating func cannotBecomeReady(
    _ worker: PoolWorkerID, reason: String, at now: UInt64
  ) {
    guard let index = place(of: worker), workers[index]!.phase == .starting else { return }
    workers[index]!.reason = reason
    workers[index]!.deadline = now + settings.grace
  }

  /// `worker` answered its first call in flight after `microseconds` of running it, and if it
  /// `isRetiring` will end by itself. Returns false if that is not the call it owes an answer to:
  /// then it `misbehaved`.
  public mutating func answered(
    _ worker: PoolWorkerID, call: UInt64, _ outcome: CallOutcome, microseconds: UInt32,
    isRetiring: Bool, at now: UInt64
  ) -> Bool {
    guard let index = place(of: worker) else { return true }
    guard workers[index]!.inFlight.first?.call == call else { return false }
    workers[index]!.inFlight.removeFirst()
    workers[index]!.answered += 1
    workers[index]!.beginHead(at: now)
    idleDeathsInARow = 0
    adjustCredit(index, after: microseconds)
    reports.append(.callEnded(call: call, outcome: outcome))
    proceed(index, isRetiring: isRetiring, at: now)
    reportCredit(of: workers[index]!.slot)
    return true
  }

  /// `worker`, which owes no answer that it knows of, will end by itself and takes no more calls.
  public mutating func retires(_ worker: PoolWorkerID, at now: UInt64) {
    guard let index = place(of: worker), workers[index]!.phase == .ready else { return }
    proceed(index, isRetiring: true, at: now)
    reportCredit(of: workers[index]!.slot)
  }

  /// Why `worker` is about to be gone before it was ever ready, where nothing else is known.
  public mutating func explained(_ worker: PoolWorkerID, reason: String) {
    guard let index = place(of: worker), workers[index]!.phase == .starting,
      workers[index]!.reason == nil
    else { return }
    workers[index]!.reason = reason
  }

  /// The channel of `worker` has ended. Its process is about to, or else cannot be reached any more
  /// and is killed. Its slot gets no more calls, and what it has not claimed comes back at once. To
  /// be told of that again, as of another end, gives it no more time.
  public mutating func channelEnded(_ worker: PoolWorkerID, at now: UInt64) {
    guard let index = place(of: worker), workers[index]!.phase <= .leaving,
      !workers[index]!.hasHungUp
    else { return }
    workers[index]!.hasHungUp = true
    workers[index]!.deadline = now + settings.hangUpMax
    if settings.hasClaims && !workers[index]!.inFlight.isEmpty { revoke(index) }
    reportCredit(of: workers[index]!.slot)
  }

  /// `worker` broke the protocol: it is killed, and the call that it ran is lost for this reason.
  public mutating func misbehaved(_ worker: PoolWorkerID, reason: String, at now: UInt64) {
    guard let index = place(of: worker), workers[index]!.phase < .killed else { return }
    workers[index]!.reason = reason
    kill(index)
  }

  /// The process of `worker` is gone, and everything that it had sent was taken in before.
  /// `claimed` is the ordinal of the last call it claimed; nil where workers do not claim, and then
  /// the first unanswered call is the one that it ran. So it is where a worker has claimed what it
  /// was never given.
  public mutating func exited(
    _ worker: PoolWorkerID, _ status: ExitStatus, claimed: UInt32?, at now: UInt64
  ) {
    guard let index = place(of: worker), let gone = workers[index] else { return }
    let isCurrent = slots[gone.slot].worker == worker
    let slot = forget(index)
    let claimed = claimed.flatMap { $0 <= gone.lastOrdinal ? $0 : nil }
    reportCredit(of: slot)  // First: what is given back must not be assigned to it again.
    for (place, item) in gone.inFlight.enumerated() {
      let started = claimed.map { item.ordinal <= $0 } ?? (place == 0)
      reports.append(
        .callLost(
          call: item.call, exitStatus: status, started: started,
          reason: started ? gone.reason : nil))
    }
    if isCurrent { noteDeath(of: gone, status, at: now) }
    refill(slot, at: now)
  }

  /// The answer to `PoolAction.revoke`: the calls of `worker` above the ordinal `claimed` will not
  /// run.
  public mutating func revoked(_ worker: PoolWorkerID, claimed: UInt32, at now: UInt64) {
    guard let index = place(of: worker) else { return }
    guard claimed <= workers[index]!.lastOrdinal else {
      return misbehaved(
        worker, reason: "the worker claimed a call that it was never given", at: now)
    }
    let kept = workers[index]!.inFlight.firstIndex { $0.ordinal > claimed }
    let taken = kept.map { Array(workers[index]!.inFlight[$0...]) } ?? []
    workers[index]!.inFlight.removeLast(taken.count)
    if !workers[index]!.inFlight.isEmpty { workers[index]!.isHeadClaimed = true }
    // A call that is to end may have been claimed. The last one claimed may be running; those
    // before it have run, and their answers are on the way.
    if let last = workers[index]!.inFlight.last, last.ordinal == claimed, let grace = last.endGrace
    {
      terminate(index, grace: grace, at: now)
    }
    proceed(index, isRetiring: false, at: now)
    reportCredit(of: workers[index]!.slot)
    // Last: by now the slot's credit is told, so they go where there is some.
    for item in taken {
      reports.append(
        .callLost(call: item.call, exitStatus: .unknown, started: false, reason: nil))
    }
  }

  /// The answer to `PoolAction.look`: `claimed` is the ordinal of the last call that `worker` has
  /// claimed. One that has left the call that it is to run next lying does not read its channel and
  /// is killed; the call comes back unstarted.
  public mutating func claimsSeen(_ worker: PoolWorkerID, claimed: UInt32, at now: UInt64) {
    guard let index = place(of: worker), let head = workers[index]!.inFlight.first else { return }
    guard claimed < head.ordinal else {
      workers[index]!.isHeadClaimed = true
      return
    }
    misbehaved(worker, reason: "the worker does not take up its calls", at: now)
  }

  /// It is `now`: everything that was due is done.
  public mutating func deadlineReached(at now: UInt64) {
    for index in workers.indices {
      if let deadline = workers[index]?.deadline, deadline <= now { overdue(index, at: now) }
      if let worker = workers[index], let claim = worker.claimDue(settings), claim <= now {
        actions.append(.look(worker: worker.id))
      }
      if let recall = workers[index]?.recallDue(settings), recall <= now {
        workers[index]!.credit = 1
        workers[index]!.headSince = now
        reportCredit(of: workers[index]!.slot)
        revoke(index)
      }
    }
    for slot in slots.indices {
      if let start = slots[slot].startAt, start <= now { refill(slot, at: now) }
    }
  }
}
