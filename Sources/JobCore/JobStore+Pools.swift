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
      let key = specification.idempotencyKey
      guard
        !createdPools.contains(where: { pool in
          pool.name == specification.name
            || key != nil && pool.specification.idempotencyKey == key
        })
      else { throw Misfit(record: record, found: nil) }
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
    var kept: [Name] = []
    for name in retiredNames {
      // Somebody has the name again, or it is that of a task, too.
      let text = names[name]
      if createdPool(named: text) != nil || namesKept.contains(text) || names.isOfTask(name) {
        continue
      }
      if isUnused(name) { names.release(name) } else { kept.append(name) }
    }
    retiredNames = kept
  }

  private func isUnused(_ pool: Name) -> Bool {
    heldMapCount(pool: pool) == 0 && JobState.allCases.allSatisfy { count(of: $0, pool: pool) == 0 }
  }
}
