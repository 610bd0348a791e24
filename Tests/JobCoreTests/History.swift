@testable import JobCore

/// A random history of the engine in a small simulated world, and the books that the world keeps of
/// it. After every event all invariants are checked and the books are compared with the store.
///
/// The world is the shell as the engine's events describe it: clients, workers that answer, die and
/// come back, a clock, a journal that may be unwritable, crashes.
struct History {
  static let pools = ["default", "other"]
  static let tasks = [["square", "cube"], ["cube", "sort"]]

  let seed: UInt64
  var random: TestRandom
  let limits: Limits
  var engine: Engine
  var moment: Moment
  /// Every record so far.
  var journal: [Record] = []
  /// The latest snapshot, and how many records it covers.
  var snapshot = StoreSnapshot(JobStore())
  var snapshotCovers = 0

  // The books.
  var jobs: [JobModel] = []
  var live: [JobNumber] = []
  var finishOrder: [JobNumber] = []
  /// The queued jobs of each pool in the order in which they must start.
  var lines: [[JobNumber]] = [[], []]
  var slots: [[SlotModel]]
  var endedCalls: Set<CallID> = []
  var pastCalls: [CallID] = []
  var usedCalls: Set<CallID> = []
  var isWritable = true
  var isDraining = false
  var isGraceOver = false
  var isDrainFinished = false
  var isBroken = [false, false]
  /// What did not hold; the history stops at the first.
  var problems: [String] = []
  var eventCounts: [String: Int] = [:]

  private var lastRequest: RequestID = 0

  init(seed: UInt64) {
    self.seed = seed
    random = TestRandom(seed: seed)
    var limits = Limits()
    limits.openJobsMax = 8 + random.below(12)
    limits.openBytesMax = 150 + random.below(200)
    limits.retentionAge = Milliseconds(200 + random.below(5_000))
    limits.retentionJobsMax = random.below(12)
    limits.retentionBytesMax = 20 + random.below(300)
    limits.forgottenIDsMax = random.below(8)
    limits.forgottenPerTurnMax = 1 + random.below(4)
    limits.retryDelay = Milliseconds(random.below(300))
    limits.retryDelayMax = 500
    self.limits = limits
    moment = Moment(instant: Instant(nanoseconds: 1_000), timestamp: 1_000_000)
    engine = Engine(
      store: JobStore(forgottenIDsMax: limits.forgottenIDsMax), pools: History.pools,
      limits: limits, seed: seed)
    slots = [[SlotModel(), SlotModel()], [SlotModel()]]
    start()
  }

  /// Lets the history run for `count` events, then lets all come to rest, and answers what did not
  /// hold.
  mutating func run(events count: Int) -> [String] {
    var step = 0
    while step < count, problems.isEmpty {
      happen()
      step += 1
    }
    if problems.isEmpty { comeToRest() }
    return problems.map { "seed \(seed), event \(step): \($0)" }
  }

  // MARK: What can happen

  private mutating func happen() {
    // A service that drains does little; it is not to be most of the history.
    if isDraining, random.percent(10) { return random.percent(50) ? changeService() : crash() }
    switch random.below(100) {
    case 0..<27: submit(anySubmission())
    case 27..<29: repeatSubmission()
    case 29..<35: cancel()
    case 35..<38: forget()
    case 38..<50: getReady()
    case 50..<70: answer()
    case 70..<76: die()
    case 76..<78: takeBack()
    case 78: loseForkServer()
    case 79..<82: answerLate()
    case 82..<94: passTime(Milliseconds(random.below(random.percent(10) ? 3_000 : 200)))
    case 94..<96: changeStorage()
    case 96: changeService()
    case 97: takeSnapshot()
    default: if random.percent(60) { crash() }
    }
  }

  private mutating func anySubmission() -> Submission {
    let isPlain = random.percent(40)
    let options = JobOptions(
      kwargs: random.percent(20) ? "{\"a\":1}" : "",
      timeout: random.percent(40) ? Milliseconds(random.below(400)) : nil,
      attemptsMax: 1 + random.below(3), onInterrupt: random.percent(20) ? .fail : .requeue,
      tags: random.percent(20) ? ["x"] : [],
      idempotencyKey: random.percent(25) ? "key-\(random.below(6))" : nil)
    return Submission(
      task: random.pick(["square", "cube", "sort", "square", "cube", "unheard"]),
      args: random.pick(["[]", "[1]", "[\"a longer argument than that\"]"]),
      id: random.percent(25) ? JobID("id-\(random.below(8))") : nil,
      pool: random.percent(20) ? random.pick(["default", "other", "none"]) : nil,
      options: isPlain ? nil : options)
  }

  private mutating func repeatSubmission() {
    guard let number = live.isEmpty ? nil : random.pick(live) else { return }
    var submission = jobs[Int(number) - 1].submission
    submission.id = random.percent(50) ? jobs[Int(number) - 1].id : submission.id
    if random.percent(30) { submission.args += " " }
    submit(submission)
  }

  private mutating func submit(_ submission: Submission) {
    lastRequest += 1
    let expected = answer(toSubmission: submission)
    let number = JobNumber(jobs.count + 1)
    let turn = hand(.submissionReceived(submission, request: lastRequest))
    let answer = turn.answer(to: lastRequest)
    expect(answer?.word == expected.word, "\(submission) heard \(answer as Answer?)")
    if case .accepted(let first, _) = expected { expect(answer == expected, "not job \(first)") }
    settle(turn, expected: expected.word == "accepted" ? [(number, "submitted")] : [])
  }

  private mutating func cancel() {
    let number = JobNumber(random.below(jobs.count + 2))
    cancel(live.isEmpty || random.percent(10) ? number : random.pick(live))
  }

