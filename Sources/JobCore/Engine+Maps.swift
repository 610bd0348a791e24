import DequeModule

/// Maps: their items become the jobs of their chunks; in slices, so that no turn takes long.
extension Engine {
  /// Items of a chunk at most, where they come one after the other and nothing else was asked for.
  public static let streamedChunkMax = 1_000

  /// What is under way with maps; nothing of it is durable.
  struct MapWork: Equatable, Sendable {
    /// A document whose items are not all jobs yet.
    struct Document: Equatable, Sendable {
      let map: MapNumber
      let items: MapItems
      var next = 0
      let request: RequestID
      /// Requests that ask for the same meanwhile.
      var repeats: [RequestID] = []

      /// All who wait for an answer.
      var requests: [RequestID] { [request] + repeats }

      /// What all of them hear once there is no more to come.
      var answers: [Effect] {
        [.answer(request, .accepted(map, isReplay: false))]
          + repeats.map { .answer($0, .accepted(map, isReplay: true)) }
      }
    }

    /// How many lines the reader that is furthest has been sent, and has surely received.
    struct Read: Equatable, Sendable {
      var sent = 0
      var received = 0
    }

    /// What was read in each order.
    struct Taken: Equatable, Sendable {
      var input = Read()
      var completion = Read()
    }

    var documents: [Document] = []
    /// Cancelled maps with chunks that wait, and the last of them that was looked at.
    var cancelled: [(map: MapNumber, last: JobNumber)] = []
    /// Of maps whose items come one after the other.
    var taken: [MapNumber: Taken] = [:]

    /// Whether there is nothing to do.
    var isEmpty: Bool { documents.isEmpty && cancelled.isEmpty }

    static func == (lhs: MapWork, rhs: MapWork) -> Bool {
      lhs.documents == rhs.documents && lhs.taken == rhs.taken
        && lhs.cancelled.elementsEqual(rhs.cancelled) { $0 == $1 }
    }
  }

  // MARK: Submission

  mutating func submit(
    _ submission: MapSubmission, _ request: RequestID, at moment: Moment, _ turn: inout Turn
  ) {
    let key = submission.options?.idempotencyKey
    if let earlier = earlierMap(submission.id, key) {
      return answerRepeat(submission, of: earlier, request, &turn)
    }
    let number =
      submission.id.flatMap { store.number(of: $0) } ?? key.flatMap { store.number(ofKey: $0) }
    if let job = number.flatMap({ store[$0] }) {
      return turn.effects.append(.answer(request, .refused(.idempotencyMismatch(job.id))))
    }
    switch admit(submission, at: moment) {
    case .failure(let refused):
      turn.effects.append(.answer(request, .refused(refused.reason)))
    case .success(let pool):
      noteNamed(submission.pool, pool, at: moment)
      create(submission, pool, request, at: moment, &turn)
    }
  }

  private mutating func create(
    _ submission: MapSubmission, _ pool: Int, _ request: RequestID, at moment: Moment,
    _ turn: inout Turn
  ) {
    let number = store.nextNumber
    let id = submission.id ?? newID(at: moment)
    emit(
      .mapCreated(
        MapCreated(
          number: number, id: id, task: submission.task, pool: pools[pool].name,
          isStar: submission.isStar, chunkSize: chunkSize(submission, pool),
          total: submission.items?.count, options: submission.options, at: moment.timestamp)),
      &turn)
    guard let items = submission.items else {
      return turn.effects.append(.answer(request, .opened(number)))
    }
    mapWork.documents.append(
      MapWork.Document(map: number, items: items, request: request))
    // The others have waited for longer.
    if mapWork.documents.count == 1 { cutDocument(at: moment, &turn) }
  }

  private mutating func answerRepeat(
    _ submission: MapSubmission, of earlier: JobMap, _ request: RequestID, _ turn: inout Turn
  ) {
    guard isSamePayload(submission, as: earlier) else {
      return turn.effects.append(.answer(request, .refused(.idempotencyMismatch(earlier.id))))
    }
    // Not accepted yet: a crash before its last item is in the journal leaves nothing of it.
    if let place = mapWork.documents.firstIndex(where: { $0.map == earlier.number }) {
      return mapWork.documents[place].repeats.append(request)
    }
    turn.effects.append(.answer(request, .accepted(earlier.number, isReplay: true)))
  }

