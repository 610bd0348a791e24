import JobCore
import TestSupport

extension SplitMix {
  mutating func pick<T>(_ values: [T]) -> T { values.randomElement(using: &self)! }

  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

  /// A text with everything in it that an encoder can get wrong.
  mutating func text() -> String {
    let parts = [
      "a", "Z9", "\"", "\\", "\n", "\r", "\t", "\u{0}", "\u{1f}", "é", "日本", "👩‍🚀", "\u{2028}",
      "{\"crc\":\"00000000\",", "/", " ", "e\u{301}", "0123456789abcdef",
    ]
    return (0..<Int.random(in: 0...6, using: &self)).map { _ in pick(parts) }.joined()
  }

  /// A minified JSON text.
  mutating func json() -> String {
    pick([
      "1", "null", "-0.5e+300", "30414093201713378043612608166064768844377641568960512000000000000",
      "\"\\u0000\\\"\\n\"", "[[],{},[1,2]]", "{\"crc\":\"1a2b3c4d\",\"seq\":7}", "\"é👩‍🚀\"", "true",
      String(repeating: "[", count: 60) + String(repeating: "]", count: 60),
    ])
  }

  mutating func timestamp() -> Timestamp {
    .random(in: 1_700_000_000_000...1_900_000_000_000, using: &self)
  }

  mutating func id() -> JobID {
    guard chance(20) else { return JobID(version7At: timestamp(), random: (next(), next())) }
    return JobID("own.\(next())")!
  }

  mutating func error() -> JobError {
    JobError(
      code: pick(JobError.Code.allCases), type: text(), message: text(),
      traceback: chance(50) ? text() : nil,
      args: chance(20) ? "[\(json())]" : nil, module: chance(20) ? text() : nil,
      pickle: chance(20) ? text() : nil,
      exitcode: chance(50) ? .random(in: .min ... .max, using: &self) : nil,
      attempt: .random(in: 0...9, using: &self),
      item: chance(30) ? .random(in: 0...9_999, using: &self) : nil,
      values: chance(30) ? "[\(json())]" : nil)
  }

  mutating func options() -> JobOptions? {
    guard chance(40) else { return nil }
    if chance(20) { return JobOptions() }
    return JobOptions(
      kwargs: chance(50) ? "{\"n\":\(json())}" : "", timeout: chance(50) ? timestamp() : nil,
      attemptsMax: .random(in: 1...5, using: &self), onInterrupt: pick(OnInterrupt.allCases),
      tags: chance(50) ? [text(), text()] : [],
      idempotencyKey: chance(50) ? "\(text())\(next())" : nil, encoding: pick(Encoding.allCases),
      main: chance(20) ? text() : nil)
  }

  /// Options of a map, or with `chunk` of one of its chunks.
  mutating func options(of chunk: ChunkPlace?) -> JobOptions? {
    guard let chunk else { return options() }
    return JobOptions(
      timeout: chance(50) ? timestamp() : nil, attemptsMax: .random(in: 1...5, using: &self),
      tags: chance(50) ? [text()] : [], chunk: chunk)
  }

  mutating func map(_ number: MapNumber) -> MapCreated {
    MapCreated(
      number: number, id: id(), task: pick(["square", "tâche"]), pool: pick(["main", "gpu"]),
      isStar: chance(50), chunkSize: .random(in: 0...1_000, using: &self),
      total: chance(50) ? .random(in: 0...9_999, using: &self) : nil, options: options(),
      at: timestamp())
  }

  mutating func inputError() -> InputError? {
    chance(50) ? InputError(pick(InputError.Code.allCases), text()) : nil
  }

  mutating func submission(_ number: JobNumber) -> JobSubmitted {
    JobSubmitted(
      number: number, id: id(), task: pick(["square", "tâche", "a\"b"]),
      pool: pick(["main", "gpu"]),
      args: "[\(json())]", options: options(), at: timestamp())
  }

  /// The same as a chunk of a map in this pool.
  mutating func chunk(
    _ submitted: JobSubmitted, pool: String, of place: ChunkPlace
  ) -> JobSubmitted {
    JobSubmitted(
      number: submitted.number, id: submitted.id, task: submitted.task, pool: pool,
      args: submitted.args, options: options(of: place), at: submitted.at)
  }

