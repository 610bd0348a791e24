import Testing

@testable import JobCore

/// An engine with a clock of its own. It checks every invariant after every event.
struct Rig {
  var engine: Engine
  /// The moment of the next event.
  var moment: Moment
  /// Every record so far, in order: the journal.
  private(set) var journal: [Record]
  private var lastRequest: RequestID = 0
  private var completions: CompletionBook

  /// The first timestamp of every rig, in milliseconds.
  static let start: Timestamp = 1_700_000_000_000

  /// An engine over a store; its pools are named `pools` and know `tasks` (nil: they stay silent).
  init(
    pools: [String] = ["default"], tasks: [String]? = ["square"], limits: Limits = Limits(),
    store: JobStore = JobStore(), taskRules: [String: TaskRule] = [:],
    poolRules: [String: PoolRule] = [:]
  ) {
    engine = Engine(
      store: store, pools: pools, limits: limits, taskRules: taskRules, poolRules: poolRules,
      seed: 1)
    moment = Moment(instant: Instant(nanoseconds: 5_000_000_000), timestamp: Rig.start)
    var turn = Turn()
    engine.recover(at: moment, &turn)
    journal = turn.records
    completions = CompletionBook(engine.store)
    guard let tasks else { return }
    for pool in pools.indices { handle(.poolAnnounced(pool: PoolID(pool), tasks: tasks)) }
  }

  var store: JobStore { engine.store }

  /// Handles one event and answers its turn.
  @discardableResult
  mutating func handle(
    _ event: Event, sourceLocation: SourceLocation = #_sourceLocation
  ) -> Turn {
    var turn = Turn()
    engine.handle(event, at: moment, &turn)
    #expect(engine.brokenInvariants() == [], sourceLocation: sourceLocation)
    #expect(completions.enter(turn, engine.store) == [], sourceLocation: sourceLocation)
    journal += turn.records
    return turn
  }

  /// Both clocks go on, and nothing happens.
  mutating func wait(_ milliseconds: Milliseconds) {
    moment = Moment(
      instant: moment.instant.advanced(byMilliseconds: milliseconds),
      timestamp: moment.timestamp + milliseconds)
  }

  /// Both clocks go on, and the engine hears of it.
  @discardableResult
  mutating func pass(_ milliseconds: Milliseconds) -> Turn {
    wait(milliseconds)
    return handle(.timePassed)
  }

  /// Answers what a submission hears.
  mutating func submit(_ submission: Submission) -> Answer? {
    lastRequest += 1
    return handle(.submissionReceived(submission, request: lastRequest)).answer(to: lastRequest)
  }

  /// Submits a job that must be accepted as new.
  mutating func accept(
    _ submission: Submission, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> JobNumber {
    let answer = submit(submission)
    guard case .accepted(let number, isReplay: false) = answer else {
      Issue.record("not accepted: \(String(describing: answer))", sourceLocation: sourceLocation)
      throw NotAccepted()
    }
    return number
  }

  struct NotAccepted: Error {}

  /// Submits a job of the task `square`.
  mutating func square(_ options: JobOptions? = nil, pool: String? = nil) throws -> JobNumber {
    try accept(Submission(task: "square", args: "[7]", pool: pool, options: options))
  }

  /// Answers what a cancel request hears.
  mutating func cancel(_ number: JobNumber, grace: Milliseconds = 5_000) -> Answer? {
    lastRequest += 1
    return handle(.cancelReceived(number, grace: grace, request: lastRequest))
      .answer(to: lastRequest)
  }

  /// Answers what a request to forget hears.
  mutating func forget(_ number: JobNumber) -> Answer? {
    lastRequest += 1
    return handle(.forgetReceived(number, request: lastRequest)).answer(to: lastRequest)
  }

  /// A slot gets a worker with credit; answers what was dispatched to it.
  @discardableResult
  mutating func ready(_ slot: Int = 0, credit: Int = 1, pool: Int = 0) -> [Dispatched] {
    handle(.slotReady(SlotID(pool: pool, index: slot), credit: credit, pid: 100 + Int32(slot)))
      .dispatched
  }

  /// The call that holds a running job.
  func call(of number: JobNumber) -> CallID? {
    engine.pools.lazy.flatMap(\.slots).flatMap(\.calls).first { $0.job == number }?.id
  }

  /// The worker that holds a job answers with a value.
  @discardableResult
  mutating func succeed(_ number: JobNumber, _ result: String = "49") throws -> Turn {
    let call = try #require(self.call(of: number))
    return handle(.callReturned(call, result: result))
  }

  /// The task of a running job throws.
  @discardableResult
  mutating func raise(_ number: JobNumber, _ code: JobError.Code = .raised) throws -> Turn {
    let call = try #require(self.call(of: number))
    return handle(.callRaised(call, RaisedError(code: code, type: "Oh", message: "no")))
  }

  /// A running job's call will not be answered.
  @discardableResult
  mutating func lose(_ number: JobNumber, _ loss: Loss) throws -> Turn {
    let call = try #require(self.call(of: number))
    return handle(.callLost(call, loss))
  }

  /// The service is cut off and starts again from its journal; the workers are gone. Answers what
  /// recovery decided.
  @discardableResult
  mutating func crash(
    limits: Limits? = nil, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> [Record] {
    var recovered = JobStore(forgottenIDsMax: engine.limits.forgottenIDsMax)
    for record in journal { try recovered.apply(record) }
    #expect(recovered == store, sourceLocation: sourceLocation)
    let before = engine
    engine = Engine(
      store: recovered, pools: before.pools[..<before.configuredPools].map(\.name),
      limits: limits ?? before.limits, taskRules: before.taskRules, poolRules: before.poolRules,
      seed: 2)
    var turn = Turn()
    engine.recover(at: moment, &turn)
    journal += turn.records
    completions = CompletionBook(engine.store)
    #expect(engine.brokenInvariants() == [], sourceLocation: sourceLocation)
    for (pool, entry) in before.pools[..<before.configuredPools].enumerated() {
      if let tasks = entry.tasks {
        handle(.poolAnnounced(pool: PoolID(pool), tasks: tasks.sorted()))
      }
    }
    return turn.records
  }
}

/// A job that was handed to a slot.
struct Dispatched: Equatable {
  let job: JobNumber
  let slot: SlotID
}

extension Turn {
  /// What a request hears; nil unless it hears exactly one thing.
  func answer(to request: RequestID) -> Answer? {
    let answers = effects.compactMap { effect -> Answer? in
      guard case .answer(request, let answer) = effect else { return nil }
      return answer
    }
    return answers.count == 1 ? answers[0] : nil
  }

  /// What was handed out, in order.
  var dispatched: [Dispatched] {
    effects.compactMap { effect in
      guard case .dispatch(let call, let job) = effect else { return nil }
      return Dispatched(job: job, slot: call.slot)
    }
  }

  /// The calls to end, with their grace.
  var ended: [(call: CallID, grace: Milliseconds)] {
    effects.compactMap { effect in
      guard case .endCall(let call, let grace) = effect else { return nil }
      return (call, grace)
    }
  }
}

extension Limits {
  /// The defaults with some of them changed.
  init(_ change: (inout Limits) -> Void) {
    self.init()
    change(&self)
  }
}

/// A plain error of a task.
extension RaisedError {
  static let plain = RaisedError(code: .raised, type: "ValueError", message: "no")
}
