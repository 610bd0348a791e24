import HTTPServer
import JobCore
import JobStorage
import Multiprocessing

/// Persist, then speak: records to the journal, then the effects that depend on them.
extension Server {
  /// Appends the records of the turn, in one write, and performs its effects; or holds them back
  /// until the journal has taken the records (and synced them, with `--sync always`).
  func commit() throws(StorageError) {
    guard !turn.isEmpty else { return }
    if !turn.records.isEmpty {
      dropLogs(of: turn.records)
      do throws(StorageError) {
        try storage.append(turn.records, at: now)
      } catch {
        try storageFailed(error)
      }
    }
    if heldBack.isEmpty, speakableSequence >= assignedSequence {
      for effect in turn.effects { perform(effect) }
      turn.reset()
    } else {
      try holdBack()
    }
  }

  /// Does one thing that the engine asked for; what it tells must be durable.
  func perform(_ effect: Effect) {
    switch effect {
    case .answer(let request, let answer): perform(answer, to: request)
    case .dispatch(let call, let number): dispatch(call, number)
    case .endCall(let call, let grace):
      drivers[call.slot.pool]?.end(call, graceMilliseconds: grace, at: now.instant)
    case .jobChanged(let number): jobChanged(number)
    case .jobEnded(let number):
      jobChanged(number)
      noteCompletion(of: number)
    case .finishDrain: if isDraining { phase = .closing }
    case .startPool, .resizePool, .closePool, .terminatePool, .dropPool, .poolChanged, .poolJoined:
      performOnPool(effect)
    }
  }

  private func dispatch(_ call: CallID, _ number: JobNumber) {
    // The engine is lent meanwhile: whatever a driver has to tell, it tells in a later turn.
    let isHeld = reading { engine in
      engine.store.withJob(number) { job in
        assign(
          Assignment(
            call: call, job: job.id, attempt: Int(job.attempt),
            task: engine.store.text(of: job.task), args: job.args,
            kwargs: job.options?.kwargs ?? "", kind: kind(of: job, engine),
            encoding: job.options?.encoding ?? .json, main: job.options?.main))
      }
    }
    // A chunk of a map that was withdrawn before its worker was told.
    if !isHeld { inbox.append(.callLost(call, .notStarted)) }
  }

  private func assign(_ assignment: Assignment) {
    let call = assignment.call
    guard let pool = drivers[call.slot.pool] else { return }
    pool.assign(assignment, at: now.instant)
    // A program's limits count from when it runs; a worker begins as soon as it is told.
    if !taskSettings.isEmpty, !pool.configured.runsPrograms {
      watchUsage(
        of: call, task: assignment.task, process: pool.process(of: call.slot.index), isFresh: false)
    }
  }

  private func kind(of job: Job, _ engine: Engine) -> Assignment.Kind {
    guard let chunk = job.options?.chunk else { return .call }
    return .chunk(star: engine.store.map(chunk.map)?.isStar ?? false)
  }

  // MARK: Answers

  private func perform(_ answer: Answer, to id: RequestID) {
    if RequestTable.isItem(id) { return perform(answer, toItem: id) }
    guard let request = requests.remove(id) else { return }
    switch answer {
    case .accepted(let number, _), .taken(let number):
      var presentation = request.presentation
      if case .accepted(_, let isReplay) = answer { presentation.isReplay = isReplay }
      let isFinal = reading { $0.store.brief(of: number) }?.state.isFinal ?? true
      if request.wait > 0, !(isFinal && isDurable(number)) {
        wait(
          request.response, for: number, .final, presentation, milliseconds: request.wait)
      } else {
        tellAccepted(request.response, of: number, presentation)
      }
    case .opened(let number):
      if let input = request.input { opened(input, number) }
    case .cancelled(let number):
      tell(request.response, of: number, .final, request.presentation)
    case .forgotten:
      request.response.resume(with: .empty())
    case .pool(let pool): tellPool(pool, to: request.response)
    case .poolCreated(let pool, let isReplay):
      tellPool(pool, to: request.response, isCreation: true, isReplay: isReplay)
    case .refused(let refusal):
      let problem = JobAnswers.problem(of: refusal)
      noteRefusal(problem)
      request.response.resume(with: JobAnswers.problem(problem))
    }
  }

  // MARK: Waiting

