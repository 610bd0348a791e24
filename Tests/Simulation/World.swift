@testable import JobCore
@testable import JobServer

/// What really happens to jobs, whatever the service says: which run, as which attempt, and how
/// they ended. It judges by that what the service decides.
final class World {
  let chance: Chance
  private(set) var tally = Tally()
  private(set) var problems: [String] = []
  /// How likely each deed of a worker is, in the order of `SimulatedPool.Deed`.
  let deedWeights: [Int]
  /// The pool whose workers fail to start.
  var brokenPool: PoolID?
  /// Whether the service is dead, so that nothing that it does has an effect.
  var isDead = false
  /// The engine whose decisions are judged.
  var engine: () -> Engine? = { nil }
  /// What the records have said of maps.
  private(set) var books = MapBooks()
  /// Called when a worker begins with a chunk.
  var chunkBegan: (JobNumber) -> Void = { _ in }
  /// Called before a record about maps is written down.
  var mapRecordComes: (Record) -> Void = { _ in }

  /// The jobs that run, and those that wait in a worker.
  private var running: [JobID: Int] = [:]
  /// What the next record of a job must be, and the item that its error is to name.
  private var expected: (number: JobNumber, words: [String], item: Int?)?
  private var hasSeenRecord = false
  /// Of open jobs, how many attempts have failed.
  private var attemptsFailed: [JobNumber: Int] = [:]

  init(_ chance: Chance, deedWeights: [Int]) {
    self.chance = chance
    self.deedWeights = deedWeights
  }

  func note(_ word: String) { tally.note(word) }

  func fail(_ problem: @autoclosure () -> String) {
    if problems.count < 20 { problems.append(problem()) }
  }

  func deed() -> SimulatedPool.Deed {
    let deed = SimulatedPool.Deed.allCases[chance.weighted(deedWeights)]
    if deed == .hangs { note("hung") }
    return deed
  }

  func breaksPool(_ pool: PoolID) -> Bool { brokenPool == pool }

