import DequeModule

/// Items of maps become the jobs of their chunks: a document's in slices, others as they come.
extension Engine {
  /// Maps whose clients wait until the whole document is in the journal.
  public var unansweredMaps: [MapNumber] { mapWork.documents.map(\.map) }

  /// Makes jobs of the next items of the oldest document.
  mutating func cutDocument(at moment: Moment, _ turn: inout Turn) {
    var document = mapWork.documents[0]
    guard let map = store.map(document.map)?.withoutPlaces else {
      preconditionFailure("its map is not final")
    }
    for _ in 0..<limits.chunksPerTurnMax where document.next < document.items.count {
      let end = min(document.next + map.chunkSize, document.items.count)
      let args = document.items.array(of: document.next..<end)
      add(
        ChunkInput(count: end - document.next, args: args), to: map, document.next, at: moment,
        &turn)
      document.next = end
    }
    if document.next < document.items.count {
      mapWork.documents[0] = document
    } else {
      mapWork.documents.removeFirst()
      emit(.mapInputEnded(document.map, nil, at: max(moment.timestamp, map.createdAt)), &turn)
      turn.effects += document.answers
    }
    tellChange(of: document.map, &turn)
    dispatch(ofMap: map, at: moment, &turn)
  }

  private mutating func add(
    _ chunk: ChunkInput, to map: JobMap, _ first: Int, at moment: Moment, _ turn: inout Turn
  ) {
    let number = store.nextNumber
    let place = ChunkPlace(map: map.number, first: first, count: chunk.count)
    emit(
      .jobSubmitted(
        JobSubmitted(
          number: number, id: newID(of: number, at: moment), task: store.names[map.task],
          pool: store.names[map.pool], args: chunk.args,
          options: map.effectiveOptions.ofChunk(place), at: moment.timestamp)), &turn)
    enqueue(number)
  }

  private mutating func dispatch(ofMap map: JobMap, at moment: Moment, _ turn: inout Turn) {
    let name = store.names[map.pool]
    guard let pool = poolIndex(named: name) else { return }
    dispatch(pool: pool, at: moment, &turn)
  }

  mutating func takeItems(
    _ chunks: [ChunkInput], of number: MapNumber, at moment: Moment, _ turn: inout Turn
  ) {
    guard let map = store.map(number)?.withoutPlaces, map.stage == .taking,
      !map.isCancelRequested
    else { return }
    var first = map.items.all
    for chunk in chunks {
      add(chunk, to: map, first, at: moment, &turn)
      first += chunk.count
    }
    relieve(number, &turn)
    turn.effects.append(.jobChanged(number))
    dispatch(ofMap: map, at: moment, &turn)
  }

  mutating func endInput(
    of number: MapNumber, _ error: InputError?, _ request: RequestID?, at moment: Moment,
    _ turn: inout Turn
  ) {
    if let map = store.map(number), map.stage == .taking {
      emit(.mapInputEnded(number, error, at: max(moment.timestamp, map.createdAt)), &turn)
      mapWork.taken[number] = nil
      tellChange(of: number, &turn)
    }
    guard let request else { return }
    let answer: Answer =
      store.map(number) == nil ? .refused(.unknownJob) : .taken(number)
    turn.effects.append(.answer(request, answer))
  }

  /// Wakes who waits for a map whose input went on, or has ended: it may be final by that.
  private func tellChange(of number: MapNumber, _ turn: inout Turn) {
    let isFinal = store.map(number)?.stage == .final
    turn.effects.append(isFinal ? .jobEnded(number) : .jobChanged(number))
  }

  /// Whether more items of a map may come: not while its chunks hold too much that nobody has
  /// taken, nor while there is no room for another job.
  ///
  /// - Parameter bufferSize: chunks that may be out in any case: that wait, run, or have ended and
  ///   were not taken.
  public func mayTakeItems(_ number: MapNumber, bufferSize: Int) -> Bool {
    guard let map = store.map(number), map.stage == .taking else { return true }
    guard hasRoomForItems else { return false }
    guard map.heldBytes >= limits.mapBytesMax else { return true }
    return chunksOut(of: map) < bufferSize
  }

  /// Whether there is room for another chunk, of whatever map.
  public var hasRoomForItems: Bool {
    isWritable && store.openCount < limits.openJobsMax && store.openBytes < limits.openBytesMax
  }

  /// Chunks of a map that wait, run, or have ended and were sent to nobody.
  private func chunksOut(of map: JobMap) -> Int {
    let taken = mapWork.taken[map.number] ?? MapWork.Taken()
    let input = map.chunks.count - JobMap.count(before: taken.input.sent, in: map.chunks)
    let completion = map.ended.count - JobMap.count(before: taken.completion.sent, in: map.ended)
    return min(input, map.openChunks + completion)
  }

  /// The most bytes of arguments of one chunk; nil: the map's pool has no bound of its own.
  public func argumentBytesMax(ofMap number: MapNumber) -> Int? {
    guard let map = store.map(number), let pool = poolIndex(named: store.names[map.pool])
    else { return nil }
    return pools[pool].rule.argumentBytesMax
  }
}
