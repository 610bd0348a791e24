import JSON
import JobCore
import Testing

@testable import JobServer

/// The handle: the same members in every state, more where there is more to tell.
@Suite struct HandleWriterTests {
  private static let always: Set = [
    "id", "task", "pool", "state", "ready", "successful", "attempt", "max_attempts", "created_at",
    "result_url", "events_url",
  ]

  private func handle(
    _ held: (engine: Engine, job: Job), includeArguments: Bool = false
  ) throws -> JSONTree {
    var writer = JSONWriter()
    HandleWriter.write(
      held.job, of: held.engine, includeArguments: includeArguments, to: &writer)
    return try JSONTree(writer.bytes)
  }

  private let error = JobError(
    code: .signalled, type: "T", message: "m", traceback: "t", exitcode: -9, attempt: 2)

  @Test func `the members of each state`() throws {
    let expected: [(JobState, Set<String>, successful: JSONTree)] = [
      (.scheduled, ["run_at", "started_at", "error"], .null),
      (.queued, [], .null),
      (.running, ["started_at"], .null),
      (.succeeded, ["started_at", "finished_at", "expires_at", "result"], .bool(true)),
      (.failed, ["started_at", "finished_at", "expires_at", "error"], .bool(false)),
      (.cancelled, ["finished_at", "expires_at"], .bool(false)),
    ]
    for (state, more, successful) in expected {
      let handle = try handle(
        Jobs.engine(state) { job in
          if state != .queued { job.endedOrDueAt = 3_000 }
          if state != .queued, state != .cancelled { (job.startedAt, job.attempt) = (2_000, 1) }
          if state == .succeeded { job.ending = .result("49") }
          if state == .failed || state == .scheduled { job.ending = .error(error) }
        })
      #expect(Set(handle.members.keys) == Self.always.union(more), "\(state)")
      #expect(handle["state"] == .string(state.rawValue))
      #expect(handle["ready"] == .bool(state.isFinal))
      #expect(handle["successful"] == successful, "\(state)")
      #expect(handle["created_at"] == .string("1970-01-01T00:00:01.000Z"))
    }
    #expect(Set(expected.map(\.0)) == Set(JobState.allCases))
  }

  @Test func `moments are those of the job`() throws {
    let handle = try handle(
      Jobs.engine(.succeeded) { job in
        (job.startedAt, job.endedOrDueAt, job.ending) = (2_000, 3_000, .result("49"))
      })
    #expect(handle["started_at"] == .string("1970-01-01T00:00:02.000Z"))
    #expect(handle["finished_at"] == .string("1970-01-01T00:00:03.000Z"))
    #expect(handle["expires_at"] == .string("1970-01-02T00:00:03.000Z"))
    #expect(handle["result"] == .number("49"))
    #expect(handle["result_url"] == .string("/v1/jobs/one/result"))
    let waiting = try self.handle(
      Jobs.engine(.scheduled) { job in (job.endedOrDueAt, job.ending) = (4_000, .error(error)) })
    #expect(handle["events_url"] == .string("/v1/jobs/one/events"))
    #expect(waiting["run_at"] == .string("1970-01-01T00:00:04.000Z"))
  }

