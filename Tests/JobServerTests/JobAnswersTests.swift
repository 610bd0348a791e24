import HTTPServer
import JSON
import Testing

@testable import JobCore
@testable import JobServer

@Suite struct JobAnswersTests {
  private func header(_ name: String, _ response: HTTPResponse) -> String? {
    let values = response.headers.values(of: name)
    #expect(values.count <= 1, "\(name) stands there twice")
    return values.first
  }

  private func finished(_ version: UInt32 = 3) -> (engine: Engine, job: Job) {
    Jobs.engine(.succeeded) { ($0.version, $0.ending) = (version, .result("49")) }
  }

  @Test(
    arguments: [
      (nil, nil), ("\"1-3\"", 3), ("W/\"1-3\"", 3), ("*", 3), (" \"1-3\" ", 3),
      ("\"1-1\", \"1-3\"", 3), ("\"1-1\",W/\"1-3\"", 3), ("\"x,y\", \"1-3\"", 3),
      ("\"1-2\"", nil), ("1-3", nil), ("\"1-3", nil), ("\"1-3-args\"", nil), ("w/\"1-3\"", nil),
      ("", nil), (",", nil), ("\"1-33\"", nil), ("\"3\"", nil), ("\"2-3\"", nil),
      ("\"11-3\"", nil),
    ] as [(String?, UInt32?)])
  func `If-None-Match is understood in all its forms`(header: String?, version: UInt32?) {
    let job = finished().job
    #expect(JobAnswers.heldVersion(header, job: job, includesArguments: false) == version)
  }

  @Test func `the longest headers of a handle have room`() throws {
    let (engine, some) = finished()
    let id = String(repeating: "x", count: JobID.lengthMax)
    var job = Job(
      number: .max, id: try #require(JobID(id)), task: some.task, pool: some.pool, args: "[]",
      options: nil, createdAt: 0)
    job.version = .max
    let presentation = Presentation(
      includesArguments: true, isReplay: true, preferenceApplied: "respond-async",
      isAcceptance: true)
    let response = JobAnswers.handle(of: job, in: engine, presentation)
    #expect(header("ETag", response) == "\"18446744073709551615-4294967295-args\"")
    #expect(header("Location", response) == "/v1/jobs/" + id)
    #expect(header("Preference-Applied", response) == "respond-async")
    #expect(header("Idempotent-Replayed", response) == "true")
    #expect(header("Retry-After", response) == "1")
    let body = String(decoding: response.bytes, as: UTF8.self)
    #expect(body.contains("\"id\":\"\(id)\""))
    #expect(body.contains("\"events_url\":\"/v1/jobs/\(id)/events\""))
  }

  @Test func `a handle with its arguments is another representation`() {
    let job = finished().job
    #expect(JobAnswers.entityTag(of: job, includesArguments: false) == "\"1-3\"")
    #expect(JobAnswers.entityTag(of: job, includesArguments: true) == "\"1-3-args\"")
    #expect(JobAnswers.heldVersion("\"1-3-args\"", job: job, includesArguments: true) == 3)
    #expect(JobAnswers.heldVersion("\"1-3\"", job: job, includesArguments: true) == nil)
  }

