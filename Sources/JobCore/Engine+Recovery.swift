import DequeModule

/// What a start makes of the state that it found.
extension Engine {
  /// Decides on the jobs that were running when the service was cut off, and rebuilds what derives
  /// from the store. Called once, before any event; its records belong into the journal before the
  /// service speaks.
  public mutating func recover(at moment: Moment, _ turn: inout Turn) {
    clockJumps.pass(moment)
    var running: [Job] = []
    store.forEachOpen { if $0.state == .running { running.append($0) } }
    for job in running { rescue(job, at: moment, &turn) }
    rescueMaps(at: moment, &turn)
    // Who asks for one of them before this is durable waits until it is.
    for record in turn.records { turn.effects.append(.jobChanged(record.job)) }

    var open: [JobNumber] = []
    open.reserveCapacity(store.openCount)
    store.forEachOpen { open.append($0.number) }
    for number in open {
      guard let job = store[number] else { continue }
      noteLastChance(of: number)
      if job.state == .queued {
        enqueue(number)
      } else {
        // No longer than the whole wait, whatever the clock was set to while nobody looked.
        let wait = min(
          job.endedOrDueAt - moment.timestamp, retryPolicy.wait(after: Int(job.attempt)))
        deadlines.insert(number, due: moment.instant.advanced(byMilliseconds: wait))
      }
    }
    recoverPools(at: moment, &turn)
    store.retireNames()
  }

  /// Open jobs by pool, of pools that are not configured (any more): they wait until one of that
  /// name is, or until they are cancelled. In the order of their oldest jobs; O(jobs held).
  public func jobsWithoutPool() -> [(pool: String, count: Int)] {
    var found: [(pool: Name, count: Int)] = []
    let known = pools.compactMap { $0.isVacant ? nil : store.names.find($0.name) }
    store.forEachOpen { job in
      if known.contains(job.pool) { return }
      if let place = found.firstIndex(where: { $0.pool == job.pool }) {
        found[place].count += 1
      } else {
        found.append((job.pool, 1))
      }
    }
    return found.map { (store.names[$0.pool], $0.count) }
  }

  private mutating func rescue(_ job: Job, at moment: Moment, _ turn: inout Turn) {
    if job.isCancelRequested || isOfCancelledMap(job.number) {
      emit(.jobEnded(job.number, .cancelled, at: momentOfEnd(of: job.number, at: moment)), &turn)
    } else if let error = verdict(on: job, cutOffBy: .interrupted) {
      let endedAt = momentOfEnd(of: job.number, at: moment)
      emit(.jobEnded(job.number, .failed(error), at: endedAt), &turn)
    } else {
      emit(.attemptRevoked(job.number, .interrupted), &turn)
    }
  }

  /// Decides on the maps that a crash of the service has left without the rest of their items.
  private mutating func rescueMaps(at moment: Moment, _ turn: inout Turn) {
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