  @Test func `options show where they differ from the default`() throws {
    let options = JobOptions(
      kwargs: #"{"n":1}"#, timeout: 1_500, attemptsMax: 3, tags: ["a", "\""], idempotencyKey: "k")
    let held = Jobs.engine(.queued, options: options) { $0.losses = 2 }
    let handle = try handle(held)
    #expect(
      Set(handle.members.keys) == Self.always.union(["timeout", "tags", "interruptions"]))
    #expect(handle["timeout"] == .number("1.5"))
    #expect(handle["max_attempts"] == .number("3"))
    #expect(handle["tags"] == .array([.string("a"), .string("\"")]))
    #expect(handle["interruptions"] == .number("2"))
    let shown = try self.handle(held, includeArguments: true)
    #expect(shown["args"] == .array([.number("7")]))
    #expect(shown["kwargs"] == .object(["n": .number("1")]))
    #expect(
      try self.handle(Jobs.engine(.queued), includeArguments: true)["kwargs"] == .object([:]))
  }

  @Test func `a running job shows its worker, and whether it is being cancelled`() throws {
    var held = Jobs.running()
    #expect(try handle(held)["worker"] == .object(["pid": .number("77")]))
    var turn = Turn()
    held.engine.handle(.cancelReceived(1, grace: 0, request: 2), at: Jobs.moment, &turn)
    held.job = held.engine.store[1]!
    let handle = try handle(held)
    #expect(handle["state"] == .string("running"))
    #expect(handle["cancel_requested"] == .bool(true))
  }

  @Test func `a running job shows how far it said last that it is`() throws {
    var held = Jobs.running()
    #expect(try handle(held)["progress"] == nil)
    let call = try #require(held.engine.call(of: 1))
    var turn = Turn()
    for (value, message) in [("0.25", nil), (#"{"done":3}"#, "page 3")] as [(String, String?)] {
      let progress = Progress(value: value, message: message)
      held.engine.handle(.callProgressed(call, progress), at: Jobs.moment, &turn)
    }
    #expect(turn.isEmpty)
    #expect(
      try handle(held)["progress"]
        == .object(["value": .object(["done": .number("3")]), "message": .string("page 3")]))
    held.engine.handle(.callReturned(call, result: "1"), at: Jobs.moment, &turn)
    held.job = held.engine.store[1]!
    #expect(try handle(held)["progress"] == nil)
    // Late, of a call that is over.
    held.engine.handle(.callProgressed(call, Progress(value: "1")), at: Jobs.moment, &turn)
  }

  @Test func `how values travel, and the script, are shown where they are not plain`() throws {
    let options = JobOptions(encoding: .pickle, main: "/home/a/b.py")
    let handle = try handle(Jobs.engine(.queued, options: options))
    #expect(handle["encoding"] == .string("pickle"))
    #expect(handle["main"] == .string("/home/a/b.py"))
  }

  @Test func `an exception of Python shows all of its parts`() throws {
    var writer = JSONWriter()
    HandleWriter.write(
      JobError(
        code: .raised, type: "KeyError", message: "'a'", args: #"["a",{"pickle":"gAQ="}]"#,
        module: "builtins", pickle: "gASV", attempt: 1), to: &writer)
    let error = try JSONTree(writer.bytes)
    #expect(
      error["args"] == .array([.string("a"), .object(["pickle": .string("gAQ=")])]))
    #expect(error["module"] == .string("builtins") && error["pickle"] == .string("gASV"))
  }

  @Test func `an error shows what is known of it`() throws {
    var writer = JSONWriter()
    HandleWriter.write(error, to: &writer)
    #expect(
      try JSONTree(writer.bytes)
        == .object([
          "code": .string("signalled"), "type": .string("T"), "message": .string("m"),
          "traceback": .string("t"), "exitcode": .number("-9"), "signal": .number("9"),
          "attempt": .number("2"),
        ]))
    var plain = JSONWriter()
    HandleWriter.write(JobError(code: .raised, type: "", message: "", attempt: 1), to: &plain)
    #expect(
      Set(try JSONTree(plain.bytes).members.keys) == ["code", "type", "message", "attempt"])
  }

  @Test func `values pass exact, however deep`() throws {
    let deep = String(repeating: "[", count: 63) + String(repeating: "]", count: 63)
    for text in ["1e400", "-0.0", "12345678901234567890123", #""\ud83d\ude00""#, deep] {
      let (engine, job) = Jobs.engine(.succeeded) { $0.ending = .result(text) }
      var writer = JSONWriter()
      HandleWriter.write(job, of: engine, to: &writer)
      #expect(String(decoding: writer.bytes, as: UTF8.self).contains("\"result\":\(text),"))
    }
  }
}