  /// The map that an id or a key names already.
  func earlierMap(_ id: JobID?, _ key: String?) -> JobMap? {
    guard store.mapCount > 0 else { return nil }
    if let id, let number = store.mapNumber(of: id) { return store.map(number) }
    return key.flatMap { store.mapNumber(ofKey: $0) }.flatMap { store.map($0) }
  }

  /// Task, options and, of a document, every item: all compared, and so exactly. What the client
  /// left out is not: the engine chose it.
  private func isSamePayload(_ submission: MapSubmission, as map: JobMap) -> Bool {
    let options = submission.options ?? .defaults
    guard
      store.names[map.task] == submission.task, map.isStar == submission.isStar,
      options.isSamePayload(as: map.effectiveOptions),
      submission.pool.map({ $0 == store.names[map.pool] }) ?? true,
      submission.id.map({ $0 == map.id }) ?? true,
      submission.chunkSize.map({ $0 == map.chunkSize || map.chunkSize == 0 }) ?? true,
      options.idempotencyKey == nil || map.options?.idempotencyKey == nil
        || options.idempotencyKey == map.options?.idempotencyKey,
      submission.items?.count == map.statedTotal
    else { return false }
    guard let items = submission.items else { return true }
    // While its own document is being cut, that holds what is not in chunks yet.
    if let document = mapWork.documents.first(where: { $0.map == map.number }) {
      return document.items == items
    }
    return map.chunks.allSatisfy { place in
      store[place.job]?.args == items.array(of: place.first..<place.first + place.count)
    }
  }

  private func admit(_ submission: MapSubmission, at moment: Moment) -> Result<Int, Refused> {
    admitTask(submission.task, pool: submission.pool).flatMap { pool in
      let size = chunkSize(submission, pool)
      let count = submission.items?.count ?? 1
      let chunks = size == 0 ? 0 : (count - 1) / size + 1
      let bytes = (submission.items?.text.count ?? 0) + (submission.options?.bytes ?? 0)
      // Of items that come later nobody knows yet.
      let longest = submission.items?.longestArray(of: size) ?? 0
      let refused =
        whyNotAllowed(submission.options, argumentBytes: longest, pool: pool)
        ?? whyNoRoom(jobs: chunks, bytes: bytes, at: moment)
      return refused.map { .failure($0) } ?? .success(pool)
    }
  }

  /// Python's rule (`Pool._map_async`): four chunks for each worker, the remainder rounded up.
  private func chunkSize(_ submission: MapSubmission, _ pool: Int) -> Int {
    guard let items = submission.items else {
      return submission.chunkSize ?? Engine.streamedChunkMax
    }
    if items.count == 0 { return 0 }
    let workers = max(pools[pool].processes, 1)
    return submission.chunkSize ?? (items.count - 1) / (4 * workers) + 1
  }

  // MARK: Items

  /// Maps whose clients wait until the whole document is in the journal.
  public var unansweredMaps: [MapNumber] { mapWork.documents.map(\.map) }

  mutating func workOnMaps(at moment: Moment, _ turn: inout Turn) {
    if !mapWork.documents.isEmpty { cutDocument(at: moment, &turn) }
    cancelChunks(at: moment, &turn)
  }

