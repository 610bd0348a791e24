@testable import JobCore

/// The books: what must follow from an event, and whether it did.
extension History {
  mutating func expect(_ holds: Bool, _ problem: @autoclosure () -> String) {
    if !holds { problems.append(problem()) }
  }

  mutating func hand(_ event: Event) -> Turn {
    var turn = Turn()
    engine.handle(event, at: moment, &turn)
    eventCounts[event.word, default: 0] += 1
    compareCompletions(turn)
    return turn
  }

  /// Each job that has ended is told as a completion, in the order of the records; a start tells
  /// none.
  private mutating func compareCompletions(_ turn: Turn) {
    let ended = turn.records.filter { $0.word.hasPrefix("ended") }.map(\.job)
    let told: [JobNumber] = turn.effects.compactMap {
      if case .jobEnded(let number) = $0 { number } else { nil }
    }
    expect(told == ended, "\(ended) ended, and \(told) are told as completions")
  }

  /// A call ends, as the worker or its pool tells it.
  mutating func end(_ call: CallID, _ end: JobModel.CallEnd) {
    let slot = call.slot
    guard
      let position = slots[slot.pool][slot.index].calls.firstIndex(where: { $0.id == call })
    else { return }
    let number = slots[slot.pool][slot.index].calls.remove(at: position).job
    if position == 0 { slots[slot.pool][slot.index].frontSince = moment.instant }
    pastCalls.append(call)
    let word = jobs[Int(number) - 1].verdict(
      on: end, lossesMax: limits.lossesMax, isGraceOver: isGraceOver)
    let turn =
      switch end {
      case .returned: hand(.callReturned(call, result: "\(number)"))
      case .raised(let code):
        hand(.callRaised(call, RaisedError(code: code, type: "E", message: "m")))
      case .lost(let loss): hand(.callLost(call, loss))
      }
    settle(turn, expected: [(number, word)])
  }

  /// Enters a turn into the books: its records must be the expected ones, then starts of attempts.
  mutating func settle(_ turn: Turn, expected: [(JobNumber, String)]) {
    for (index, record) in turn.records.enumerated() {
      if index < expected.count {
        let (number, word) = expected[index]
        expect(
          record.job == number && record.word == word,
          "\(record.word) of \(record.job), not \(word) of \(number)")
      } else {
        expect(record.word == "started", "\(record.word) of \(record.job) follows from nothing")
      }
    }
    expect(turn.records.count >= expected.count, "no record for \(expected)")
    enter(turn)
  }

  /// The clock goes on, and the engine is told until it has nothing more to do at this moment.
  mutating func passTime(_ milliseconds: Milliseconds) {
    moment = Moment(
      instant: moment.instant.advanced(byMilliseconds: milliseconds),
      timestamp: moment.timestamp + milliseconds)
    var turns = 0
    repeat {
      let turn = hand(.timePassed)
      for record in turn.records {
        let words = ["started", "queued", "ended(initializer_failed)", "forgotten"]
        expect(words.contains(record.word), "\(record.word) of \(record.job) by time")
      }
      enter(turn, isTime: true)
      turns += 1
      expect(turns < 500, "time does not come to rest")
    } while problems.isEmpty
      && (engine.nextDeadline(at: moment).map { $0 <= moment.instant } ?? false)
    guard isWritable else { return }
    for number in live {
      let job = jobs[Int(number) - 1]
      expect(job.state != .scheduled || job.dueAt > moment.timestamp, "\(number) is overdue")
      expect(job.state != .queued || !isBroken[job.pool], "\(number) waits in a broken pool")
    }
    for slot in slots.joined() {
      guard let call = slot.calls.first else { continue }
      let isLate = hasPassed(jobs[Int(call.job) - 1].options.timeout, since: slot.frontSince)
      let job = jobs[Int(call.job) - 1]
      expect(!isLate || job.isOvertime || job.isCancelRequested, "\(call.job) runs too long")
    }
    expect(!isBeyondRetention, "more is kept than retention allows")
  }

  private func hasPassed(_ timeout: Milliseconds?, since instant: Instant) -> Bool {
    timeout.map { instant.advanced(byMilliseconds: $0) <= moment.instant } ?? false
  }

