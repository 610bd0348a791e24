/// What always holds of pools between two events.
extension Engine {
  /// Names every invariant of pools that does not hold.
  func brokenPoolInvariants() -> [String] {
    var broken: [String] = []
    func expect(_ holds: Bool, _ name: @autoclosure () -> String) {
      if !holds { broken.append(name()) }
    }
    let ending = pools.count { $0.stage == .closing || $0.stage == .terminating }
    expect(poolWork.ending == ending, "\(ending) pools are ending, not \(poolWork.ending)")
    let abandonable = pools.count { $0.stage == .running && $0.specification?.idleTimeout != nil }
    expect(poolWork.abandonable == abandonable, "the number of abandonable pools is wrong")
    let joined = pools.count { $0.stage == .joined && $0.specification != nil }
    expect(poolWork.joined == joined, "the number of joined pools is wrong")
    expect(pools.count <= Engine.poolsMax, "more pools than calls can name")
    for (place, pool) in pools.enumerated() {
      expect((place < configuredPools) == (pool.specification == nil) || pool.isVacant, "\(place)")
      broken += brokenInvariants(of: pool)
    }
    for created in store.createdPools where pools.count < Engine.poolsMax {
      let entry = pools.first { $0.name == created.name }
      expect(entry != nil, "the pool \(created.name) has no place")
      expect(entry?.stage != .starting, "the pool \(created.name) is durable before it is there")
    }
    return broken
  }

  private func brokenInvariants(of pool: PoolEntry) -> [String] {
    var broken: [String] = []
    func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
      if !holds { broken.append("pool '\(pool.name)': \(what())") }
    }
    let calls = pool.slots.flatMap(\.calls)
    expect(!pool.isVacant || pool.slots.isEmpty, "a position without a pool has slots")
    expect(pool.end.createRequests.isEmpty || pool.stage == .starting, "somebody waits for ever")
    switch pool.stage {
    case .starting: expect(calls.isEmpty, "it runs jobs before it is there")
    case .running: expect(!pool.end.isTold, "it takes jobs and was told to end")
    case .closing: break
    case .terminating:
      expect(calls.allSatisfy { $0.ending != nil }, "a call of a terminated pool goes on")
    case .joined:
      expect(calls.isEmpty && pool.end.terminateRequests.isEmpty, "joined, and not over")
    }
    guard pool.stage == .joined else { return broken }
    if pool.specification != nil {
      // Of one that never ran there is no record.
      let isKept = store.createdPool(named: pool.name) != nil
      expect(isKept != pool.end.isNeverRun, "joined, and its record is gone or another's")
    }
    guard !pool.end.isNeverRun, let name = store.names.find(pool.name) else { return broken }
    let open = [JobState.scheduled, .queued, .running].map { store.count(of: $0, pool: name) }
    expect(open == [0, 0, 0] && store.openMapCount(pool: name) == 0, "joined with open jobs")
    return broken
  }
}
