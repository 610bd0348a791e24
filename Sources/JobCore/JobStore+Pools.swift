/// The pools that clients created, and the names that go with them.
extension JobStore {
  /// The created pool of this name.
  public func createdPool(named name: String) -> CreatedPool? {
    createdPools.first { $0.name == name }
  }

  /// Takes over one created pool of a snapshot.
  public mutating func restore(_ pool: CreatedPool) {
    createdPools.append(pool)
  }

  /// Makes a fact about a created pool part of the state.
  mutating func applyToPool(_ record: Record) throws(Misfit) {
    switch record {
    case .poolCreated(let specification, let timestamp):
      guard !createdPools.contains(where: { $0.excludes(specification) }) else {
        throw Misfit(record: record, found: nil)
      }
      createdPools.append(
        CreatedPool(specification, at: timestamp, firstNumber: nextNumber))
      releaseNames()
    case .poolResized(let name, let processes):
      try move(name, by: .resized, record) { $0.processes = processes }
    case .poolPaused(let name): try move(name, by: .paused, record) { $0.isPaused = true }
    case .poolResumed(let name): try move(name, by: .resumed, record) { $0.isPaused = false }
    case .poolClosed(let name): try move(name, by: .closed, record) { $0.stage = .closing }
    case .poolTerminated(let name, let cause):
      try move(name, by: .terminated, record) { pool in
        pool.stage = .terminating
        pool.cause = cause
      }
    case .poolRemoved(let name):
      try move(name, by: .removed, record) { _ in }
      createdPools.removeAll { $0.name == name }
      if let stored = names.find(name) { retiredNames.append(stored) }
      mayHaveUnusedNames = true
    default: preconditionFailure("not about a pool")
    }
  }

  private mutating func move(
    _ name: String, by move: PoolMove, _ record: Record, _ change: (inout CreatedPool) -> Void
  ) throws(Misfit) {
    guard let place = createdPools.firstIndex(where: { $0.name == name }),
      createdPools[place].stage.allows(move)
    else { throw Misfit(record: record, found: nil) }
    change(&createdPools[place])
  }

  /// Gives up the names of dropped pools that no job and no map is of any more: others may have
  /// their numbers. Done when a pool comes, so that names come and go at the same pace.
  private mutating func releaseNames() {
    mayHaveUnusedNames = false
    let created = Set(createdPools.compactMap { names.find($0.name) })
    var kept: [Name] = []
    for name in retiredNames {
      // Somebody has the name again, or it is that of a task, too.
      if created.contains(name) || names.isOfTask(name) || namesKept.contains(names[name]) {
        continue
      }
      if isUnused(name) { names.release(name) } else { kept.append(name) }
    }
    retiredNames = kept
  }

  /// The same where a further name has no place, if something was dropped since the last time. A
  /// journal that is replayed gives them up later, and has places for that long.
  mutating func makeRoomForNames() {
    if !names.hasPlaceForPool, mayHaveUnusedNames { releaseNames() }
  }

  /// Finds the names of pools that are gone, and of which there are jobs or maps: a snapshot does
  /// not tell them. To be called when it was read, and at the start, when the configured ones are
  /// known.
  public mutating func retireNames() {
    let created = Set(createdPools.compactMap { names.find($0.name) })
    let known = created.union(retiredNames)
    names.forEachOfPool { name, text in
      if !known.contains(name), !namesKept.contains(text) { retiredNames.append(name) }
    }
  }

  private func isUnused(_ pool: Name) -> Bool {
    heldMapCount(pool: pool) == 0 && JobState.allCases.allSatisfy { count(of: $0, pool: pool) == 0 }
  }
}
