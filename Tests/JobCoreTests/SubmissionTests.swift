import Testing

@testable import JobCore

/// New, repeated and contradictory submissions.
@Suite struct SubmissionTests {
  static func id(_ text: String) throws -> JobID { try #require(JobID(text)) }

  @Test func `a submission gets the next number and an id that finds it`() throws {
    var rig = Rig()
    let first = try rig.square()
    let second = try rig.square()
    #expect([first, second] == [1, 2])
    let job = try #require(rig.store[1])
    #expect(job.state == .queued)
    #expect(job.createdAt == Rig.start)
    #expect(rig.store.number(of: job.id) == 1)
    #expect(job.id.text.count == 36)
    #expect(job.id != rig.store[2]?.id)
    #expect(job.args == "[7]")
    #expect(rig.store.names[job.task] == "square")
    #expect(rig.store.names[job.pool] == "default")
  }

  @Test func `a client's own id is taken as it is`() throws {
    var rig = Rig()
    let id = try SubmissionTests.id("my.job_1-A")
    let number = try rig.accept(Submission(task: "square", id: id))
    #expect(rig.store.number(of: id) == number)
    #expect(rig.store[number]?.id.text == "my.job_1-A")
  }

  static let options = JobOptions(
    kwargs: #"{"a":1}"#, timeout: 5_000, attemptsMax: 3, onInterrupt: .fail, tags: ["x", "y"],
    idempotencyKey: "k")

  static func original() -> Submission {
    Submission(
      task: "square", args: "[7]", id: JobID("a"), pool: "default", options: options)
  }

  /// Submissions that name the same job and ask for the same.
  static let replays: [(String, Submission)] = {
    var withoutID = original()
    withoutID.id = nil
    var withoutPool = original()
    withoutPool.pool = nil
    var withoutKey = original()
    withoutKey.options = changed { $0.idempotencyKey = nil }
    return [
      ("the same", original()), ("no id", withoutID), ("no pool", withoutPool),
      ("no key", withoutKey),
    ]
  }()

  /// The members of options, to change one.
  struct Members {
    var kwargs = options.kwargs
    var timeout = options.timeout
    var attemptsMax = options.attemptsMax
    var onInterrupt = options.onInterrupt
    var tags = options.tags
    var idempotencyKey = options.idempotencyKey
  }

  static func changed(_ change: (inout Members) -> Void) -> JobOptions {
    var members = Members()
    change(&members)
    return JobOptions(
      kwargs: members.kwargs, timeout: members.timeout, attemptsMax: members.attemptsMax,
      onInterrupt: members.onInterrupt, tags: members.tags, idempotencyKey: members.idempotencyKey)
  }

  /// Submissions that name the same job and ask for something else.
  static let mismatches: [(String, Submission)] = {
    var task = original()
    task.task = "cube"
    var args = original()
    args.args = "[8]"
    var pool = original()
    pool.pool = "other"
    var id = original()
    id.id = JobID("b")
    var none = original()
    none.options = nil
    let options: [(String, (inout Members) -> Void)] = [
      ("kwargs", { $0.kwargs = "" }), ("timeout", { $0.timeout = nil }),
      ("another timeout", { $0.timeout = 5_001 }), ("attempts", { $0.attemptsMax = 1 }),
      ("on_interrupt", { $0.onInterrupt = .requeue }), ("tags", { $0.tags = ["x"] }),
      ("the order of tags", { $0.tags = ["y", "x"] }), ("key", { $0.idempotencyKey = "l" }),
    ]
    return [("task", task), ("args", args), ("pool", pool), ("id", id), ("no options", none)]
      + options.map { name, change in
        var submission = original()
        submission.options = changed(change)
        return (name, submission)
      }
  }()

  @Test(arguments: replays.indices)
  func `a repeat gets the first job again, in every state`(index: Int) throws {
    let (name, submission) = SubmissionTests.replays[index]
    var rig = Rig(pools: ["default", "other"], tasks: ["square", "cube"])
    let number = try rig.accept(SubmissionTests.original())
    func expectReplay() {
      let journal = rig.journal.count
      #expect(rig.submit(submission) == .accepted(number, isReplay: true), "\(name)")
      #expect(rig.journal.count == journal)
    }
    expectReplay()
    rig.ready()
    expectReplay()
    try rig.succeed(number)
    expectReplay()
    rig.handle(.storageChanged(isWritable: false))
    expectReplay()
    rig.handle(.storageChanged(isWritable: true))
    rig.handle(.drainRequested)
    expectReplay()
    try rig.crash()
    expectReplay()
    #expect(rig.store.count == 1)
  }

  @Test(arguments: mismatches.indices)
  func `a repeat with another payload is refused`(index: Int) throws {
    let (name, submission) = SubmissionTests.mismatches[index]
    var rig = Rig(pools: ["default", "other"], tasks: ["square", "cube"])
    _ = try rig.accept(SubmissionTests.original())
    let id = try SubmissionTests.id("a")
    #expect(rig.submit(submission) == .refused(.idempotencyMismatch(id)), "\(name)")
    #expect(rig.store.count == 1)
  }

  @Test func `an id and a key that name two jobs are a mismatch`() throws {
    var rig = Rig()
    let a = try SubmissionTests.id("a")
    _ = try rig.accept(Submission(task: "square", id: a))
    _ = try rig.square(JobOptions(idempotencyKey: "k"))
    let both = Submission(task: "square", id: a, options: JobOptions(idempotencyKey: "k"))
    #expect(rig.submit(both) == .refused(.idempotencyMismatch(a)))
    let fresh = Submission(task: "square", id: a, options: JobOptions(idempotencyKey: "l"))
    #expect(rig.submit(fresh) == .accepted(1, isReplay: true))
  }

  @Test func `a key and an id live as long as their job`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.accept(SubmissionTests.original())
    try rig.succeed(number)
    #expect(rig.forget(number) == .forgotten)
    let again = try rig.accept(SubmissionTests.original())
    #expect(again == 2)
    #expect(rig.store.number(ofKey: "k") == 2)
    try rig.crash()
    #expect(rig.submit(SubmissionTests.original()) == .accepted(2, isReplay: true))
  }