  private var isBeyondRetention: Bool {
    guard let first = finishOrder.first else { return false }
    return finishOrder.count > limits.retentionJobsMax
      || finishOrder.reduce(0) { $0 + jobs[Int($1) - 1].retainedBytes } > limits.retentionBytesMax
      || jobs[Int(first) - 1].finishedAt + limits.retentionAge <= moment.timestamp
  }

  private mutating func enter(_ turn: Turn, isTime: Bool = false) {
    for record in turn.records { enter(record, isTime: isTime) }
    var dispatched: [JobNumber] = []
    for effect in turn.effects {
      switch effect {
      case .dispatch(let call, let number):
        dispatched.append(number)
        enter(call, of: number)
      case .endCall(let call, _): enterEnd(of: call, isTime: isTime)
      case .finishDrain:
        expect(isDraining && !isDrainFinished, "the drain ends twice, or unasked")
        isDrainFinished = true
      case .startPool, .resizePool, .closePool, .terminatePool, .dropPool, .poolChanged,
        .poolJoined:
        problems.append("\(effect) where nobody creates pools")
      case .answer, .jobChanged, .jobEnded: break
      }
    }
    let started = turn.records.filter { $0.word == "started" }.map(\.job)
    expect(started == dispatched, "started \(started) and dispatched \(dispatched)")
    journal += turn.records
    compareBooks()
  }

  private mutating func enter(_ record: Record, isTime: Bool) {
    let number = record.job
    if case .jobSubmitted(let submitted) = record { return enter(submitted) }
    guard live.contains(number) else { return problems.append("\(record) of a job that is not") }
    var job = jobs[Int(number) - 1]
    switch record {
    case .jobSubmitted: break
    case .attemptStarted(_, let attempt, _):
      expect(job.state == .queued, "job \(number) starts, and is \(job.state)")
      expect(isWritable && !isDraining, "job \(number) starts when nothing may")
      checkTurn(of: number, job)
      job.state = .running
      job.attempt += 1
      expect(attempt == job.attempt, "attempt \(attempt) of job \(number) is \(job.attempt)")
    case .attemptRevoked(_, let revocation):
      job.state = .queued
      job.attempt -= 1
      job.losses += revocation == .interrupted ? 1 : 0
    case .attemptFailed(_, _, let retryAt):
      var wait = limits.retryDelay
      for _ in 1..<job.attempt { wait = min(wait * 2, limits.retryDelayMax) }
      job.state = .scheduled
      job.isOvertime = false
      job.dueAt = moment.timestamp + wait
      expect(retryAt == job.dueAt, "job \(number) is due at \(retryAt), not \(job.dueAt)")
    case .jobQueued:
      expect(job.state == .scheduled && job.dueAt <= moment.timestamp, "\(number) is early")
      job.state = .queued
    case .cancelRequested: job.isCancelRequested = true
    case .jobEnded(_, let outcome, _):
      if isTime { expect(job.state == .queued && isBroken[job.pool], "\(number) ends by time") }
      finish(&job, outcome)
      finishOrder.append(number)
    case .jobForgotten:
      if isTime {
        expect(number == finishOrder.first && isBeyondRetention, "\(number) goes too early")
      }
      expect(job.state.isFinal, "job \(number) is forgotten while it is \(job.state)")
      job.isForgotten = true
      finishOrder.removeAll { $0 == number }
      live.removeAll { $0 == number }
    case .jobWithdrawn: problems.append("job \(number) is withdrawn, and nobody asked for it")
    case .mapCreated, .mapInputEnded, .mapCancelRequested, .chunkReleased, .mapForgotten,
      .mapWithdrawn:
      problems.append("\(record) where there are no maps")
    case .poolCreated, .poolResized, .poolPaused, .poolResumed, .poolClosed, .poolTerminated,
      .poolRemoved:
      problems.append("\(record) where nobody creates pools")
    }
    keepLine(number, of: job)
    jobs[Int(number) - 1] = job
  }

  /// The oldest of a pool starts first, but one on its last chance as soon as nothing else runs;
  /// then nothing starts beside it.
  private mutating func checkTurn(of number: JobNumber, _ job: JobModel) {
    let running = slots.joined().flatMap(\.calls).map { jobs[Int($0.job) - 1] }
    if job.isOnLastChance(limits.lossesMax) {
      expect(running.isEmpty, "job \(number) is on its last chance and has company")
    } else {
      expect(lines[job.pool].first == number, "job \(number) starts before its turn")
      expect(
        !running.contains { $0.isOnLastChance(limits.lossesMax) },
        "job \(number) starts beside one on its last chance")
    }
  }