  /// What a call with these arguments returns, and what a chunk's item does: a third number says
  /// how much longer it is.
  static func result(of args: String) -> String {
    let numbers = args.dropFirst().dropLast().split(separator: ",")
    guard numbers.count == 3, let length = Int(numbers[2]) else { return #"{"of":\#(args)}"# }
    return #"{"of":\#(args),"pad":"\#(String(repeating: "x", count: length))"}"#
  }

  /// What a chunk with these items returns.
  static func result(ofItems items: [String]) -> String { array(items.map { result(of: $0) }) }

  static func array(_ items: [String]) -> String { "[" + items.joined(separator: ",") + "]" }

  /// How many values a result of a map has.
  static func elementCount(ofResult text: String) -> Int {
    text.split(separator: "{").count - 1
  }

  /// The items of a chunk, each of which is an array of numbers.
  static func elements(of args: String) -> [String] {
    args.dropFirst().dropLast().split(separator: "]").map { part in
      (part.first == "," ? part.dropFirst() : part) + "]"
    }
  }

  // MARK: Calls

  /// A call comes to a pool of this name.
  func assigned(_ assignment: Assignment, to pool: String) {
    note("assigned")
    guard let engine = engine(), let number = engine.store.number(of: assignment.job),
      let job = engine.store[number]
    else { return }
    if engine.store.names[job.pool] != pool {
      fail("job \(assignment.job) of \(engine.store.names[job.pool]) is run by \(pool)")
    }
    if assignment.args != job.args { fail("job \(assignment.job) is run with other arguments") }
    if assignment.attempt > job.effectiveOptions.attemptsMax {
      fail("job \(assignment.job) is run as attempt \(assignment.attempt)")
    }
    let kind = books.chunk(number).flatMap { books[$0.map] }
      .map { Assignment.Kind.chunk(star: $0.created.isStar) }
    if assignment.kind != kind ?? .call { fail("job \(assignment.job) is run as another kind") }
  }

  func began(_ assignment: Assignment) {
    running[assignment.job, default: 0] += 1
    if running[assignment.job, default: 0] > 1 {
      fail("job \(assignment.job) runs twice at the same time")
    }
    guard assignment.kind != .call else { return }
    note("chunk began")
    if let number = engine()?.store.number(of: assignment.job) { chunkBegan(number) }
  }

  func ended(_ assignment: Assignment) {
    running[assignment.job] = nil
  }

  /// The service died, and all that it had started with it.
  func everythingDied() {
    running = [:]
    expected = nil
  }

  /// How many jobs run.
  var runningCount: Int { running.count }

  // MARK: What follows from the end of a call

  /// Before the service hears of an event: which record must follow.
  func expect(after event: Event) {
    expected = nil
    hasSeenRecord = false
    guard let engine = engine() else { return }
    switch event {
    case .callReturned(let call, let result):
      expect(call, engine) { job in
        guard let chunk = job.options?.chunk, World.elementCount(ofResult: result) != chunk.count
        else {
          return ["succeeded \(result)"]
        }
        return self.failure(job, .raised)
      }
    case .callRaised(let call, let error):
      expect(call, engine) { self.failure($0, error.code) }
      // What the worker says of the items of a chunk counts if it fits.
      let values = error.values.map(World.elementCount(ofResult:))
      expected?.item = error.item == values ? error.item : nil
    case .callLost(let call, let loss):
      expect(call, engine) { self.consequence(of: loss, $0, engine) }
    default: break
    }
  }

  private func expect(
    _ call: CallID, _ engine: Engine, _ words: (Job) -> [String]
  ) {
    guard let number = engine.job(of: call), let job = engine.store[number],
      let held = engine.pools[call.slot.pool].slots[call.slot.index].calls.first(where: {
        $0.id == call
      })
    else {
      expected = (0, [], nil)
      return
    }
    switch held.ending {
    case .cancelled: expected = (number, ["cancelled"], nil)
    case .timedOut: expected = (number, failure(job, .timedOut), nil)
    case .passed: expected = (number, ["failed"], nil)
    case .poolTerminated: expected = (number, ["failed pool_terminated"], nil)
    case .withdrawn: expected = (0, [], nil)
    case nil: expected = (number, words(job), nil)
    }
  }

  private func failure(_ job: Job, _ code: JobError.Code) -> [String] {
    let isRetried =
      code != .argumentDecoding && Int(job.attempt) < job.effectiveOptions.attemptsMax
    return [isRetried ? "retried \(code.rawValue)" : "failed \(code.rawValue)"]
  }

  private func consequence(of loss: Loss, _ job: Job, _ engine: Engine) -> [String] {
    switch loss {
    case .notStarted: return ["revoked not_started"]
    case _ where engine.isDrainGraceOver:
      return [job.effectiveOptions.onInterrupt == .fail ? "failed interrupted" : "revoked shutdown"]
        + (Int(job.losses) >= engine.limits.lossesMax ? ["failed interrupted"] : [])
    case .interrupted:
      let isEnd =
        job.effectiveOptions.onInterrupt == .fail
        || Int(job.losses) + 1 >= engine.limits.lossesMax
      return [isEnd ? "failed interrupted" : "revoked interrupted"]
    case .workerExited(let exitcode): return failure(job, exitcode < 0 ? .signalled : .exited)
    case .outOfMemory: return failure(job, .oomKilled)
    case .protocolBroken: return failure(job, .workerLost)
    case .programFailed(let raised): return failure(job, raised.code)
    }
  }

  /// A record was decided.
  func decided(_ record: Record) {
    count(record)
    mapRecordComes(record)
    if let problem = books.note(record) { fail(problem) }
    guard let expected, !hasSeenRecord else { return }
    hasSeenRecord = true
    let word = World.word(for: record)
    if expected.number == 0 {
      if !word.hasPrefix("started") {
        fail("\(word) of job \(record.job) follows from an answer that nobody waits for")
      }
      return
    }
    guard record.job == expected.number, expected.words.contains(word) else {
      return fail("\(word) of job \(record.job), not \(expected.words) of \(expected.number)")
    }
    switch record {
    case .jobEnded(_, .failed(let error), _)
    where error.code != .timedOut && error.code != .poolTerminated,
      .attemptFailed(_, let error, _) where error.code != .timedOut:
      if error.item != expected.item { fail("job \(record.job) failed at another item") }
    default: break
    }
  }

  /// The maps that records were about since it was last asked.
  func takeTouchedMaps() -> [MapNumber] { books.takeTouched() }

  private func count(_ record: Record) {
    noteChunk(record)
    switch record {
    case .jobSubmitted(let submitted): attemptsFailed[submitted.number] = 0
    case .attemptStarted(let number, let attempt, _):
      if let failed = attemptsFailed[number], attempt != failed + 1 {
        fail("job \(number) starts attempt \(attempt) after \(failed) that failed")
      }
    case .attemptFailed(let number, let error, _):
      note("retried \(error.code.rawValue)")
      attemptsFailed[number, default: 0] += 1
    case .attemptRevoked(_, let revocation): note("revoked \(revocation.rawValue)")
    case .jobEnded(let number, let outcome, _):
      attemptsFailed[number] = nil
      if case .failed(let error) = outcome {
        note("failed \(error.code.rawValue)")
      } else {
        note(outcome == .cancelled ? "cancelled" : "succeeded")
      }
    case .jobForgotten: note("dropped")
    case .jobWithdrawn(let number):
      attemptsFailed[number] = nil
      note("withdrawn")
    case .mapCreated(let created): note(created.total == nil ? "map of lines" : "map of a document")
    case .mapInputEnded(_, let error, _):
      note(error.map { "map input: \($0.code.rawValue)" } ?? "map input: whole")
    case .mapCancelRequested: note("map cancelled")
    case .chunkReleased: note("chunk released")
    case .mapForgotten: note("map dropped")
    case .mapWithdrawn: note("map withdrawn")
    case .poolCreated, .poolResized, .poolPaused, .poolResumed, .poolClosed, .poolTerminated,
      .poolRemoved:
      note("record \(World.word(for: record))")
    case .jobQueued: note("retry due")
    case .cancelRequested: note("cancel of a running job")
    }
  }

  /// The records have led to something with a chunk: how often that happens is of interest.
  private func noteChunk(_ record: Record) {
    guard books.chunk(record.job) != nil else { return }
    switch record {
    case .attemptFailed: note("chunk retried")
    case .attemptRevoked(_, let revocation): note("chunk revoked: \(revocation.rawValue)")
    case .jobEnded(_, .failed(let error), _):
      note(error.item == nil ? "chunk failed as a whole" : "chunk failed at an item")
      if error.code == .timedOut { note("chunk timed out") }
    case .jobEnded(_, let outcome, _):
      note(outcome == .cancelled ? "chunk cancelled" : "chunk succeeded")
    default: break
    }
  }

  /// A store was recovered: its counters are what counting goes on from, and these the books.
  func recovered(_ store: JobStore, _ books: MapBooks) {
    self.books = books
    attemptsFailed = [:]
    store.forEachOpen { job in
      attemptsFailed[job.number] = Int(job.attempt) - (job.state == .running ? 1 : 0)
    }
  }

  /// The service has dealt with the event.
  func delivered(_ event: Event) {
    if let expected, expected.number != 0, !hasSeenRecord {
      fail("nothing follows for job \(expected.number) from \(event); \(expected.words) should")
    }
    expected = nil
  }

  static func word(for loss: Loss) -> String {
    switch loss {
    case .notStarted: "not started"
    case .workerExited(let exitcode): exitcode < 0 ? "signalled" : "exited"
    case .outOfMemory: "out of memory"
    case .programFailed: "program failed"
    case .protocolBroken: "protocol broken"
    case .interrupted: "interrupted"
    }
  }

  static func word(for record: Record) -> String {
    switch record {
    case .jobSubmitted: "submitted"
    case .attemptStarted(_, let attempt, _): "started \(attempt)"
    case .attemptRevoked(_, let revocation): "revoked \(revocation.rawValue)"
    case .attemptFailed(_, let error, _): "retried \(error.code.rawValue)"
    case .jobQueued: "queued"
    case .cancelRequested: "cancel_requested"
    case .jobEnded(_, .succeeded(let result), _): "succeeded \(result)"
    case .jobEnded(_, .succeededWithBytes, _): "succeeded with bytes"
    case .jobEnded(_, .failed(let error), _): "failed \(error.code.rawValue)"
    case .jobEnded(_, .cancelled, _): "cancelled"
    case .jobForgotten: "forgotten"
    case .jobWithdrawn: "withdrawn"
    case .mapCreated: "map_created"
    case .mapInputEnded: "map_input_ended"
    case .mapCancelRequested: "map_cancel_requested"
    case .chunkReleased: "chunk_released"
    case .mapForgotten: "map_forgotten"
    case .mapWithdrawn: "map_withdrawn"
    case .poolCreated: "pool_created"
    case .poolResized: "pool_resized"
    case .poolPaused: "pool_paused"
    case .poolResumed: "pool_resumed"
    case .poolClosed: "pool_closed"
    case .poolTerminated: "pool_terminated"
    case .poolRemoved: "pool_removed"
    }
  }
}