  /// Bytes of a media type.
  mutating func bytes() -> BytesResult {
    let digits = Array("ABCDwxyz0189+/")
    let base64 = (0..<4 * Int.random(in: 0...5, using: &self)).map { _ in pick(digits) }
    return BytesResult(
      contentType: pick(["image/png", "text/plain; charset=utf-8"]), base64: String(base64))
  }

  mutating func pool(named name: String) -> PoolSpecification {
    PoolSpecification(
      name: name, template: pick(["default", "tâche"]),
      processes: .random(in: 1...256, using: &self),
      callsPerWorkerMax: chance(30) ? .random(in: 1...99, using: &self) : nil,
      startMethod: chance(30) ? "spawn" : nil, initializer: chance(30) ? text() : nil,
      initializerArguments: chance(30) ? "[\(json())]" : "[]", main: chance(30) ? text() : nil,
      allowsPickle: chance(50), idleTimeout: chance(30) ? timestamp() : nil,
      idempotencyKey: chance(30) ? "\(text())\(next())" : nil)
  }

  /// Any record of a pool.
  mutating func poolRecord(_ name: String) -> Record {
    switch Int.random(in: 0..<7, using: &self) {
    case 0: .poolCreated(pool(named: name), at: timestamp())
    case 1: .poolResized(name, processes: .random(in: 1...999, using: &self))
    case 2: .poolPaused(name)
    case 3: .poolResumed(name)
    case 4: .poolClosed(name)
    case 5: .poolTerminated(name, cause: chance(50) ? text() : nil)
    default: .poolRemoved(name)
    }
  }

  /// Any record, with any content.
  mutating func record() -> Record {
    let job = JobNumber.random(in: 1...JobNumber(Int.max), using: &self)
    switch Int.random(in: 0..<22, using: &self) {
    case 19...21: return poolRecord(text())
    case 11: return .mapCreated(map(job))
    case 12: return .mapInputEnded(job, inputError(), at: timestamp())
    case 13: return .mapCancelRequested(job)
    case 14: return .chunkReleased(job)
    case 15: return .mapForgotten(job)
    case 17: return .mapWithdrawn(job)
    case 16:
      let submitted = submission(job)
      let place = ChunkPlace(
        map: 7, first: .random(in: 0...9_999, using: &self),
        count: .random(in: 1...99, using: &self))
      return .jobSubmitted(chunk(submitted, pool: submitted.pool, of: place))
    case 9: return .jobEnded(job, .succeededWithBytes(bytes()), at: timestamp())
    case 0: return .jobSubmitted(submission(job))
    case 1: return .attemptStarted(job, attempt: .random(in: 1...99, using: &self), at: timestamp())
    case 2: return .attemptRevoked(job, pick(Revocation.allCases))
    case 3: return .attemptFailed(job, error(), retryAt: timestamp())
    case 4: return .jobQueued(job)
    case 5: return .cancelRequested(job)
    case 6: return .jobEnded(job, .succeeded(json()), at: timestamp())
    case 7: return .jobEnded(job, .failed(error()), at: timestamp())
    case 8: return .jobEnded(job, .cancelled, at: timestamp())
    case 10: return .jobWithdrawn(job)
    default: return .jobForgotten(job)
    }
  }
}

/// Records of jobs, of maps and of their chunks that follow from one another, and the state after
/// each of them.
struct Story {
  private(set) var records: [Record] = []
  /// `states[n]` is the state after n records.
  private(set) var states: [JobStore] = [JobStore()]

  /// `count` records by `seed`.
  init(seed: UInt64, count: Int) {
    var generator = SplitMix(seed: seed)
    // Drawn apart: what happens to the jobs is the same with and without them.
    var pools = SplitMix(seed: ~seed)
    /// Of jobs and maps that may be held.
    var numbers: [JobNumber] = []
    while records.count < count {
      let store = states[states.count - 1]
      if records.count % 6 == 5 {
        tell(Story.nextOfPool(store, &pools), after: store)
        continue
      }
      guard let record = Story.next(store, numbers, &generator) else { continue }
      let after = tell(record, after: store)
      if after.nextNumber > store.nextNumber { numbers.append(store.nextNumber) }
      numbers.removeAll { after[$0] == nil && after.map($0) == nil }
    }
  }