  /// Makes jobs of the next items of the oldest document.
  private mutating func cutDocument(at moment: Moment, _ turn: inout Turn) {
    var document = mapWork.documents[0]
    guard let map = store.map(document.map) else { preconditionFailure("its map is not final") }
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
          number: number, id: newID(at: moment), task: store.names[map.task],
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
    guard let map = store.map(number), map.stage == .taking, !map.isCancelRequested else { return }
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

  // MARK: Readers

  mutating func resultsTaken(
    _ number: MapNumber, _ order: MapOrder, _ read: MapWork.Read, _ turn: inout Turn
  ) {
    guard let map = store.map(number), map.statedTotal == nil, map.stage == .taking else { return }
    var taken = mapWork.taken[number] ?? MapWork.Taken()
    switch order {
    case .input: taken.input.goOn(to: read)
    case .completion: taken.completion.goOn(to: read)
    }
    mapWork.taken[number] = taken
    if isWritable { relieve(number, &turn) }
  }

  /// Drops chunks that a reader has received, the oldest first, while the map holds too much; and
  /// those that it was sent, while all that is open together does.
  private mutating func relieve(_ number: MapNumber, _ turn: inout Turn) {
    for _ in 0..<limits.chunksPerTurnMax {
      guard let map = store.map(number), let chunk = releasable(of: map) else { return }
      emit(.chunkReleased(chunk), &turn)
    }
  }

  /// The chunk of a map that is to be dropped next, if one is. Where nobody has room any more, what
  /// a client may not have received yet must not keep all others waiting.
  private func releasable(of map: JobMap) -> JobNumber? {
    let isFull = store.openBytes >= limits.openBytesMax
    guard isFull || map.heldBytes >= limits.mapBytesMax, let taken = mapWork.taken[map.number]
    else { return nil }
    let input = isFull ? taken.input.sent : taken.input.received
    if let first = map.chunks.first, first.end <= input,
      store.state(of: first.job)?.isFinal == true
    {
      return first.job
    }
    let completion = isFull ? taken.completion.sent : taken.completion.received
    return map.ended.first.flatMap { $0.end <= completion ? $0.job : nil }
  }

  /// Whether what readers have taken of maps is to make room for others.
  var hasReliefWork: Bool {
    guard !mapWork.taken.isEmpty, store.openBytes >= limits.openBytesMax else { return false }
    return !relievableMaps.isEmpty
  }

  /// Maps with chunks that readers have taken, the oldest first. O(maps held).
  private var relievableMaps: [MapNumber] {
    var numbers: [MapNumber] = []
    store.forEachOpenMap { if releasable(of: $0) != nil { numbers.append($0.number) } }
    return numbers
  }

  /// Makes room for others.
  mutating func relieveMaps(_ turn: inout Turn) {
    guard hasReliefWork else { return }
    for number in relievableMaps {
      relieve(number, &turn)
      // Who sends its items may have room now.
      turn.effects.append(.jobChanged(number))
    }
  }

  // MARK: The end

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
  private mutating func cancelChunks(at moment: Moment, _ turn: inout Turn) {
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

  /// Drops a map that nobody was told of, with whatever chunks it has. Calls of them that workers
  /// know of are ended, since their slots have room for others now.
  mutating func withdrawMap(_ number: MapNumber, at moment: Moment, _ turn: inout Turn) {
    guard let map = store.map(number) else { return }
    if let place = mapWork.documents.firstIndex(where: { $0.map == number }) {
      for request in mapWork.documents.remove(at: place).requests {
        turn.effects.append(.answer(request, .refused(.readOnly)))
      }
    }
    mapWork.cancelled.removeAll { $0.map == number }
    mapWork.taken[number] = nil
    let calls = runningChunks(of: number).compactMap { call(of: $0.number) }
    for id in calls {
      _ = take(id, at: moment, &turn)
      turn.effects.append(.endCall(id, grace: 0))
    }
    let open = map.chunks.compactMap { store[$0.job] }.filter { !$0.state.isFinal }
    for job in open {
      deadlines.remove(job.number)
      lastChances.remove(job.number)
    }
    emit(.mapWithdrawn(number), &turn)
    for job in open {
      if job.state == .queued { entryBecameStale(in: job.pool) }
      turn.effects.append(.jobChanged(job.number))
    }
    turn.effects.append(.jobChanged(number))
    finishDrainIfIdle(&turn)
  }

  /// Decides on the maps that a crash of the service has left without the rest of their items.
  mutating func rescueMaps(at moment: Moment, _ turn: inout Turn) {
    var open: [JobMap] = []
    store.forEachOpenMap { open.append($0) }
    for map in open {
      if map.isCancelRequested {
        for place in map.chunks where store.state(of: place.job)?.isFinal == false {
          let endedAt = momentOfEnd(of: place.job, at: moment)
          emit(.jobEnded(place.job, .cancelled, at: endedAt), &turn)
        }
      }
      guard map.stage == .taking else { continue }
      if map.statedTotal != nil, !map.isCancelRequested {
        // Its document was not taken whole: its client was never told of it, and will try again.
        emit(.mapWithdrawn(map.number), &turn)
      } else {
        let error = InputError(.interrupted, "the service ended while items came")
        emit(.mapInputEnded(map.number, error, at: max(moment.timestamp, map.createdAt)), &turn)
      }
    }
  }
}

extension Engine.MapWork.Read {
  /// Takes over how far a reader is. What nobody was sent nobody has received, whatever a client
  /// says.
  fileprivate mutating func goOn(to read: Engine.MapWork.Read) {
    sent = max(sent, read.sent)
    received = max(received, min(read.received, sent))
  }
}
