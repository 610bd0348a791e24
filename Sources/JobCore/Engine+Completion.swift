import DequeModule

/// The end of calls: returned, raised, lost, out of time.
extension Engine {
  /// The wait between SIGTERM and SIGKILL for an attempt whose time limit has passed, in
  /// milliseconds.
  static let timeLimitGrace: Milliseconds = 1_000

  /// The most attempts that a job can have, whatever it asks for: its counter ends here, and one
  /// that stands still would never reach a larger number.
  static let attemptsMax = Int(UInt16.max)

  mutating func callSucceeded(
    _ id: CallID, _ outcome: Outcome, at moment: Moment, _ turn: inout Turn
  ) {
    guard let call = take(id, at: moment, &turn) else { return }
    if let ending = call.ending {
      endFromOutside(call, ending, at: moment, &turn)
    } else {
      end(call.job, outcome, at: moment, &turn)
    }
    dispatch(pool: id.slot.pool, at: moment, &turn)
  }

  mutating func callRaised(
    _ id: CallID, _ raised: RaisedError, at moment: Moment, _ turn: inout Turn
  ) {
    guard let call = take(id, at: moment, &turn) else { return }
    if let ending = call.ending {
      endFromOutside(call, ending, at: moment, &turn)
    } else {
      fail(call.job, JobError(raised, attempt: attempt(of: call.job)), at: moment, &turn)
    }
    dispatch(pool: id.slot.pool, at: moment, &turn)
  }

  mutating func callLost(
    _ id: CallID, _ loss: Loss, at moment: Moment, _ turn: inout Turn
  ) {
    guard let call = take(id, at: moment, &turn) else { return }
    if let ending = call.ending {
      endFromOutside(call, ending, loss, at: moment, &turn)
    } else if loss == .notStarted {
      giveBack(call.job, .notStarted, &turn)
    } else if isDrainGraceOver {
      giveBackOrFail(call.job, .shutdown, at: moment, &turn)
    } else if loss == .interrupted {
      giveBackOrFail(call.job, .interrupted, at: moment, &turn)
    } else {
      fail(call.job, error(of: loss, attempt: attempt(of: call.job)), at: moment, &turn)
    }
    dispatch(pool: id.slot.pool, at: moment, &turn)
  }

  /// Notes how far a call is. Of one that is over it says nothing.
  mutating func callProgressed(_ id: CallID, _ progress: Progress) {
    let slot = id.slot
    guard slot.pool < pools.count, slot.index < pools[slot.pool].slots.count,
      pools[slot.pool].slots[slot.index].calls.first?.id == id
    else { return }
    pools[slot.pool].slots[slot.index].progress = progress
  }

  /// Takes a call out of its slot; the one behind it begins to run. Nil for an answer that nobody
  /// waits for.
  mutating func take(
    _ id: CallID, at moment: Moment, _ turn: inout Turn
  ) -> Call? {
    let slot = id.slot
    guard slot.pool < pools.count, slot.index < pools[slot.pool].slots.count else { return nil }
    let found: (call: Call, next: Call?)? = pools[slot.pool].update(slot: slot.index) { held in
      guard let position = held.calls.firstIndex(where: { $0.id == id }) else { return nil }
      let call = position == 0 ? held.calls.removeFirst() : held.calls.remove(at: position)
      if position == 0, held.progress != nil { held.progress = nil }
      return (call, position == 0 ? held.calls.first : nil)
    }
    guard let found else { return nil }
    deadlines.remove(found.call.job)
    if let next = found.next { callBegan(next, at: moment, &turn) }
    return found.call
  }

  private func attempt(of number: JobNumber) -> Int {
    store[number].map { Int($0.attempt) } ?? 0
  }

  /// Not before it began, however the clock was set back meanwhile.
  func momentOfEnd(of number: JobNumber, at moment: Moment) -> Timestamp {
    store[number].map { max(moment.timestamp, $0.createdAt, $0.startedAt) } ?? moment.timestamp
  }