  /// New and retried jobs stand at the end, those that were given back before the first younger.
  private mutating func keepLine(_ number: JobNumber, of job: JobModel) {
    var line = lines[job.pool].filter { $0 != number }
    if job.state == .queued {
      let isGivenBack = jobs[Int(number) - 1].state == .running
      let place = isGivenBack ? line.firstIndex { $0 > number } : nil
      line.insert(number, at: place ?? line.count)
    }
    lines[job.pool] = line
  }

  private mutating func enter(_ submitted: JobSubmitted) {
    expect(Int(submitted.number) == jobs.count + 1, "numbers are not consecutive")
    var submission = Submission(
      task: submitted.task, args: submitted.args, pool: submitted.pool, options: submitted.options)
    submission.id = submitted.id
    let pool = History.pools.firstIndex(of: submitted.pool) ?? 0
    let key = submission.options?.idempotencyKey
    for number in live where key != nil || submission.id != nil {
      let job = jobs[Int(number) - 1]
      expect(key == nil || job.options.idempotencyKey != key, "\(key ?? "") admits two jobs")
      expect(job.id != submitted.id, "\(submitted.id) admits two jobs")
    }
    jobs.append(JobModel(submission: submission, pool: pool, id: submitted.id))
    live.append(submitted.number)
    lines[pool].append(submitted.number)
  }

  private func finish(_ job: inout JobModel, _ outcome: Outcome) {
    job.finishedAt = moment.timestamp
    job.isCancelRequested = false
    switch outcome {
    case .succeeded(let text):
      job.state = .succeeded
      job.retainedBytes = job.bytes + text.utf8.count
    case .succeededWithBytes(let bytes):
      job.state = .succeeded
      job.retainedBytes = job.bytes + (bytes.base64 + bytes.contentType).utf8.count
    case .failed(let error):
      job.state = .failed
      job.retainedBytes =
        job.bytes + (error.type + error.message + (error.traceback ?? "")).utf8.count
    case .cancelled:
      job.state = .cancelled
      job.retainedBytes = job.bytes
    }
  }

  private mutating func enter(_ call: CallID, of number: JobNumber) {
    let slot = call.slot
    let isHeld = slots.joined().contains { $0.calls.contains { $0.job == number } }
    expect(!isHeld, "job \(number) runs twice at the same time")
    expect(slot.pool == jobs[Int(number) - 1].pool, "job \(number) runs in another pool")
    let isNew = usedCalls.insert(call).inserted
    expect(isNew, "call \(call) is used twice")
    slots[slot.pool][slot.index].calls.append((call, number))
    let held = slots[slot.pool][slot.index]
    expect(held.calls.count <= held.credit, "\(held.calls.count) calls, credit \(held.credit)")
    if held.calls.count == 1 { slots[slot.pool][slot.index].frontSince = moment.instant }
  }

  private mutating func enterEnd(of call: CallID, isTime: Bool) {
    let slot = slots[call.slot.pool][call.slot.index]
    guard let front = slot.calls.first, front.id == call else {
      return problems.append("a call is ended that does not run")
    }
    let isNew = endedCalls.insert(call).inserted
    expect(isNew, "a call is ended twice")
    let index = Int(front.job) - 1
    if !jobs[index].isCancelRequested {
      let isLate = hasPassed(jobs[index].options.timeout, since: slot.frontSince)
      expect(isTime && isLate, "job \(front.job) is ended before its time limit")
      jobs[index].isOvertime = true
    }
  }

  /// The books against the engine, and the engine's own invariants.
  private mutating func compareBooks() {
    problems += engine.brokenInvariants()
    let (held, known) = (engine.store.count, live.count)
    expect(held == known, "\(held) jobs, not \(known)")
    for number in live {
      let model = jobs[Int(number) - 1]
      guard let job = engine.store[number] else { return problems.append("job \(number) is lost") }
      expect(job.state == model.state, "job \(number) is \(job.state), not \(model.state)")
      expect(Int(job.attempt) == model.attempt, "job \(number): \(job.attempt) attempts")
      expect(Int(job.losses) == model.losses, "job \(number): \(job.losses) losses")
      expect(
        job.isCancelRequested == model.isCancelRequested, "job \(number) lost a cancel request")
      if model.state.isFinal {
        expect(job.retainedBytes == model.retainedBytes, "job \(number): retained bytes")
      }
    }
    for slot in slots.joined() {
      guard let front = slot.calls.first else { continue }
      let isEnding = jobs[Int(front.job) - 1].isCancelRequested
      expect(!isEnding || endedCalls.contains(front.id), "job \(front.job) is not being ended")
    }
    let isIdle = slots.joined().allSatisfy(\.calls.isEmpty)
    expect(!isDraining || !isIdle || isDrainFinished, "nothing runs, and the drain does not end")
    expect(isIdle || !isDrainFinished, "the drain has ended, and something runs")
  }

