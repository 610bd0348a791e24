import HTTPServer
import JSON
import JobCore

/// `POST /v1/jobs` and what the handle that it answers is good for.
extension Server {
  /// A request whose answer the engine decides.
  struct Request {
    let response: PendingResponse
    var presentation = Presentation()
    /// How long a submission's client waits for the end of its job, in milliseconds.
    var wait: Milliseconds = 0
  }

  /// The routes of jobs.
  func jobRoutes() -> [Route] {
    [
      route(.post, "/v1/jobs", "submit_job") { (server, request, later) throws(Problem) in
        try server.submit(request, later)
      },
      route(.get, "/v1/jobs", "list_jobs") { (server, request, later) throws(Problem) in
        try server.list(request, later)
      },
      route(.get, "/v1/jobs/{id}", "get_job") { (server, request, later) throws(Problem) in
        try server.showJob(request, later)
      },
      route(.delete, "/v1/jobs/{id}", "delete_job") { (server, request, later) throws(Problem) in
        try server.forget(request, later)
      },
      route(.get, "/v1/jobs/{id}/result", "get_result") {
        (server, request, later) throws(Problem) in
        try server.showResult(request, later)
      },
      route(.post, "/v1/jobs/{id}/cancel", "cancel_job") {
        (server, request, later) throws(Problem) in
        try server.cancel(request, later)
      },
    ]
  }

  // MARK: Writing

  private func submit(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try MediaType.requireJSON(request)
    try requireQuery(request, ["wait"])
    let wish = try waitWish(request)
    let key = try IdempotencyKey.read(request.header("idempotency-key"))
    let submission = try SubmissionReader.read(request.body, idempotencyKey: key)
    var pending = Request(response: later())
    pending.presentation.isAcceptance = true
    pending.presentation.preferenceApplied = wish.applied
    pending.presentation.isWaited = wish.milliseconds > 0 || wish.applied != nil
    pending.wait = wish.milliseconds
    ask(pending) { .submissionReceived(submission, request: $0) }
    return .later
  }

  private func cancel(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, [])
    let grace = try CancelReader.grace(of: request)
    let number = try jobNumber(request)
    var pending = Request(response: later())
    pending.presentation.isAcceptance = true
    ask(pending) { .cancelReceived(number, grace: grace, request: $0) }
    return .later
  }

  private func forget(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, [])
    let number = try jobNumber(request)
    ask(Request(response: later())) { .forgetReceived(number, request: $0) }
    return .later
  }

  // MARK: Reading

  private func showJob(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, ["wait", "include"])
    let wish = try waitWish(request)
    let job = try job(request)
    var presentation = Presentation()
    presentation.includesArguments = try includesArguments(request)
    presentation.preferenceApplied = wish.applied
    presentation.heldVersion = JobAnswers.heldVersion(
      request.header("if-none-match"), job: job,
      includesArguments: presentation.includesArguments)
    let goal = presentation.heldVersion.map { Waiters.Goal.change(from: $0) } ?? .final
    return try answer(job, goal, presentation, wish, later)
  }

  private func showResult(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, ["wait"])
    let wish = try waitWish(request)
    var presentation = Presentation()
    presentation.preferenceApplied = wish.applied
    return try answer(try job(request), .result, presentation, wish, later)
  }

  /// Answers at once, or lets the client wait for its goal.
  private func answer(
    _ job: Job, _ goal: Waiters.Goal, _ presentation: Presentation, _ wish: WaitWish,
    _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    if wish.milliseconds == 0 || (isReached(goal, by: job) && isDurable(job.number)) {
      return try speak(of: job.number, later) { server in
        guard let job = server.engine.store[job.number] else { return server.gone }
        return server.response(to: goal, job, presentation)
      }
    }
    wait(later(), for: job.number, goal, presentation, milliseconds: wish.milliseconds)
    return .later
  }

  private func isReached(_ goal: Waiters.Goal, by job: Job) -> Bool {
    if case .change(let version) = goal { return job.version != version || job.state.isFinal }
    return job.state.isFinal
  }

  /// What a client hears that asked for `goal`, of the job as it is.
  func response(to goal: Waiters.Goal, _ job: Job, _ presentation: Presentation) -> HTTPResponse {
    goal == .result
      ? JobAnswers.result(of: job, presentation.preferenceApplied)
      : JobAnswers.handle(of: job, in: engine, presentation)
  }

  /// What somebody hears who waited for a job that was dropped meanwhile.
  var gone: HTTPResponse {
    JobAnswers.problem(
      Problem(status: 410, code: "gone", detail: "the job was dropped while you waited"))
  }

  // MARK: Parts of requests

  private func waitWish(_ request: HTTPRequest) throws(Problem) -> WaitWish {
    try WaitWish(prefer: request.header("prefer"), query: request.query.first("wait"))
  }

  private func includesArguments(_ request: HTTPRequest) throws(Problem) -> Bool {
    guard let include = request.query.first("include") else { return false }
    guard include == "args" else {
      throw Problem.invalid("?include= knows only 'args'; it was '\(include)'")
    }
    return true
  }

  private func job(_ request: HTTPRequest) throws(Problem) -> Job {
    let number = try jobNumber(request)
    guard let job = engine.store[number] else { throw JobAnswers.problem(of: .unknownJob) }
    return job
  }

  /// The job that the path names: 404 for an id that never was, 410 for one that was dropped.
  private func jobNumber(_ request: HTTPRequest) throws(Problem) -> JobNumber {
    let text = request.parameters[0]
    guard let id = JobID(text) else {
      throw Problem(
        status: 404, code: "not_found",
        detail: "an id is 1 to 64 of A-Z a-z 0-9 . _ -; there is no job like this")
    }
    if let number = engine.store.number(of: id) { return number }
    if engine.store.forgotten.contains(id.stableHash) {
      throw Problem(
        status: 410, code: "gone",
        detail: "job \(text) was dropped: by a DELETE, or because finished jobs are not kept longer"
      )
    }
    throw Problem(status: 404, code: "not_found", detail: "there is no job \(text)")
  }
}

/// Reads the optional body of a cancel request.
enum CancelReader {
  /// The wait between SIGTERM and SIGKILL when the client says nothing, in milliseconds.
  static let graceDefault: Milliseconds = 5_000
  /// The longest such wait, in seconds.
  static let graceMax = 300.0

  static func grace(of request: HTTPRequest) throws(Problem) -> Milliseconds {
    guard !request.body.isEmpty else { return graceDefault }
    try MediaType.requireJSON(request)
    var grace = graceDefault
    var mistake: Problem?
    do {
      try JSONReader.read(request.body) { (json) throws(JSONError) in
        try json.beginObject()
        while let name = try json.nextMember() {
          guard name == "grace" else {
            mistake = mistake ?? .invalid("unknown member; the only one is grace", at: "/" + name)
            try json.skipValue()
            continue
          }
          let seconds = try json.readDouble()
          guard seconds >= 0, seconds <= graceMax else {
            mistake = mistake ?? .invalid("seconds, 0 to \(Int(graceMax))", at: "/grace")
            continue
          }
          grace = Milliseconds((seconds * 1_000).rounded())
        }
      }
    } catch {
      throw Problem.invalid("the body is not {\"grace\": seconds}: \(error)", at: "")
    }
    if let mistake { throw mistake }
    return grace
  }
}
