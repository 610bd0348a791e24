import DequeModule

/// How maps end: cancelled, forgotten, withdrawn; and what is left of them then.
extension Engine {
  /// Bytes of dropped chunks after which no more of them are given back in the same turn.
  static let bytesGivenBackMax = 8 << 20

  mutating func cancelMap(
    _ number: MapNumber, _ grace: Milliseconds, _ request: RequestID, at moment: Moment,
    _ turn: inout Turn
  ) {
    guard let map = store.map(number) else {
      return turn.effects.append(.answer(request, .refused(.unknownJob)))
    }
    guard map.stage != .final else {
      return turn.effects.append(.answer(request, .refused(.notCancellable(map.state))))
    }
    guard isWritable else {
      return turn.effects.append(.answer(request, .refused(.readOnly)))
    }
    if !map.isCancelRequested {
      emit(.mapCancelRequested(number), &turn)
      endDocument(number, &turn)
      if map.stage == .taking {
        let error = InputError(.cancelled, "the map was cancelled while its items came")
        endInput(of: number, error, nil, at: moment, &turn)
      }
      for job in runningChunks(of: number) { cancelRunning(job, grace, &turn) }
      if store.map(number)?.stage != .final { mapWork.cancelled.append((number, 0)) }
      cancelChunks(at: moment, &turn)
      turn.effects.append(.jobChanged(number))
    }
    turn.effects.append(.answer(request, .cancelled(number)))
  }

  /// Forgets the rest of a map's document; its client hears of the map as it is.
  mutating func endDocument(_ number: MapNumber, _ turn: inout Turn) {
    guard let place = mapWork.documents.firstIndex(where: { $0.map == number }) else { return }
    turn.effects += mapWork.documents.remove(at: place).answers
  }

  private func runningChunks(of number: MapNumber) -> [Job] {
    pools.flatMap { pool in
      pool.slots.flatMap { slot in
        slot.calls.compactMap { store[$0.job] }.filter { $0.options?.chunk?.map == number }
      }
    }
  }

  /// Whether a job is a chunk of a map that is to end.
  func isOfCancelledMap(_ number: JobNumber) -> Bool {
    guard store.mapCount > 0, let chunk = store[number]?.options?.chunk else { return false }
    return store.map(chunk.map)?.isCancelRequested ?? false
  }

  /// Ends some of the chunks of cancelled maps that no slot holds.
  mutating func cancelChunks(at moment: Moment, _ turn: inout Turn) {
    var budget = limits.chunksPerTurnMax
    while budget > 0, let (number, last) = mapWork.cancelled.first {
      guard let places = store.map(number)?.chunks else {
        mapWork.cancelled.removeFirst()
        continue
      }
      // By number, as what ends may take places away at the front.
      var index = places.count
      var low = 0
      while low < index {
        let middle = (low + index) / 2
        if places[middle].job <= last { low = middle + 1 } else { index = middle }
      }
      let end = min(index + budget, places.count)
      budget -= end - index
      mapWork.cancelled[0].last = end > index ? places[end - 1].job : last
      if end == places.count { mapWork.cancelled.removeFirst() }
      for place in places[index..<end] {
        guard let job = store[place.job], job.state == .queued || job.state == .scheduled else {
          continue
        }
        endUnstarted(job, at: moment, &turn)
      }
    }
  }

  mutating func forgetMap(_ number: MapNumber, _ request: RequestID, _ turn: inout Turn) {
    let answer: Answer
    if let map = store.map(number) {
      if map.stage != .final {
        answer = .refused(.notFinal(map.state))
      } else if !isWritable {
        answer = .refused(.readOnly)
      } else {
        emit(.mapForgotten(number), &turn)
        turn.effects.append(.jobChanged(number))
        answer = .forgotten
      }
    } else {
      answer = .refused(.unknownJob)
    }
    turn.effects.append(.answer(request, answer))
  }

  /// Drops a map that nobody was told of, with whatever chunks it has.
  mutating func withdrawMap(_ number: MapNumber, at moment: Moment, _ turn: inout Turn) {
    guard let map = store.map(number) else { return }
    if let place = mapWork.documents.firstIndex(where: { $0.map == number }) {
      for request in mapWork.documents.remove(at: place).requests {
        turn.effects.append(.answer(request, .refused(.readOnly)))
      }
    }
    mapWork.cancelled.removeAll { $0.map == number }
    mapWork.taken[number] = nil
    let running = runningChunks(of: number)
    withdrawCalls(of: Set(running.map(\.number)), &turn)
    emit(.mapWithdrawn(number), &turn)
    if !lastChances.isEmpty { lastChances = lastChances.filter { store[$0] != nil } }
    entriesBecameStale(map.chunkCount(of: .queued), in: map.pool)
    for job in running { turn.effects.append(.jobChanged(job.number)) }
    turn.effects.append(.jobChanged(number))
    finishDrainIfIdle(&turn)
  }

  /// Ends the calls of chunks that are dropped, each when it is at the front of its slot.
  private mutating func withdrawCalls(of chunks: Set<JobNumber>, _ turn: inout Turn) {
    guard !chunks.isEmpty else { return }
    for pool in pools.indices {
      for slot in pools[pool].slots.indices {
        for (place, call) in pools[pool].slots[slot].calls.enumerated()
        where chunks.contains(call.job) {
          pools[pool].slots[slot].calls[place].ending = .withdrawn
          deadlines.remove(call.job)
          if place == 0 { turn.effects.append(.endCall(call.id, grace: 0)) }
        }
      }
    }
  }

  /// Gives back some of what dropped maps have left. Who waits for a chunk that had not ended hears
  /// that it is gone.
  mutating func giveBackDropped(_ turn: inout Turn) {
    let open = store.giveBackDropped(
      atMost: limits.forgottenPerTurnMax, bytesMax: Engine.bytesGivenBackMax)
    for number in open {
      deadlines.remove(number)
      turn.effects.append(.jobChanged(number))
    }
    // As many entries at least as jobs of maps that were withdrawn.
    guard !open.isEmpty else { return }
    for line in ready.indices {
      for _ in 0...open.count / NumberQueue.pieceSize {
        ready[line].sweep { [store] in store[$0]?.state != .queued }
      }
    }
  }
}
