import DequeModule

/// What always holds of maps between two events: what they count is what their chunks say.
extension Engine {
  /// Bytes of ended chunks: those of maps that are not final, and of final ones with their own.
  var bytesOfMaps: (open: Int, finished: Int) {
    var bytes = (open: 0, finished: 0)
    store.descendMaps(below: .max) { map in
      var held = 0
      for place in map.ended { held += store[place.job]?.retainedBytes ?? 0 }
      if map.stage == .final { bytes.finished += held + map.ownBytes } else { bytes.open += held }
      return true
    }
    return bytes
  }

  func brokenMapInvariants() -> [String] {
    var broken: [String] = []
    var retained = 0
    var jobsByMap: [MapNumber: [Job]] = [:]
    store.forEachInSnapshotOrder { map in
      if map.stage == .final { retained += 1 }
    } jobs: { job, _ in
      if let chunk = job.options?.chunk {
        jobsByMap[chunk.map, default: []].append(job)
        if store.map(chunk.map) == nil { broken.append("chunk \(job.number) has no map") }
      } else if job.state.isFinal {
        retained += 1
      }
    }
    if retained != store.finishedCount { broken.append("the count of what is retained is wrong") }
    var counts: [Name: (held: Int, open: Int)] = [:]
    store.descendMaps(below: .max) { map in
      broken += brokenInvariants(of: map, jobsByMap[map.number] ?? [])
      counts[map.pool, default: (0, 0)].held += 1
      counts[map.pool, default: (0, 0)].open += map.stage == .final ? 0 : 1
      return true
    }
    for index in 0..<store.mapCounts.count {
      let pool = Name(index: UInt16(index))
      let counted = counts[pool] ?? (0, 0)
      guard
        store.heldMapCount(pool: pool) != counted.held
          || store.openMapCount(pool: pool) != counted.open
      else { continue }
      broken.append("the counts of maps of pool \(index) are wrong")
    }
    for document in mapWork.documents where store.map(document.map)?.stage != .taking {
      broken.append("map \(document.map) takes no items and has some to come")
    }
    return broken
  }

  private func brokenInvariants(of map: JobMap, _ jobs: [Job]) -> [String] {
    var broken: [String] = []
    func expect(_ holds: Bool, _ name: String) {
      if !holds { broken.append("map \(map.number): \(name)") }
    }
    var items = map.releasedItems
    for job in jobs { items += job.itemCounts }
    let open = jobs.filter { !$0.state.isFinal }
    let ended = jobs.filter { $0.state.isFinal }
    expect(items == map.items, "the items are wrong")
    expect(jobs.count + map.releasedChunks == map.chunkCount, "the count of chunks is wrong")
    let failed = map.ended.first { store.state(of: $0.job) == .failed }?.job
    expect(
      map.firstFailed == (map.releasedError == nil ? failed : nil), "the first error is wrong")
    expect(open.count == map.openChunks, "the count of open chunks is wrong")
    expect(open.reduce(0) { $0 + $1.submittedBytes } == map.openBytes, "its open bytes are wrong")
    expect(ended.reduce(0) { $0 + $1.retainedBytes } == map.endedBytes, "its bytes are wrong")
    expect(
      (map.stage == .final) == (map.inputEndedAt != 0 && open.isEmpty), "its stage is wrong")
    expect(store.mapNumber(of: map.id) == map.number, "it is not found by its id")
    if let key = map.options?.idempotencyKey {
      expect(store.mapNumber(ofKey: key) == map.number, "it is not found by its key")
    }
    expect(map.number < store.nextNumber, "it is ahead of the next number")
    let byInput = map.chunks.compactMap { store[$0.job] }
    expect(byInput.count == jobs.count, "the order of input is not whole")
    expect(
      zip(map.chunks, map.chunks.dropFirst()).allSatisfy { $0.end <= $1.first },
      "the order of input is wrong")
    expect(
      map.ended.compactMap { store[$0.job] }.count == ended.count,
      "the order of completion is not whole")
    expect(
      zip(map.ended, map.ended.dropFirst()).allSatisfy { $0.end <= $1.first },
      "the order of completion is wrong")
    expect(
      map.chunks.allSatisfy { place in
        store[place.job].map {
          $0.options?.chunk == ChunkPlace(map: map.number, first: place.first, count: place.count)
        } ?? true
      }, "a chunk stands in a wrong place")
    return broken
  }
}