  @Test func `another job under the id of one that was dropped has another tag`() throws {
    var store = JobStore()
    var tags: [String] = []
    for number in 1...2 as ClosedRange<JobNumber> {
      try store.apply(
        .jobSubmitted(
          JobSubmitted(
            number: number, id: JobID("one")!, task: "square", pool: "default", args: "[7]",
            options: nil, at: 1_000)))
      try store.apply(.attemptStarted(number, attempt: 1, at: 2_000))
      try store.apply(.jobEnded(number, .succeeded("49"), at: 3_000))
      let job = try #require(store[number])
      #expect(job.version == 3)
      for includesArguments in [false, true] {
        tags.append(JobAnswers.entityTag(of: job, includesArguments: includesArguments))
        for tag in tags.dropLast() {
          #expect(
            JobAnswers.heldVersion(tag, job: job, includesArguments: includesArguments) == nil)
        }
      }
      try store.apply(.jobForgotten(number))
    }
    #expect(tags == ["\"1-3\"", "\"1-3-args\"", "\"2-3\"", "\"2-3-args\""])
  }

  typealias Asking = (
    isAcceptance: Bool, isWaited: Bool, held: UInt32?, whenFinal: Int, whenOpen: Int
  )

  @Test(
    arguments: [
      (false, false, nil, 200, 200), (false, true, nil, 200, 200), (true, false, nil, 202, 202),
      (true, true, nil, 200, 202), (false, false, 3, 304, 304), (false, true, 2, 200, 200),
    ] as [Asking])
  func `the status says what became of it`(_ asking: Asking) {
    var presentation = Presentation()
    presentation.isAcceptance = asking.isAcceptance
    presentation.isWaited = asking.isWaited
    presentation.heldVersion = asking.held
    let (engine, job) = finished()
    let final = JobAnswers.handle(of: job, in: engine, presentation)
    #expect(final.status == asking.whenFinal)
    #expect(header("Retry-After", final) == nil)
    let (other, open) = Jobs.engine(.queued) { $0.version = 3 }
    let response = JobAnswers.handle(of: open, in: other, presentation)
    #expect(response.status == asking.whenOpen)
    #expect(header("Retry-After", response) == "1")
    for one in [final, response] {
      #expect(header("ETag", one) == "\"1-3\"" && header("Vary", one) == "Prefer")
      #expect(header("Location", one) == (asking.isAcceptance ? "/v1/jobs/one" : nil))
      #expect(one.bytes.isEmpty == (one.status == 304))
    }
  }

  @Test func `what was honoured is said`() {
    var presentation = Presentation()
    let (engine, job) = finished()
    let plain = JobAnswers.handle(of: job, in: engine, presentation)
    #expect(header("Preference-Applied", plain) == nil)
    #expect(header("Idempotent-Replayed", plain) == nil)
    presentation.preferenceApplied = "wait=5"
    presentation.isReplay = true
    let response = JobAnswers.handle(of: job, in: engine, presentation)
    #expect(header("Preference-Applied", response) == "wait=5")
    #expect(header("Idempotent-Replayed", response) == "true")
  }

  @Test func `a result is bare, or there is a problem`() throws {
    let result = JobAnswers.result(of: finished().job, "wait=1")
    #expect(result.status == 200 && result.bytes == [UInt8]("49".utf8))
    #expect(result.contentType?.description == "application/json")
    #expect(header("Preference-Applied", result) == "wait=1")
    let open = JobAnswers.result(of: Jobs.engine(.queued).job, nil)
    #expect(open.status == 409 && header("Retry-After", open) == "1")
    #expect(try JSONTree(open.bytes)["code"] == .string("not_ready"))
    let error = JobError(code: .exited, type: "T", message: "m", exitcode: 3, attempt: 1)
    let failed = JobAnswers.result(of: Jobs.engine(.failed) { $0.ending = .error(error) }.job, nil)
    #expect(failed.status == 424 && failed.contentType?.description == "application/problem+json")
    #expect(try JSONTree(failed.bytes).at("error", "exitcode") == .number("3"))
    let cancelled = JobAnswers.result(of: Jobs.engine(.cancelled).job, nil)
    #expect(cancelled.status == 424)
    #expect(try JSONTree(cancelled.bytes)["error"] == nil)
  }

  // MARK: Problems

  @Test func `a problem has the members of RFC 9457 and ours`() throws {
    var problem = Problem.invalid("a \"detail\"", at: "/a~1b")
    #expect(
      try JSONTree(problem.body)
        == .object([
          "type": .string("about:blank"), "title": .string("Bad Request"), "status": .number("400"),
          "detail": .string("a \"detail\""), "code": .string("invalid_request"),
          "errors": .array([
            .object(["detail": .string("a \"detail\""), "pointer": .string("/a~1b")])
          ]),
        ]))
    problem = Problem(status: 405, code: .methodNotAllowed, detail: "", allow: "GET")
    #expect(header("Allow", JobAnswers.problem(problem)) == "GET")
  }

  static let refusals: [(Refusal, Int, Problem.Code)] = [
    (.unknownTask("a"), 422, .unknownTask),
    (.ambiguousTask("a", pools: ["b"]), 422, .ambiguousTask),
    (.unknownPool("a"), 422, .unknownPool),
    (.taskNotInPool(task: "a", pool: "b"), 422, .unknownTask),
    (.poolNotRunning(pool: "a", reason: "b"), 409, .poolNotRunning),
    (.poolNotReady(pool: "a"), 503, .poolNotRunning),
    (.queueFull(retryAfter: 7), 503, .queueFull),
    (.idempotencyMismatch(JobID("a")!), 422, .idempotencyMismatch), (.draining, 503, .draining),
    (.readOnly, 503, .readOnly), (.notCancellable(.failed), 409, .notCancellable),
    (.notFinal(.running), 409, .conflict), (.unknownJob, 410, .gone),
  ]

  @Test(arguments: refusals)
  func `what the engine refuses has a code`(refusal: Refusal, status: Int, code: Problem.Code) {
    let problem = JobAnswers.problem(of: refusal)
    #expect(problem.status == status && problem.code == code)
    #expect((problem.retryAfter != nil) == (status == 503))
    if case .queueFull(let seconds) = refusal { #expect(problem.retryAfter == seconds) }
  }

  @Test(
    arguments: [
      .targetInvalid, .headerInvalid, .framingInvalid, .hostInvalid, .notFound,
      .methodNotAllowed(allow: [.get], template: "/a"), .bodyTooLarge(bytesMax: 1),
      .headersTooLarge(bytesMax: 1), .methodUnknown, .transferCodingUnknown, .draining, .answerLost,
    ] as [HTTPRefusal])
  func `what the HTTP server refuses has a code of ours`(refusal: HTTPRefusal) {
    let problem = Problem(refusal)
    #expect(problem.code.rawValue == refusal.code && problem.status == refusal.status)
    #expect(problem.retryAfter == (refusal == .draining ? 5 : nil))
  }

  @Test func `who is lost is told where to look`() {
    #expect(Problem(.notFound).detail.contains("/openapi.yaml"))
    let pool = Problem(.methodNotAllowed(allow: [.get, .patch], template: "/v1/pools/{name}"))
    #expect(pool.detail.hasPrefix("This path allows: GET, PATCH. "))
    #expect(pool.detail.contains("/close") && pool.detail.contains("/terminate"))
    let job = Problem(.methodNotAllowed(allow: [.get], template: "/v1/jobs/{id}"))
    #expect(job.detail == "This path allows: GET.")
  }
}

extension HTTPResponse {
  fileprivate var bytes: [UInt8] {
    switch body {
    case .bytes(let bytes): bytes
    case .constant(let text): [UInt8](text.description.utf8)
    case .stream: []
    }
  }
}