  @discardableResult
  private mutating func tell(_ record: Record, after store: JobStore) -> JobStore {
    var after = store
    do {
      try after.apply(record)
    } catch {
      preconditionFailure("the story does not hold together: \(error)")
    }
    records.append(record)
    states.append(after)
    return after
  }

  private static func nextOfPool(_ store: JobStore, _ generator: inout SplitMix) -> Record {
    let created = store.createdPools.map(\.name)
    let isNew = created.isEmpty || generator.chance(30)
    let name = isNew ? "pool \(generator.next())" : generator.pick(created)
    if isNew { return .poolCreated(generator.pool(named: name), at: generator.timestamp()) }
    while true {
      let record = generator.poolRecord(name)
      var after = store
      if (try? after.apply(record)) != nil { return record }
    }
  }

  private static func next(
    _ store: JobStore, _ numbers: [JobNumber], _ generator: inout SplitMix
  ) -> Record? {
    if !numbers.isEmpty, generator.chance(80) {
      let number = generator.pick(numbers)
      if let job = store[number] { return next(job, store, &generator) }
      return store.map(number).flatMap { next($0, store, &generator) }
    }
    return numbers.isEmpty || generator.chance(25)
      ? .mapCreated(generator.map(store.nextNumber))
      : .jobSubmitted(generator.submission(store.nextNumber))
  }

  private static func next(
    _ job: Job, _ store: JobStore, _ generator: inout SplitMix
  ) -> Record? {
    let chunk = job.options?.chunk
    switch job.state {
    case .scheduled: return generator.chance(70) ? .jobQueued(job.number) : ended(job, .cancelled)
    case .queued:
      if generator.chance(10) { return ended(job, .failed(error(of: chunk, &generator))) }
      if chunk == nil, generator.chance(5) { return .jobWithdrawn(job.number) }
      return .attemptStarted(
        job.number, attempt: Int(job.attempt) + 1, at: generator.timestamp())
    case .running:
      switch Int.random(in: 0..<7, using: &generator) {
      case 0: return .attemptRevoked(job.number, generator.pick(Revocation.allCases))
      case 1:
        return .attemptFailed(
          job.number, error(of: chunk, &generator), retryAt: generator.timestamp())
      case 2: return .cancelRequested(job.number)
      case 3: return ended(job, .failed(error(of: chunk, &generator)))
      case 4 where chunk == nil: return ended(job, .succeededWithBytes(generator.bytes()))
      default: return ended(job, .succeeded(generator.json()))
      }
    case .succeeded, .failed, .cancelled:
      guard let chunk else { return generator.chance(20) ? .jobForgotten(job.number) : nil }
      guard store.map(chunk.map)?.stage != .final, generator.chance(20) else { return nil }
      return .chunkReleased(job.number)
    }
  }

  private static func next(
    _ map: JobMap, _ store: JobStore, _ generator: inout SplitMix
  ) -> Record? {
    if generator.chance(3) { return .mapWithdrawn(map.number) }
    switch map.stage {
    case .taking:
      if generator.chance(25) {
        return .mapInputEnded(map.number, generator.inputError(), at: generator.timestamp())
      }
      if generator.chance(5) { return .mapCancelRequested(map.number) }
      let submitted = generator.submission(store.nextNumber)
      let place = ChunkPlace(
        map: map.number, first: map.items.all, count: .random(in: 1...9, using: &generator))
      return .jobSubmitted(
        generator.chunk(submitted, pool: store.names[map.pool], of: place))
    case .taken: return generator.chance(10) ? .mapCancelRequested(map.number) : nil
    case .final: return generator.chance(20) ? .mapForgotten(map.number) : nil
    }
  }

  /// An error as a job fails with it; of a chunk, one of its items.
  private static func error(of chunk: ChunkPlace?, _ generator: inout SplitMix) -> JobError {
    var error = generator.error()
    error.item = chunk.map { .random(in: 0..<$0.count, using: &generator) }
    return error
  }

  private static func ended(_ job: Job, _ outcome: Outcome) -> Record {
    .jobEnded(job.number, outcome, at: 1_800_000_000_000 + Timestamp(job.number))
  }
}

/// Moments for tests.
extension Moment {
  static func at(_ milliseconds: UInt64) -> Moment {
    Moment(
      instant: Instant(nanoseconds: milliseconds * 1_000_000),
      timestamp: 1_767_225_600_000 + Timestamp(milliseconds))
  }
}
