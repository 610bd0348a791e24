import DequeModule
import HTTPServer
import JobCore
import JobStorage
import Multiprocessing

/// Persist, then speak: records to the journal, then the effects that depend on them.
extension Server {
  /// Something that waits until the journal is durable up to a record.
  struct HeldBack {
    enum Deed {
      case effects([Effect])
      case read(PendingResponse, (Server) -> HTTPResponse)
    }

    let sequence: UInt64
    let deed: Deed
  }

  /// Appends the records of the turn, in one write, and performs its effects; or holds them back
  /// until the journal has taken the records (and synced them, with `--sync always`).
  func commit() throws(StorageError) {
    guard !turn.isEmpty else { return }
    if !turn.records.isEmpty {
      metrics.note(turn.records, store: engine.store)
      do throws(StorageError) {
        try storage.append(turn.records, at: now)
      } catch {
        try storageFailed(error)
      }
    }
    if heldBack.isEmpty, speakableSequence >= assignedSequence {
      for effect in turn.effects { perform(effect) }
    } else {
      heldBack.append(
        HeldBack(sequence: assignedSequence, deed: .effects(turn.effects)))
    }
    turn.reset()
  }

  /// The newest record that the engine has decided.
  private var assignedSequence: UInt64 {
    storage.appendedSequence + UInt64(storage.pendingCount)
  }

  /// The newest record that may be spoken of: with `--sync always` one that is on the disk.
  private var speakableSequence: UInt64 {
    settings.sync == .always ? storage.syncedSequence : storage.appendedSequence
  }

  /// Performs what was held back and is durable now.
  func release() {
    while let first = heldBack.first, first.sequence <= speakableSequence {
      heldBack.removeFirst()
      switch first.deed {
      case .effects(let effects): for effect in effects { perform(effect) }
      case .read(let response, let render): response.resume(with: render(self))
      }
    }
  }

  /// Answers a read: at once if everything that it may show is durable, otherwise when it is. While
  /// the journal takes nothing, what it does not hold is not shown.
  func speak(
    of number: JobNumber?, _ later: () -> PendingResponse,
    _ render: @escaping (Server) -> HTTPResponse
  ) throws(Problem) -> HTTPAnswer {
    if heldBack.isEmpty { return .now(render(self)) }
    guard engine.isWritable else { throw JobAnswers.readOnly }
    heldBack.append(HeldBack(sequence: assignedSequence, deed: .read(later(), render)))
    return .later
  }

  private func perform(_ effect: Effect) {
    switch effect {
    case .answer(let request, let answer): perform(answer, to: request)
    case .dispatch(let call, let number): dispatch(call, number)
    case .endCall(let call, let grace):
      pools[call.slot.pool].end(call, graceMilliseconds: grace, at: now.instant)
    case .jobChanged(let number): jobChanged(number)
    case .finishDrain: if isDraining { phase = .closing }
    }
  }

  private func dispatch(_ call: CallID, _ number: JobNumber) {
    guard let job = engine.store[number] else { return }
    pools[call.slot.pool].assign(
      call, attempt: Int(job.attempt), task: engine.store.names[job.task], args: job.args,
      kwargs: job.options?.kwargs ?? "", at: now.instant)
  }

  // MARK: Answers

  private func perform(_ answer: Answer, to id: RequestID) {
    guard let request = requests.remove(id) else { return }
    switch answer {
    case .accepted(let number, let isReplay):
      var presentation = request.presentation
      presentation.isReplay = isReplay
      guard let job = engine.store[number] else { return request.response.resume(with: gone) }
      if request.wait > 0, !job.state.isFinal {
        wait(
          request.response, for: number, .final, presentation, milliseconds: request.wait)
      } else {
        request.response.resume(with: JobAnswers.handle(of: job, in: engine, presentation))
      }
    case .cancelled(let number):
      guard let job = engine.store[number] else { return request.response.resume(with: gone) }
      request.response.resume(
        with: JobAnswers.handle(of: job, in: engine, request.presentation))
    case .forgotten:
      request.response.resume(with: .empty())
    case .refused(let refusal):
      request.response.resume(with: JobAnswers.problem(JobAnswers.problem(of: refusal)))
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
      response, for: number, goal: goal, presentation, until: deadline.nanoseconds)
    response.onAbandoned = { [unowned self] in waiters.remove(handle) }
  }

  private func jobChanged(_ number: JobNumber) {
    guard waiters.count > 0, let job = engine.store[number] else { return }
    waiters.satisfied(by: job) { waiter in
      waiter.response.resume(with: response(to: waiter.goal, job, waiter.presentation))
    }
  }

  /// The wait is over: the client hears of the job as it is.
  func waitIsOver(_ waiter: Waiters.Waiter) {
    guard let job = engine.store[waiter.number] else { return waiter.response.resume(with: gone) }
    waiter.response.resume(with: response(to: waiter.goal, job, waiter.presentation))
  }
}
