@testable import JobCore

/// What the completions of a rig must be: each job that is no chunk, and each map, as soon as it is
/// final, once, in the order of the records.
struct CompletionBook {
  /// The maps of the chunks that are open.
  private var mapsByChunk: [JobNumber: MapNumber] = [:]
  private var maps: Set<MapNumber> = []
  /// The maps that are final and of which that was told.
  private var endedMaps: Set<MapNumber> = []

  /// Nothing is told of what a start has found, or decided.
  init(_ store: JobStore) {
    store.forEachOpen { mapsByChunk[$0.number] = $0.options?.chunk?.map }
    store.descendMaps(below: .max) { map in
      maps.insert(map.number)
      if map.stage == .final { endedMaps.insert(map.number) }
      return true
    }
  }

  /// Takes in what followed from an event; answers what is wrong with it.
  mutating func enter(_ turn: Turn, _ store: JobStore) -> [String] {
    var problems: [String] = []
    var told: [JobNumber] = turn.effects.compactMap {
      if case .jobEnded(let number) = $0 { number } else { nil }
    }
    for case .mapCreated(let map) in turn.records { maps.insert(map.number) }
    for map in told where maps.contains(map) {
      if let held = store.map(map), held.stage != .final {
        problems.append("map \(map) is not final, but told")
      }
      if !endedMaps.insert(map).inserted { problems.append("map \(map) is told twice") }
    }
    store.descendMaps(below: .max) { map in
      if map.stage == .final, !endedMaps.contains(map.number) {
        problems.append("map \(map.number) is final, and nobody was told")
      }
      return true
    }
    told.removeAll(where: maps.contains)
    var ended: [JobNumber] = []
    for record in turn.records {
      switch record {
      case .jobSubmitted(let job): mapsByChunk[job.number] = job.options?.chunk?.map
      case .jobEnded(let number, _, _):
        if mapsByChunk.removeValue(forKey: number) == nil { ended.append(number) }
      default: break
      }
    }
    if told != ended { problems.append("\(ended) ended, and \(told) are told") }
    return problems
  }
}
