import DequeModule

/// Maps, and what the jobs of their chunks do to them.
extension JobStore {
  // MARK: Reading

  /// How many maps are held.
  public var mapCount: Int { maps.count }

  /// How many maps are not final. O(maps held).
  public var openMapCount: Int {
    var count = 0
    forEachOpenMap { _ in count += 1 }
    return count
  }

  /// How many maps of a pool are held, final or not.
  func heldMapCount(pool: Name) -> Int {
    Int(pool.index) < mapCounts.count ? mapCounts[Int(pool.index)].held : 0
  }

  /// How many maps of a pool are not final.
  public func openMapCount(pool: Name) -> Int {
    Int(pool.index) < mapCounts.count ? mapCounts[Int(pool.index)].open : 0
  }

  /// Counts a map that comes, becomes final, or goes.
  private mutating func count(_ map: JobMap, held: Int, open: Int) {
    let place = Int(map.pool.index)
    while mapCounts.count <= place { mapCounts.append(MapCounts()) }
    mapCounts[place].held += held
    mapCounts[place].open += open
  }

  /// The map with a number.
  public func map(_ number: MapNumber) -> JobMap? { maps[number] }

  /// Whether a map has this number; cheaper than the map.
  public func isMap(_ number: MapNumber) -> Bool { maps.count > 0 && maps.contains(number) }

  /// The number of the map with `id`.
  public func mapNumber(of id: JobID) -> MapNumber? {
    maps.count == 0 ? nil : ids.find(id.seededHash) { maps[$0]?.id == id }
  }

  /// The number of the map that was submitted under `key`.
  public func mapNumber(ofKey key: String) -> MapNumber? {
    maps.count == 0
      ? nil : keys.find(JobStore.hash(key)) { maps[$0]?.options?.idempotencyKey == key }
  }

  /// Whether an id is that of a job or a map.
  public func isTaken(_ id: JobID) -> Bool { number(of: id) != nil || mapNumber(of: id) != nil }

  /// Whether a key is that of a job or a map.
  func isTaken(key: String) -> Bool { number(ofKey: key) != nil || mapNumber(ofKey: key) != nil }

  /// The error of the chunk of a map that failed first, in the order in which they ended; nil: none
  /// has failed. O(1).
  public func firstError(of map: JobMap) -> ChunkError? {
    if let released = map.releasedError { return released }
    guard let job = map.firstFailed.flatMap({ table[$0] }), let chunk = job.options?.chunk,
      case .error(let error) = job.ending
    else { return nil }
    return ChunkError(error, first: chunk.first)
  }

  /// Calls `body` for each map below `bound` from the newest down, until it answers false.
  public func descendMaps(below bound: MapNumber, while body: (JobMap) -> Bool) {
    maps.descend(below: bound, while: body)
  }

  /// Calls `body` for each map that is not final, by number. O(maps held).
  public func forEachOpenMap(_ body: (JobMap) -> Void) {
    maps.forEachAscending { if $0.stage != .final { body($0) } }
  }

  /// Goes through everything in the order in which a snapshot holds it: what is final, in the order
  /// of finishing, then the maps that are not, then the open jobs by number. After a map come those
  /// of its chunks that have ended, in that order, each with the items that ended before it.
  public func forEachInSnapshotOrder(
    maps mapBody: (JobMap) -> Void, jobs jobBody: (Job, _ line: Int?) -> Void
  ) {
    func tell(_ map: JobMap) {
      mapBody(map)
      for place in map.ended {
        if let job = table[place.job] { jobBody(job, place.first) }
      }
    }
    for number in finishOrder.entries {
      if let job = table[number] { jobBody(job, nil) } else if let map = maps[number] { tell(map) }
    }
    forEachOpenMap(tell)
    forEachOpen { jobBody($0, nil) }
  }

  // MARK: Restoring

  /// Takes over one map of a snapshot, in the snapshot's order: before its chunks.
  public mutating func restore(_ restored: RestoredMap) {
    insert(restored.created)
    maps.update(restored.created.number) { map in
      map.inputEndedAt = restored.inputEndedAt
      map.inputError = restored.inputError
      map.isCancelRequested = restored.isCancelRequested
      map.finishedAt = restored.finishedAt
      map.version = restored.version
      map.releasedItems = restored.releasedItems
      map.releasedChunks = restored.releasedChunks
      map.items = restored.releasedItems
      map.chunkCount = restored.releasedChunks
      map.releasedError = restored.releasedError
    }
    guard restored.finishedAt != 0, let map = maps[restored.created.number] else { return }
    retain(map)
  }

  /// Counts the items of a restored chunk by the state in which it is now.
  mutating func restoreCounts(of number: JobNumber, _ chunk: ChunkPlace) {
    guard let job = table[number] else { return }
    maps.update(chunk.map) { map in
      map.items.queued -= chunk.count
      map.items += job.itemCounts
      map.recountChunk(from: .queued, to: job.state)
    }
  }