  /// Lets a client wait for a job; it is let go when it leaves.
  func wait(
    _ response: PendingResponse, for number: JobNumber, _ goal: Waiters.Goal,
    _ presentation: Presentation, milliseconds: JobCore.Milliseconds
  ) {
    let deadline = now.instant.advanced(byMilliseconds: milliseconds)
    let handle = waiters.add(
      response, for: number, goal: goal, presentation, until: deadline.nanoseconds,
      attendance(of: number))
    letGo(response, handle)
  }

  /// Lets a client wait until so many goals of a group are met.
  func wait(
    _ response: PendingResponse, for group: JobGroup, _ goals: [(JobNumber, Waiters.Goal)],
    missing: Int, milliseconds: JobCore.Milliseconds
  ) {
    let deadline = now.instant.advanced(byMilliseconds: milliseconds)
    let handle = waiters.add(
      response, for: group, goals, missing: missing, until: deadline.nanoseconds,
      attendances(of: goals.lazy.map(\.0)))
    letGo(response, handle)
  }

  /// Ends the wait of a client that leaves. One that only closed its sending side still reads, so
  /// it hears how far the job is. One that left does not, and by the answer its connection is given
  /// back at once. With a slow disk it may have left before its wait begins.
  private func letGo(_ response: PendingResponse, _ handle: Waiters.Handle) {
    let end = { [unowned self] in
      if let waiter = waiters.remove(handle) { waitIsOver(waiter) }
    }
    if response.isAbandoned {
      end()
    } else {
      response.onAbandoned = end
    }
  }

  private func jobChanged(_ number: JobNumber) {
    if !logFollowers.isEmpty { feedFollowers(of: number) }
    feedEvents(of: number)
    dropNews(of: number)
    if reading({ $0.store.mapCount }) > 0 || !mapReaders.isEmpty { mapChanged(number) }
    guard waiters.count > 0, !reading({ $0.store.isMap(number) }) else { return }
    // If memory is ahead of what is durable, a later effect tells of the rest; but none tells that
    // the job was dropped.
    guard isDurable(number) || reading({ $0.store.brief(of: number) }) == nil else { return }
    wake(number)
  }

  /// Answers who has waited for a job, or a map, to be as it is.
  func wake(_ number: JobNumber) {
    waiters.satisfied(by: reading { $0.store.brief(of: number) }, number) { waiter in
      switch waiter.subject {
      case .job(_, let goal, let presentation):
        tell(waiter.response, of: number, goal, presentation)
      case .group(let group): tell(group, to: waiter.response)
      }
    }
  }

  /// The wait is over: the client hears how far its jobs are.
  func waitIsOver(_ waiter: Waiters.Waiter) {
    switch waiter.subject {
    case .job(let number, _, let presentation) where presentation.isAcceptance:
      tellAccepted(waiter.response, of: number, presentation)
    case .job(let number, let goal, let presentation):
      tell(waiter.response, of: number, goal, presentation)
    case .group(let group): tell(group, to: waiter.response)
    }
  }

  /// Who submitted a job must hear that it was accepted, or would do it again; if nothing later may
  /// be told, the handle is that of then.
  private func tellAccepted(
    _ client: PendingResponse, of number: JobNumber, _ presentation: Presentation
  ) {
    if !engine.isWritable, !isDurable(number) {
      if let job = engine.store[number] {
        return client.resume(with: JobAnswers.handle(of: job.asAccepted, in: engine, presentation))
      }
      if let map = engine.store.map(number) {
        return client.resume(with: MapAnswers.handle(of: map.asAccepted, in: engine, presentation))
      }
    }
    tell(client, of: number, .final, presentation)
  }

  private func tell(
    _ client: PendingResponse, of number: JobNumber, _ goal: Waiters.Goal,
    _ presentation: Presentation
  ) {
    if reading({ $0.store.mapCount }) > 0, let map = reading({ $0.store.map(number) }) {
      return tell(client, of: map, goal, presentation)
    }
    // The engine is lent meanwhile: an answer is put in line here, and decides nothing.
    let isHeld = reading { engine in
      engine.store.withJob(number) { job in
        tell(response(to: goal, job, presentation), of: number, to: client)
      }
    }
    if !isHeld { tell(gone, of: number, to: client) }
  }
}

extension Job {
  /// The job as it was when it had just been accepted.
  var asAccepted: Job {
    Job(
      number: number, id: id, task: task, pool: pool, args: args, options: options,
      createdAt: createdAt)
  }
}
