import DequeModule

/// Requests to end a job, and to drop one.
extension Engine {
  mutating func cancel(
    _ number: JobNumber, _ grace: Milliseconds, _ request: RequestID, at moment: Moment,
    _ turn: inout Turn
  ) {
    guard let job = store[number] else {
      turn.effects.append(.answer(request, .refused(.unknownJob)))
      return
    }
    guard !job.state.isFinal else {
      turn.effects.append(.answer(request, .refused(.notCancellable(job.state))))
      return
    }
    guard isWritable else {
      turn.effects.append(.answer(request, .refused(.readOnly)))
      return
    }
    if job.state == .running {
      cancelRunning(job, grace, &turn)
    } else {
      endUnstarted(job, at: moment, &turn)
    }
    turn.effects.append(.answer(request, .cancelled(number)))
  }

  /// Ends a job that no slot holds.
  mutating func endUnstarted(_ job: Job, at moment: Moment, _ turn: inout Turn) {
    deadlines.remove(job.number)
    end(job.number, .cancelled, at: moment, &turn)
    if job.state == .queued { entryBecameStale(in: job.pool) }
  }

  /// Drops a job that nobody was told of. If a slot holds it, its worker does not know yet.
  mutating func withdraw(_ number: JobNumber, at moment: Moment, _ turn: inout Turn) {
    if store.map(number) != nil { return withdrawMap(number, at: moment, &turn) }
    drop(number, at: moment, &turn)
    if store[number] != nil { emit(.jobForgotten(number), &turn) }
  }

  /// Ends a job of which nobody is to hear; its worker may not know of it yet.
  mutating func drop(_ number: JobNumber, at moment: Moment, _ turn: inout Turn) {
    guard let job = store[number], !job.state.isFinal else { return }
    if job.state == .running, let id = call(of: number) { _ = take(id, at: moment, &turn) }
    emit(.jobWithdrawn(number), &turn)
    if job.state == .queued { entryBecameStale(in: job.pool) }
    turn.effects.append(.jobChanged(number))
    finishDrainIfIdle(&turn)
  }

  mutating func entryBecameStale(in pool: Name) {
    ready[Int(pool.index)].entryBecameStale { [store] in store[$0]?.state != .queued }
  }

  /// The same of so many.
  mutating func entriesBecameStale(_ count: Int, in pool: Name) {
    guard count > 0 else { return }
    ready[Int(pool.index)].entriesBecameStale(count)
  }

  /// Ends the worker of a running job. A job that is only next in line is ended when it comes to
  /// the front: its worker runs another's call until then.
  mutating func cancelRunning(_ job: Job, _ grace: Milliseconds, _ turn: inout Turn) {
    guard !job.isCancelRequested else { return }
    emit(.cancelRequested(job.number), &turn)
    turn.effects.append(.jobChanged(job.number))
    for pool in pools.indices {
      for index in pools[pool].slots.indices {
        let calls = pools[pool].slots[index].calls
        guard let position = calls.firstIndex(where: { $0.job == job.number }) else { continue }
        let isEnding = calls[position].ending != nil
        pools[pool].slots[index].calls[position].ending = .cancelled(grace: grace)
        deadlines.remove(job.number)
        if position == 0, !isEnding {
          turn.effects.append(.endCall(calls[position].id, grace: grace))
        }
        return
      }
    }
  }

  mutating func forget(_ number: JobNumber, _ request: RequestID, _ turn: inout Turn) {
    let answer: Answer
    if let job = store[number] {
      if let chunk = job.options?.chunk, let map = store.map(chunk.map) {
        answer = .refused(.chunkOfMap(map.id))
      } else if !job.state.isFinal {
        answer = .refused(.notFinal(job.state))
      } else if !isWritable {
        answer = .refused(.readOnly)
      } else {
        emit(.jobForgotten(number), &turn)
        answer = .forgotten
      }
    } else {
      answer = .refused(.unknownJob)
    }
    turn.effects.append(.answer(request, answer))
  }
}
