import JobCore

/// Somebody who waits for a pool, or for what is in it: that pool is not ended for want of interest
/// (`idle_timeout`) while this exists. Whoever waits keeps one, and lets it go with itself.
final class Attendance {
  private let pool: PoolID
  /// Nil when the service itself is gone.
  private weak var server: Server?

  fileprivate init(of pool: PoolID, _ server: Server) {
    self.pool = pool
    self.server = server
    server.inbox.append(.poolAttended(pool: pool, isWaiting: true))
  }

  deinit {
    server?.inbox.append(.poolLeft(pool: pool))
  }
}

/// Who waits, and for which pools that counts.
extension Server {
  /// Of a client that waits for a pool; nil where it does not matter.
  func attendance(ofPool pool: Int) -> Attendance? {
    guard engine.specification(ofPool: pool)?.idleTimeout != nil else { return nil }
    return Attendance(of: engine.id(ofPool: pool), self)
  }

  /// Of a client that waits for a job or for a map.
  func attendance(of number: JobNumber) -> Attendance? {
    guard reading({ $0.hasAbandonablePools }) else { return nil }
    return pool(of: number).flatMap { attendance(ofPool: $0) }
  }

  /// Of a client that waits for several.
  func attendances(of numbers: some Sequence<JobNumber>) -> [Attendance] {
    guard engine.hasAbandonablePools else { return [] }
    return Set(numbers.compactMap { pool(of: $0) }).sorted().compactMap { attendance(ofPool: $0) }
  }

  private func pool(of number: JobNumber) -> Int? {
    guard let job = engine.store.brief(of: number) else { return nil }
    return engine.poolIndex(named: engine.store.names[job.pool])
  }
}