  /// Makes a job final.
  mutating func end(
    _ number: JobNumber, _ outcome: Outcome, at moment: Moment, _ turn: inout Turn
  ) {
    emit(.jobEnded(number, outcome, at: momentOfEnd(of: number, at: moment)), &turn)
    if !lastChances.isEmpty { lastChances.remove(number) }
    drainRate.jobEnded(at: moment.instant)
    if store.mapCount > 0, let chunk = store[number]?.options?.chunk {
      turn.effects.append(.jobChanged(number))
      if store.map(chunk.map)?.stage == .final { turn.effects.append(.jobEnded(chunk.map)) }
    } else {
      turn.effects.append(.jobEnded(number))
    }
    finishDrainIfIdle(&turn)
  }

  /// Fails a job, or schedules its next attempt.
  mutating func fail(
    _ number: JobNumber, _ error: JobError, at moment: Moment, _ turn: inout Turn
  ) {
    guard
      let job = store[number], job.state == .running, error.code.isWorthRetrying,
      Int(job.attempt) < min(job.effectiveOptions.attemptsMax, Engine.attemptsMax),
      !isOfCancelledMap(number)
    else { return end(number, .failed(error), at: moment, &turn) }
    let retryAt = moment.timestamp(after: retryPolicy.wait(after: Int(job.attempt)))
    emit(.attemptFailed(number, error, retryAt: retryAt), &turn)
    deadlines.insert(number, due: moment.instant(of: retryAt))
    turn.effects.append(.jobChanged(number))
    finishDrainIfIdle(&turn)
  }

  mutating func retryDue(_ number: JobNumber, _ turn: inout Turn) {
    emit(.jobQueued(number), &turn)
    enqueue(number)
    turn.effects.append(.jobChanged(number))
  }

  /// A call used more than its task may: its worker is killed, and the job fails when it is gone.
  mutating func callPassedLimit(_ id: CallID, _ limit: PassedLimit, _ turn: inout Turn) {
    let slot = id.slot
    guard slot.pool < pools.count, slot.index < pools[slot.pool].slots.count,
      pools[slot.pool].slots[slot.index].calls.first?.id == id,
      pools[slot.pool].slots[slot.index].calls[0].ending == nil
    else { return }
    pools[slot.pool].slots[slot.index].calls[0].ending = .passed(limit)
    deadlines.remove(pools[slot.pool].slots[slot.index].calls[0].job)
    turn.effects.append(.endCall(id, grace: 0))
  }

  /// The attempt's time limit passed: its worker is ended, and the job fails when it has.
  mutating func timeLimitPassed(_ number: JobNumber, _ turn: inout Turn) {
    for pool in pools.indices {
      for index in pools[pool].slots.indices
      where pools[pool].slots[index].calls.first?.job == number {
        pools[pool].slots[index].calls[0].ending = .timedOut
        let call = pools[pool].slots[index].calls[0].id
        turn.effects.append(.endCall(call, grace: Engine.timeLimitGrace))
        return
      }
    }
  }

  private mutating func endFromOutside(
    _ call: Call, _ ending: Call.Ending, _ loss: Loss? = nil, at moment: Moment,
    _ turn: inout Turn
  ) {
    var error: JobError
    switch ending {
    case .cancelled: return end(call.job, .cancelled, at: moment, &turn)
    case .withdrawn: return
    case .poolTerminated: error = terminationError(of: call.job, in: call.id.slot.pool)
    case .passed(let limit): error = JobError(limit, attempt: attempt(of: call.job))
    case .timedOut:
      let limit = timeout(of: call.job) ?? 0
      error = JobError(
        code: .timedOut, type: "TimeLimitPassed",
        message: "the attempt ran longer than its time limit of \(limit) ms and was ended",
        attempt: attempt(of: call.job))
    }
    error.note(loss)
    fail(call.job, error, at: moment, &turn)
  }

  /// What a cut-off attempt leads to: the job waits again, or is given up.
  private mutating func giveBackOrFail(
    _ number: JobNumber, _ revocation: Revocation, at moment: Moment, _ turn: inout Turn
  ) {
    guard let job = store[number] else { return }
    if let error = verdict(on: job, cutOffBy: revocation) {
      end(number, .failed(error), at: moment, &turn)
    } else {
      giveBack(number, revocation, &turn)
    }
  }