  private mutating func cancel(_ number: JobNumber) {
    lastRequest += 1
    let turn = hand(
      .cancelReceived(number, grace: Milliseconds(random.below(9)), request: lastRequest))
    let answer = turn.answer(to: lastRequest)
    guard live.contains(number) else {
      expect(answer == .refused(.unknownJob), "cancel of an unknown job heard \(answer as Answer?)")
      return settle(turn, expected: [])
    }
    let job = jobs[Int(number) - 1]
    if job.state.isFinal {
      expect(answer == .refused(.notCancellable(job.state)), "cancel of a final job")
      settle(turn, expected: [])
    } else if !isWritable {
      expect(answer == .refused(.readOnly), "cancel while read-only")
      settle(turn, expected: [])
    } else {
      expect(answer == .cancelled(number), "cancel of \(number) heard \(answer as Answer?)")
      let word = job.state == .running ? "cancelRequested" : "ended(cancelled)"
      settle(turn, expected: job.isCancelRequested ? [] : [(number, word)])
    }
  }

  private mutating func forget() {
    guard !live.isEmpty else { return }
    let number = random.pick(live)
    lastRequest += 1
    let isFinal = jobs[Int(number) - 1].state.isFinal
    let turn = hand(.forgetReceived(number, request: lastRequest))
    let word = !isFinal ? "refused(notFinal)" : isWritable ? "forgotten" : "refused(readOnly)"
    expect(turn.answer(to: lastRequest)?.word == word, "forget of \(number) is not \(word)")
    settle(turn, expected: word == "forgotten" ? [(number, "forgotten")] : [])
  }

  private mutating func getReady() {
    let pool = random.percent(75) ? 0 : 1
    guard !isBroken[pool] else { return }
    let index = random.below(slots[pool].count)
    setCredit(SlotID(pool: pool, index: index), random.below(4))
  }

  mutating func setCredit(_ slot: SlotID, _ credit: Int) {
    slots[slot.pool][slot.index].credit = credit
    let event = Event.slotReady(slot, credit: credit, pid: Int32(random.below(1_000) + 1))
    settle(hand(credit == 0 && random.percent(50) ? .slotGone(slot) : event), expected: [])
  }

  private mutating func answer() {
    guard let slot = busySlot() else { return }
    let calls = slots[slot.pool][slot.index].calls
    let call = random.percent(95) ? calls[0].id : random.pick(calls).id
    if random.percent(75) {
      end(call, .returned)
    } else {
      end(call, .raised(random.pick([.raised, .raised, .argumentDecoding, .resultEncoding])))
    }
  }

  /// A worker ends: first its slot takes nothing more, then its calls are told lost.
  private mutating func die() {
    guard let slot = busySlot() else { return }
    setCredit(slot, 0)
    let loss = random.pick(
      [
        .workerExited(exitcode: 3), .workerExited(exitcode: -9), .protocolBroken("x"),
        .interrupted,
      ] as [Loss])
    loseCalls(of: slot, first: loss)
  }

  private mutating func loseCalls(of slot: SlotID, first: Loss) {
    let calls = slots[slot.pool][slot.index].calls.map(\.id)
    let rest = random.percent(50) ? calls.dropFirst().reversed() : Array(calls.dropFirst())
    let isFrontFirst = random.percent(70)
    if isFrontFirst, let call = calls.first { end(call, .lost(first)) }
    for call in rest { end(call, .lost(.notStarted)) }
    if !isFrontFirst, let call = calls.first { end(call, .lost(first)) }
  }

  /// The pool takes back what waits behind a long call.
  private mutating func takeBack() {
    guard let slot = busySlot() else { return }
    setCredit(slot, 1)
    for call in slots[slot.pool][slot.index].calls.dropFirst().map(\.id).reversed() {
      end(call, .lost(.notStarted))
    }
  }

  private mutating func loseForkServer() {
    for pool in slots.indices {
      for index in slots[pool].indices { setCredit(SlotID(pool: pool, index: index), 0) }
    }
    for pool in slots.indices {
      for index in slots[pool].indices {
        loseCalls(of: SlotID(pool: pool, index: index), first: .interrupted)
      }
    }
  }

  private mutating func answerLate() {
    guard !pastCalls.isEmpty else { return }
    let call = random.pick(pastCalls)
    let turn =
      switch random.below(3) {
      case 0: hand(.callReturned(call, result: "late"))
      case 1: hand(.callRaised(call, .plain))
      default: hand(.callLost(call, .interrupted))
      }
    expect(turn.isEmpty, "a late answer did something: \(turn)")
    settle(turn, expected: [])
  }

  private mutating func changeStorage() {
    isWritable = isWritable ? random.percent(50) : true
    settle(hand(.storageChanged(isWritable: isWritable)), expected: [])
  }

  private mutating func changeService() {
    if isDraining {
      isGraceOver = true
      settle(hand(.drainGraceEnded), expected: [])
      return loseForkServer()
    }
    switch random.below(4) {
    case 0, 1:
      isDraining = true
      settle(hand(.drainRequested), expected: [])
    case 2:
      setCredit(SlotID(pool: 1, index: 0), 0)
      isBroken[1] = true
      settle(hand(.poolBroke(pool: PoolID(1), reason: "broken")), expected: [])
      loseCalls(of: SlotID(pool: 1, index: 0), first: .workerExited(exitcode: -9))
    default: break
    }
  }

  private mutating func busySlot() -> SlotID? {
    let busy = slots.indices.flatMap { pool in
      slots[pool].indices.filter { !slots[pool][$0].calls.isEmpty }
        .map { SlotID(pool: pool, index: $0) }
    }
    return busy.isEmpty ? nil : random.pick(busy)
  }
}