  /// What a submission must hear.
  func answer(toSubmission submission: Submission) -> Answer {
    let key = submission.options?.idempotencyKey
    let byID = live.first { submission.id != nil && jobs[Int($0) - 1].id == submission.id }
    let byKey = live.first { key != nil && jobs[Int($0) - 1].options.idempotencyKey == key }
    if let number = byID ?? byKey {
      let isSame = jobs[Int(number) - 1].isSame(as: submission) && (byKey ?? number) == number
      return isSame
        ? .accepted(number, isReplay: true)
        : .refused(.idempotencyMismatch(jobs[Int(number) - 1].id))
    }
    if isDraining { return .refused(.draining) }
    if !isWritable { return .refused(.readOnly) }
    let known = History.tasks.indices.filter { History.tasks[$0].contains(submission.task) }
    let pool: Int
    if let name = submission.pool {
      guard let index = History.pools.firstIndex(of: name) else {
        return .refused(.unknownPool(name))
      }
      if isBroken[index] { return .refused(.poolNotRunning(pool: name, reason: "broken")) }
      guard known.contains(index) else {
        return .refused(.taskNotInPool(task: submission.task, pool: name))
      }
      pool = index
    } else {
      guard let first = known.first else { return .refused(.unknownTask(submission.task)) }
      pool = first
    }
    if isBroken[pool] {
      return .refused(.poolNotRunning(pool: History.pools[pool], reason: "broken"))
    }
    let open = live.map { jobs[Int($0) - 1] }.filter { !$0.state.isFinal }
    guard JobModel.bytes(of: submission) <= limits.openBytesMax else {
      return .refused(.payloadTooLarge(bytesMax: limits.openBytesMax))
    }
    let bytes = open.reduce(JobModel.bytes(of: submission)) { $0 + $1.bytes }
    guard open.count < limits.openJobsMax, bytes <= limits.openBytesMax else {
      return .refused(.queueFull(retryAfter: 0))
    }
    return .accepted(JobNumber(jobs.count + 1), isReplay: false)
  }
}

extension Event {
  /// The kind of event.
  var word: String {
    switch self {
    case .submissionReceived: "submissionReceived"
    case .submissionWithdrawn: "submissionWithdrawn"
    case .cancelReceived: "cancelReceived"
    case .forgetReceived: "forgetReceived"
    case .poolAnnounced: "poolAnnounced"
    case .poolBroke: "poolBroke"
    case .slotReady: "slotReady"
    case .slotGone: "slotGone"
    case .callProgressed: "callProgressed"
    case .callReturned: "callReturned"
    case .callReturnedBytes: "callReturnedBytes"
    case .callPassedLimit: "callPassedLimit"
    case .callRaised: "callRaised"
    case .callLost: "callLost"
    case .timePassed: "timePassed"
    case .storageChanged: "storageChanged"
    case .drainRequested: "drainRequested"
    case .drainGraceEnded: "drainGraceEnded"
    case .mapReceived: "mapReceived"
    case .itemsReceived: "itemsReceived"
    case .inputEnded: "inputEnded"
    case .resultsTaken: "resultsTaken"
    case .mapCancelReceived: "mapCancelReceived"
    case .mapForgetReceived: "mapForgetReceived"
    case .poolCreateReceived: "poolCreateReceived"
    case .poolChangeReceived: "poolChangeReceived"
    case .poolCloseReceived: "poolCloseReceived"
    case .poolTerminateReceived: "poolTerminateReceived"
    case .poolAttended: "poolAttended"
    case .poolLeft: "poolLeft"
    case .poolStarted: "poolStarted"
    case .poolEnded: "poolEnded"
    }
  }
}