  /// Puts a running job back into its pool's line.
  private mutating func giveBack(
    _ number: JobNumber, _ revocation: Revocation, _ turn: inout Turn
  ) {
    emit(.attemptRevoked(number, revocation), &turn)
    if revocation == .interrupted { noteLastChance(of: number) }
    enqueue(number, byAge: true)
    turn.effects.append(.jobChanged(number))
    finishDrainIfIdle(&turn)
  }

  /// The error with which a cut-off job is given up; nil when it waits for another attempt.
  func verdict(on job: Job, cutOffBy revocation: Revocation) -> JobError? {
    let losses = Int(job.losses) + (revocation == .interrupted ? 1 : 0)
    let message: String
    if job.effectiveOptions.onInterrupt == .fail {
      message = "the service was cut off while the job ran, and on_interrupt is \"fail\""
    } else if losses >= limits.lossesMax {
      message = "cut off \(losses) times while it ran; it is not run again"
    } else {
      return nil
    }
    return JobError(
      code: .interrupted, type: "Interrupted", message: message, attempt: Int(job.attempt))
  }

  private func error(of loss: Loss, attempt: Int) -> JobError {
    switch loss {
    case .workerExited(let exitcode) where exitcode < 0:
      JobError(
        code: .signalled, type: "WorkerSignalled",
        message: "the worker was ended by signal \(-exitcode) while it ran the job",
        exitcode: exitcode, attempt: attempt)
    case .workerExited(let exitcode):
      JobError(
        code: .exited, type: "WorkerExited",
        message: "the worker ended with exit status \(exitcode) while it ran the job",
        exitcode: exitcode, attempt: attempt)
    case .outOfMemory(let exitcode):
      JobError(
        code: .oomKilled, type: "OutOfMemory",
        message: "the system ran out of memory and killed the worker while it ran the job",
        exitcode: exitcode, attempt: attempt)
    case .programFailed(let raised): JobError(raised, attempt: attempt)
    case .protocolBroken(let reason):
      JobError(
        code: .workerLost, type: "ProtocolBroken",
        message: "\(reason); the service ended it", attempt: attempt)
    case .interrupted, .notStarted:
      JobError(
        code: .workerLost, type: "WorkerLost",
        message: "the worker is gone and nobody knows how", attempt: attempt)
    }
  }

  /// Tells the end of the drain, once, when nothing runs.
  mutating func finishDrainIfIdle(_ turn: inout Turn) {
    guard isDraining, !isDrainFinished, store.count(of: .running) == 0 else { return }
    isDrainFinished = true
    turn.effects.append(.finishDrain)
  }
}

extension JobError {
  /// Takes over how the process ended, and what it had to say, from what is not told as the reason.
  fileprivate mutating func note(_ loss: Loss?) {
    switch loss {
    case .workerExited(let exitcode), .outOfMemory(let exitcode): self.exitcode = exitcode
    case .programFailed(let raised):
      exitcode = raised.exitcode
      traceback = raised.traceback
    case .protocolBroken, .interrupted, .notStarted, nil: break
    }
  }

  /// What a worker, or the end of a program, tells.
  fileprivate init(_ raised: RaisedError, attempt: Int) {
    self.init(
      code: raised.code, type: raised.type, message: raised.message, traceback: raised.traceback,
      args: raised.args, module: raised.module, pickle: raised.pickle, exitcode: raised.exitcode,
      attempt: attempt, item: raised.item, values: raised.values)
  }

  /// A limit that was passed.
  fileprivate init(_ limit: PassedLimit, attempt: Int) {
    switch limit {
    case .cpu(let limit, let used):
      self.init(
        code: .cpuLimit, type: "CPULimitPassed",
        message: """
          the attempt used \(used / 1_000) ms of CPU time, more than the \(limit / 1_000) ms that \
          its task may use, and was killed
          """, attempt: attempt)
    case .memory(let limit, let used):
      self.init(
        code: .memoryLimit, type: "MemoryLimitPassed",
        message: """
          the attempt used \(used) bytes of memory, more than the \(limit) bytes that its task may \
          use, and was killed
          """, attempt: attempt)
    }
  }
}
