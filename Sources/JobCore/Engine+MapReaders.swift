import DequeModule

/// What readers have taken of maps makes room for more.
extension Engine {
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
  mutating func relieve(_ number: MapNumber, _ turn: inout Turn) {
    for _ in 0..<limits.chunksPerTurnMax {
      // Nothing holds the map while it changes: its places would be copied for every chunk.
      guard let chunk = store.map(number).flatMap({ releasable(of: $0) }) else { return }
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

  /// Maps with chunks that readers have taken, the oldest first. O(maps that are read).
  private var relievableMaps: [MapNumber] {
    mapWork.taken.keys.sorted().filter { number in
      store.map(number).flatMap { releasable(of: $0) } != nil
    }
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
}

extension Engine.MapWork.Read {
  /// Takes over how far a reader is. What nobody was sent nobody has received, whatever a client
  /// says.
  fileprivate mutating func goOn(to read: Engine.MapWork.Read) {
    sent = max(sent, read.sent)
    received = max(received, min(read.received, sent))
  }
}
