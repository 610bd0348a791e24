/// Letting go of finished jobs and maps by age, count and bytes, and of the jobs of a broken pool;
/// both in bounded slices, so that no turn takes long.
extension Engine {
  /// Whether a finished job or map is beyond a bound at this moment.
  func hasRetentionWork(at moment: Moment) -> Bool {
    guard let finishedAt = store.oldestFinishedAt else { return false }
    return store.finishedCount > limits.retentionJobsMax
      || store.finishedBytes > limits.retentionBytesMax
      || age(since: finishedAt, at: moment) >= limits.retentionAge
  }

  /// How long ago something happened, whatever the wall clock was set to meanwhile.
  func age(since timestamp: Timestamp, at moment: Moment) -> Milliseconds {
    moment.timestamp - timestamp - clockJumps.unlived(since: timestamp)
  }

  mutating func applyRetention(at moment: Moment, _ turn: inout Turn) {
    var budget = limits.forgottenPerTurnMax
    while budget > 0, hasRetentionWork(at: moment), let oldest = store.oldestFinishedNumber {
      // A map goes whole, however many chunks it has.
      budget -= store.map(oldest).map { $0.chunkCount + 1 } ?? 1
      guard store.map(oldest) != nil else {
        emit(.jobForgotten(oldest), &turn)
        continue
      }
      emit(.mapForgotten(oldest), &turn)
      // It may have become final just now: then what is told of its last chunk leads nowhere.
      turn.effects.append(.jobChanged(oldest))
    }
    clockJumps.forget(before: store.oldestFinishedAt ?? moment.timestamp)
  }

  /// Whether a broken pool still has jobs in its line.
  var hasBrokenPoolWork: Bool {
    pools.indices.contains { whyBroken($0) != nil && queuedCount(pool: $0) > 0 }
  }

  /// Why a pool runs no job any more; nil for one that does, and for one that never did: jobs of
  /// its name are another's, and wait for it.
  private func whyBroken(_ pool: Int) -> String? {
    pools[pool].stage == .starting || pools[pool].end.isNeverRun ? nil : pools[pool].brokenReason
  }

  mutating func failJobsOfBrokenPools(at moment: Moment, _ turn: inout Turn) {
    var budget = limits.forgottenPerTurnMax
    for pool in pools.indices {
      guard
        let reason = whyBroken(pool), let name = store.names.find(pools[pool].name),
        Int(name.index) < ready.count
      else { continue }
      let line = Int(name.index)
      while budget > 0, let number = ready[line].first {
        guard let job = store[number], job.state == .queued else {
          ready[line].removeStaleFirst()
          budget -= 1
          continue
        }
        ready[line].removeFirst()
        let error = JobError(
          code: .initializerFailed, type: "PoolBroken", message: reason,
          attempt: Int(job.attempt))
        end(number, .failed(error), at: moment, &turn)
        budget -= 1
      }
    }
  }
}