  // MARK: Applying

  /// Makes a fact about a map part of the state.
  mutating func applyToMap(_ record: Record) throws(Misfit) {
    switch record {
    case .mapCreated(let created):
      guard
        created.number >= nextNumber, created.number < NumberTable.numberLimit,
        created.options?.idempotencyKey.map(isTaken(key:)) != true, !isTaken(created.id),
        names.hasPlace(forTask: created.task, pool: created.pool)
      else { throw Misfit(record: record, found: nil) }
      insert(created)
      nextNumber = created.number + 1
    case .mapInputEnded(let number, let error, let timestamp):
      try check(number, .inputEnded, record)
      maps.update(number) { map in
        map.inputEndedAt = timestamp
        map.inputError = error
        map.version &+= 1
      }
      finishIfDone(number, at: timestamp)
    case .mapCancelRequested(let number):
      try check(number, .cancelRequested, record)
      maps.update(number) { map in
        map.isCancelRequested = true
        map.version &+= 1
      }
    case .chunkReleased(let number): try release(number, record)
    case .mapForgotten(let number):
      try forgetMap(number, record)
      mayHaveUnusedNames = true
    case .mapWithdrawn(let number): try withdrawMap(number, record)
    default: preconditionFailure("not about a map")
    }
  }

  private func check(
    _ number: MapNumber, _ move: MapMove, _ record: Record
  ) throws(Misfit) {
    guard let map = maps[number], map.stage.allows(move) else {
      throw Misfit(record: record, found: maps[number]?.state)
    }
  }

  /// Whether a chunk can follow on what its map has; true for a job that is none.
  func isFitting(_ submitted: JobSubmitted) -> Bool {
    guard let chunk = submitted.options?.chunk else { return true }
    guard let map = maps[chunk.map] else { return false }
    return map.stage.allows(.chunkSubmitted) && chunk.count > 0 && chunk.first == map.items.all
      && submitted.options?.idempotencyKey == nil && submitted.pool == names[map.pool]
  }

  private mutating func insert(_ created: MapCreated) {
    let map = JobMap(
      created, task: names.intern(created.task, isTask: true), pool: names.intern(created.pool))
    maps.insert(map)
    count(map, held: 1, open: 1)
    ids.insert(map.id.seededHash, map.number)
    if let key = map.options?.idempotencyKey { keys.insert(JobStore.hash(key), map.number) }
  }

  /// Adds the job of a chunk to its map.
  mutating func insert(_ chunk: ChunkPlace, _ submitted: JobSubmitted) {
    maps.update(chunk.map) { map in
      map.chunkCount += 1
      map.openChunks += 1
      map.openBytes += submitted.bytes
      map.items.queued += chunk.count
      map.recountChunk(from: nil, to: .queued)
      let place = JobMap.Place(job: submitted.number, first: chunk.first, count: chunk.count)
      // Behind the others, but where a snapshot has them in the order in which they ended.
      var index = map.chunks.count
      while index > 0, map.chunks[index - 1].first > chunk.first { index -= 1 }
      map.chunks.insert(place, at: index)
    }
  }

  /// Moves the weight of a chunk that has become final.
  mutating func settle(
    _ chunk: ChunkPlace, _ number: JobNumber, _ submitted: Int, _ retained: Int, _ line: Int?
  ) {
    let isFailed = table[number]?.state == .failed
    let isFinal = maps.update(chunk.map) { map in
      if isFailed, map.firstFailed == nil, map.releasedError == nil { map.firstFailed = number }
      map.openChunks -= 1
      map.openBytes -= submitted
      map.endedBytes += retained
      map.ended.append(
        JobMap.Place(
          job: number, first: line ?? map.items.done - chunk.count, count: chunk.count))
      return map.finishedAt != 0
    }
    if isFinal { finishedBytes += retained } else { openBytes += retained }
    guard line == nil, let endedAt = table[number]?.endedOrDueAt else { return }
    finishIfDone(chunk.map, at: endedAt)
  }

  /// Makes a map final when its input and all its chunks have ended.
  private mutating func finishIfDone(_ number: MapNumber, at timestamp: Timestamp) {
    let finished: JobMap? = maps.update(number) { map in
      guard map.stage == .taken, map.openChunks == 0 else { return nil }
      // However the clock was set back meanwhile.
      map.finishedAt = max(timestamp, map.createdAt, map.inputEndedAt, 1)
      return map
    }
    guard let finished else { return }
    openBytes -= finished.endedBytes
    finishedBytes += finished.endedBytes
    retain(finished)
  }