  // MARK: The pool

  /// A rig whose pools know what is said; nil: silent.
  static func rig(_ pools: [(String, [String]?)], broken: [Int] = []) -> Rig {
    var rig = Rig(pools: pools.map(\.0), tasks: nil)
    for (index, (_, tasks)) in pools.enumerated() {
      if let tasks { rig.handle(.poolAnnounced(pool: PoolID(index), tasks: tasks)) }
    }
    for index in broken { rig.handle(.poolBroke(pool: PoolID(index), reason: "no python")) }
    return rig
  }

  static func pool(_ name: String? = nil, in rig: Rig) -> String {
    var rig = rig
    switch rig.submit(Submission(task: "t", pool: name)) {
    case .accepted(let number, _)?: return rig.store[number].map { rig.store.names[$0.pool] } ?? ""
    case .refused(.poolNotRunning(let pool, let reason))?: return "\(pool): \(reason)"
    case .refused(.poolNotReady(let pool))?: return "\(pool) is not ready"
    case .refused(.ambiguousTask(_, let pools))?: return "ambiguous \(pools)"
    case let answer?: return answer.word
    case nil: return "no answer"
    }
  }

  @Test func `the only pool that knows the task is chosen`() {
    let rig = SubmissionTests.rig([("a", ["s"]), ("b", ["t", "s"]), ("c", [])])
    #expect(SubmissionTests.pool(in: rig) == "b")
    #expect(SubmissionTests.pool("b", in: rig) == "b")
    #expect(SubmissionTests.pool("a", in: rig) == "refused(taskNotInPool)")
    #expect(SubmissionTests.pool("z", in: rig) == "refused(unknownPool)")
  }

  @Test func `among several that know the task, default is chosen`() {
    let three = SubmissionTests.rig([("a", ["t"]), ("default", ["t"]), ("c", ["t"])])
    #expect(SubmissionTests.pool(in: three) == "default")
    #expect(SubmissionTests.pool("c", in: three) == "c")
    let other = SubmissionTests.rig([("a", ["t"]), ("default", ["s"])])
    #expect(SubmissionTests.pool(in: other) == "a")
  }

  @Test func `without default, a task of several pools is ambiguous`() {
    let rig = SubmissionTests.rig([("a", ["t"]), ("default", ["s"]), ("c", ["t"])])
    #expect(SubmissionTests.pool(in: rig) == #"ambiguous ["a", "c"]"#)
    #expect(SubmissionTests.pool("c", in: rig) == "c")
  }

  @Test func `a task is unknown only when every pool has told its tasks`() {
    let all = SubmissionTests.rig([("a", ["s"]), ("b", [])])
    #expect(SubmissionTests.pool(in: all) == "refused(unknownTask)")
    let some = SubmissionTests.rig([("a", ["s"]), ("b", nil)])
    #expect(SubmissionTests.pool(in: some) == "b is not ready")
    #expect(SubmissionTests.pool("b", in: some) == "b is not ready")
    #expect(SubmissionTests.pool("a", in: some) == "refused(taskNotInPool)")
  }

  @Test func `a broken pool takes nothing and says why`() {
    let known = SubmissionTests.rig([("a", ["t"]), ("b", ["s"])], broken: [0])
    #expect(SubmissionTests.pool(in: known) == "a: no python")
    #expect(SubmissionTests.pool("a", in: known) == "a: no python")
    let silent = SubmissionTests.rig([("a", ["s"]), ("b", nil)], broken: [1])
    #expect(SubmissionTests.pool(in: silent) == "b: no python")
    let other = SubmissionTests.rig([("a", ["t"]), ("b", ["s"])], broken: [1])
    #expect(SubmissionTests.pool(in: other) == "a")
  }

  @Test func `the jobs of a broken pool fail in slices, scheduled ones when they are due`() throws {
    var rig = Rig(
      pools: ["default", "other"], limits: Limits { $0.forgottenPerTurnMax = 2 })
    let retried = try rig.square(JobOptions(attemptsMax: 2), pool: "default")
    rig.ready()
    try rig.raise(retried)
    rig.handle(.slotGone(SlotID(pool: 0, index: 0)))
    let numbers = try (0..<3).map { _ in try rig.square(pool: "default") }
    let cancelled = try rig.square(pool: "default")
    let untouched = try rig.square(pool: "other")
    #expect(rig.cancel(cancelled) == .cancelled(cancelled))
    rig.handle(.poolBroke(pool: PoolID(0), reason: "no python"))
    #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
    #expect(
      rig.pass(0).records.map(\.word) == ["ended(initializer_failed)", "ended(initializer_failed)"])
    #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
    #expect(rig.pass(0).records.map(\.job) == [numbers[2]])
    #expect(rig.store[retried]?.state == .scheduled)
    #expect(rig.engine.nextDeadline(at: rig.moment) != rig.moment.instant)
    rig.pass(1_000)
    #expect(rig.store[retried]?.state == .failed)
    #expect(rig.store[untouched]?.state == .queued)
    guard case .error(let error)? = rig.store[numbers[0]]?.ending else {
      Issue.record("no error")
      return
    }
    #expect(error.code == .initializerFailed)
    #expect(error.message == "no python")
  }
}
