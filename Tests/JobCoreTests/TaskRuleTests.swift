import Testing

@testable import JobCore

/// What the configuration says of a task, and limits that a call passes.
@Suite struct TaskRuleTests {
  static func rig(_ rule: TaskRule) -> Rig {
    Rig(tasks: ["square", "ruled"], taskRules: ["ruled": rule])
  }

  static func ruled(_ options: JobOptions? = nil) -> Submission {
    Submission(task: "ruled", options: options)
  }

  @Test(arguments: [(nil, 500), (2_000, 500), (200, 200)] as [(Milliseconds?, Milliseconds)])
  func `the shorter of the job's and the task's timeout holds`(
    own: Milliseconds?, effective: Milliseconds
  ) throws {
    var rig = TaskRuleTests.rig(TaskRule(timeout: 500))
    rig.ready()
    let number = try rig.accept(TaskRuleTests.ruled(own.map { JobOptions(timeout: $0) }))
    #expect(rig.pass(effective - 1).ended.isEmpty)
    #expect(rig.pass(1).ended.map(\.grace) == [Engine.timeLimitGrace])
    try rig.lose(number, .workerExited(exitcode: -15))
    guard case .error(let error) = rig.store[number]?.ending else {
      Issue.record("it has not failed")
      return
    }
    #expect(error.code == .timedOut)
    #expect(error.message.contains(" \(effective) ms"))
  }

  @Test func `other tasks have no rule`() throws {
    var rig = TaskRuleTests.rig(TaskRule(timeout: 500, isExclusive: true))
    rig.ready(credit: 2)
    _ = try rig.square()
    _ = try rig.square()
    #expect(rig.engine.runningCount(pool: 0) == 2)
    #expect(rig.pass(100_000).ended.isEmpty)
  }

  @Test func `an exclusive call has its slot to itself`() throws {
    var rig = TaskRuleTests.rig(TaskRule(isExclusive: true))
    rig.ready(credit: 8)
    let first = try rig.accept(TaskRuleTests.ruled())
    let second = try rig.square()
    #expect(rig.store[second]?.state == .queued)
    #expect(try rig.succeed(first).dispatched.map(\.job) == [second])
    let third = try rig.accept(TaskRuleTests.ruled())
    #expect(rig.store[third]?.state == .queued, "the slot is not empty")
    #expect(try rig.succeed(second).dispatched.map(\.job) == [third])
  }

  @Test func `an exclusive call finds the empty slot among those of tiny calls`() throws {
    var rig = TaskRuleTests.rig(TaskRule(isExclusive: true))
    rig.ready(0, credit: Engine.creditOfTinyCalls)
    rig.ready(1, credit: Engine.creditOfTinyCalls)
    _ = try rig.square()
    let number = try rig.accept(TaskRuleTests.ruled())
    #expect(rig.call(of: number)?.slot.index == 1)
    let next = try rig.square()
    #expect(rig.call(of: next)?.slot.index == 0)
  }

  @Test func `a passed limit fails the job with its code, once its worker is gone`() throws {
    let cases: [(PassedLimit, JobError.Code, String)] = [
      (.cpu(limit: 2_000_000, used: 2_050_000), .cpuLimit, "2050 ms of CPU time"),
      (.memory(limit: 1_024, used: 4_096), .memoryLimit, "4096 bytes of memory"),
    ]
    for (limit, code, words) in cases {
      var rig = Rig()
      rig.ready()
      let number = try rig.square(JobOptions(attemptsMax: 3))
      let call = try #require(rig.call(of: number))
      #expect(rig.handle(.callPassedLimit(call, limit)).ended.map(\.grace) == [0])
      #expect(rig.store[number]?.state == .running)
      #expect(rig.handle(.callPassedLimit(call, limit)).effects.isEmpty, "it is told once")
      try rig.lose(number, .workerExited(exitcode: -9))
      guard case .error(let error) = rig.store[number]?.ending else {
        Issue.record("it has not failed")
        return
      }
      #expect(error.code == code)
      #expect(error.message.contains(words))
      #expect(error.exitcode == -9, "how its worker ended is told as well")
      #expect(rig.store[number]?.state == .failed, "another attempt would pass it as well")
    }
  }

  @Test func `what a program said last is told whatever ended it`() throws {
    for isTime in [true, false] {
      var rig = Rig()
      rig.ready()
      let number = try rig.square(JobOptions(timeout: 500))
      let call = try #require(rig.call(of: number))
      if isTime {
        rig.pass(500)
      } else {
        rig.handle(.callPassedLimit(call, .memory(limit: 1, used: 2)))
      }
      let ended = RaisedError(
        code: .signalled, type: "ProgramSignalled", message: "no", traceback: "step 7\n",
        exitcode: -15)
      try rig.lose(number, .programFailed(ended))
      let error = try CompletionTests.error(of: number, in: rig)
      #expect(error.code == (isTime ? .timedOut : .memoryLimit))
      #expect(error.exitcode == -15)
      #expect(error.traceback == "step 7\n")
    }
  }

  @Test func `a limit passed by nobody is ignored`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    let call = try #require(rig.call(of: number))
    try rig.succeed(number)
    let late = rig.handle(.callPassedLimit(call, .cpu(limit: 1, used: 2)))
    #expect(late.isEmpty)
    let nonsense = CallID(rawValue: .max)
    #expect(rig.handle(.callPassedLimit(nonsense, .cpu(limit: 1, used: 2))).isEmpty)
  }

  @Test func `a program that was ended by the shutdown goes back into the line`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    rig.handle(.drainRequested)
    rig.handle(.drainGraceEnded)
    let failed = RaisedError(code: .signalled, type: "ProgramEnded", message: "", exitcode: -15)
    try rig.lose(number, .programFailed(failed))
    #expect(rig.store[number]?.state == .queued)
  }

  @Test func `bytes are told from values, and counted decoded`() throws {
    var rig = Rig()
    rig.ready()
    let number = try rig.square()
    let bytes = BytesResult(contentType: "image/png", base64: "iVBORw==")
    rig.handle(.callReturnedBytes(try #require(rig.call(of: number)), bytes))
    #expect(rig.store[number]?.ending == .bytes(bytes))
    #expect(bytes.count == 4)
    #expect(BytesResult(contentType: "", base64: "").count == 0)
    #expect(BytesResult(contentType: "", base64: "YWI=").count == 2)
    #expect(BytesResult(contentType: "", base64: "YWJj").count == 3)
  }
}