  /// Enters a final map among what retention counts; its chunks' bytes are counted already.
  private mutating func retain(_ map: JobMap) {
    count(map, held: 0, open: -1)
    finishedBytes += map.ownBytes
    finishedCount += 1
    finishOrder.append(map.number)
  }

  private mutating func release(_ number: JobNumber, _ record: Record) throws(Misfit) {
    guard let job = table[number], let chunk = job.options?.chunk, job.state.isFinal else {
      throw Misfit(record: record, found: table[number]?.state)
    }
    try check(chunk.map, .chunkReleased, record)
    drop(job)
    openBytes -= job.retainedBytes
    maps.update(chunk.map) { [table] map in
      map.endedBytes -= job.retainedBytes
      map.releasedChunks += 1
      map.releasedItems += job.itemCounts
      map.recountChunk(from: job.state, to: nil)
      if map.firstFailed == number, case .error(let error) = job.ending {
        map.firstFailed = nil
        map.releasedError = ChunkError(error, first: chunk.first)
      }
      let held = map.chunkCount - map.releasedChunks
      JobStore.dropReleased(from: &map.chunks, held: held) { table[$0] != nil }
      JobStore.dropReleased(from: &map.ended, held: held - map.openChunks) { table[$0] != nil }
    }
  }

  /// Drops places of released chunks: those at the front at once, the others when they are more
  /// than the chunks that are held, so that what is dropped one by one in the other order costs
  /// nothing for long.
  private static func dropReleased(
    from places: inout Deque<JobMap.Place>, held: Int, isHeld: (JobNumber) -> Bool
  ) {
    while let first = places.first, !isHeld(first.job) { places.removeFirst() }
    if places.count > 2 * held + 16 { places.removeAll { !isHeld($0.job) } }
  }

  private mutating func forgetMap(_ number: MapNumber, _ record: Record) throws(Misfit) {
    try check(number, .forgotten, record)
    guard let map = maps[number] else { return }
    drop(map)
    finishedBytes -= map.retainedBytes
    finishedCount -= 1
    forgotten.insert(map.id.stableHash, bound: forgottenIDsMax)
    tidyFinishOrder()
  }

  private mutating func withdrawMap(
    _ number: MapNumber, _ record: Record
  ) throws(Misfit) {
    try check(number, .withdrawn, record)
    guard let map = maps[number] else { return }
    drop(map)
    openBytes -= map.openBytes
    guard map.stage == .final else {
      openBytes -= map.endedBytes
      return
    }
    finishedBytes -= map.retainedBytes
    finishedCount -= 1
    tidyFinishOrder()
  }

  /// Takes a map out, with its chunks, its id and its key. The ids of chunks are not remembered.
  /// However many chunks it has, this takes no more than some ns for each: see
  /// `JobStore+Dropped.swift`.
  private mutating func drop(_ map: JobMap) {
    count(map, held: -1, open: map.finishedAt == 0 ? -1 : 0)
    maps.remove(map.number)
    ids.remove(map.id.seededHash, map.number)
    if let key = map.options?.idempotencyKey { keys.remove(JobStore.hash(key), map.number) }
    for state in JobState.allCases where map.chunkCount(of: state) > 0 {
      discount(map.pool, state, map.chunkCount(of: state))
    }
    dropChunks(of: map)
  }

  // MARK: Comparing

  /// Whether both hold the same maps; places that released chunks left behind do not count.
  func hasSameMaps(as other: JobStore) -> Bool {
    guard maps.count == other.maps.count else { return false }
    var isSame = true
    maps.forEachAscending { map in
      guard isSame, let theirs = other.maps[map.number] else {
        isSame = false
        return
      }
      isSame =
        names[map.task] == other.names[theirs.task] && names[map.pool] == other.names[theirs.pool]
        && comparable(map) == other.comparable(theirs)
    }
    return isSame
  }

  /// A map with the names of another table, without places that hold nothing.
  private func comparable(_ map: JobMap) -> JobMap {
    var result = JobMap(
      RestoredMap(map, names: self.names).created, task: Name(index: 0), pool: Name(index: 0))
    result.inputEndedAt = map.inputEndedAt
    result.inputError = map.inputError
    result.isCancelRequested = map.isCancelRequested
    result.finishedAt = map.finishedAt
    result.version = map.version
    result.releasedItems = map.releasedItems
    result.releasedChunks = map.releasedChunks
    result.releasedError = map.releasedError
    result.firstFailed = map.firstFailed
    result.items = map.items
    result.chunkCount = map.chunkCount
    result.chunkStates = map.chunkStates
    result.openChunks = map.openChunks
    result.openBytes = map.openBytes
    result.endedBytes = map.endedBytes
    result.chunks = Deque(map.chunks.filter { table[$0.job] != nil })
    result.ended = Deque(map.ended.filter { table[$0.job] != nil })
    return result
  }
}
