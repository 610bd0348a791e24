/// Submitted maps: taken, refused, or known already.
extension Engine {
  /// Items of a chunk at most, where they come one after the other and nothing else was asked for.
  public static let streamedChunkMax = 1_000

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
    store.makeRoomForNames()
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
    guard let key, let number = store.mapNumber(ofKey: key) else { return nil }
    return store.map(number)
  }

  /// Task, options and, of a document, every item: all compared, and so exactly. What the client
  /// left out is not: the engine chose it.
  private func isSamePayload(_ submission: MapSubmission, as map: JobMap) -> Bool {
    let options = submission.options ?? .defaults
    guard
      store.names[map.task] == submission.task, map.isStar == submission.isStar,
      options.isSamePayload(as: map.effectiveOptions),
      submission.pool == nil || submission.pool == store.names[map.pool],
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

  private mutating func admit(
    _ submission: MapSubmission, at moment: Moment
  ) -> Result<Int, Refused> {
    let admitted = admitTask(submission.task, pool: submission.pool)
    guard case .success(let pool) = admitted else { return admitted }
    let size = chunkSize(submission, pool)
    let count = submission.items?.count ?? 1
    let chunks = size == 0 ? 0 : (count - 1) / size + 1
    let bytes = (submission.items?.text.count ?? 0) + (submission.options?.bytes ?? 0)
    // Of items that come later nobody knows yet.
    let longest = submission.items?.longestArray(of: size) ?? 0
    let refused =
      whyNotAllowed(submission.options, argumentBytes: longest, pool: pool)
      ?? whyNoRoom(jobs: chunks, bytes: bytes, at: moment)
    return refused.map { .failure($0) } ?? admitted
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
}
