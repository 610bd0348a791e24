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
    /// Who takes the items of the map that is asked for, if they come later.
    var input: MapInput?
  }

  /// The operations on jobs.
  static var jobOperations: [Operation] {
    [
      Operation(.post, "/v1/jobs", "submit_job") { (server, request, later) throws(Problem) in
        try server.submit(&request, later)
      },
      Operation(.get, "/v1/jobs", "list_jobs") { (server, request, later) throws(Problem) in
        try server.list(request, later)
      },
      Operation(.get, "/v1/jobs/{id}", "get_job") { (server, request, later) throws(Problem) in
        try server.showJob(request, later)
      },
      Operation(.delete, "/v1/jobs/{id}", "delete_job") {
        (server, request, later) throws(Problem) in
        try server.forget(request, later)
      },
      Operation(.get, "/v1/jobs/{id}/result", "get_result") {
        (server, request, later) throws(Problem) in
        try server.showResult(request, later)
      },
      Operation(.post, "/v1/jobs/{id}/cancel", "cancel_job") {
        (server, request, later) throws(Problem) in
        try server.cancel(request, later)
      },
      jobLogOperation,
      jobEventsOperation,
    ]
  }

  // MARK: Writing

  private func submit(
    _ request: inout HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try MediaType.requireUnpacked(request)
    let isLines = MediaType.isLines(request)
    if !isLines { try MediaType.requireJSON(request, or: MediaType.lines) }
    try requireQuery(request, ["wait"])
    if isLines || BulkReader.isArray(request.body) {
      return try submitMany(&request, asLines: isLines, later)
    }
    let wish = try waitWish(request)
    let key = try IdempotencyKey.read(request.header("idempotency-key"))
    let submission = try SubmissionReader.read(request.body, idempotencyKey: key)
    try checkArguments(of: submission)
    var pending = Request(response: later())
    pending.presentation.isAcceptance = true
    pending.presentation.preferenceApplied = wish.applied
    pending.presentation.isWaited = wish.granted != nil
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
      return try speak(response(to: goal, job, presentation), of: job.number, later)
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
      : reading { JobAnswers.handle(of: job, in: $0, presentation) }
  }

  /// What somebody hears who waited for a job that was dropped meanwhile.
  var gone: HTTPResponse {
    JobAnswers.problem(
      Problem(status: 410, code: .gone, detail: "the job was dropped while you waited"))
  }

  // MARK: Parts of requests

  func waitWish(_ request: HTTPRequest) throws(Problem) -> WaitWish {
    let prefer = request.header("prefer")
    let query = request.query.first("wait")
    if lastWishes.prefer == prefer, lastWishes.query == query { return lastWishes.wish }
    let wish = try WaitWish(prefer: prefer, query: query)
    lastWishes = (prefer, query, wish)
    return wish
  }

  private func includesArguments(_ request: HTTPRequest) throws(Problem) -> Bool {
    guard let include = request.query.first("include") else { return false }
    guard include == "args" else {
      throw Problem.invalid("?include= knows only 'args'; it was '\(include)'")
    }
    return true
  }

  func job(_ request: HTTPRequest) throws(Problem) -> Job {
    let number = try jobNumber(request)
    guard let job = reading({ $0.store[number] }) else {
      throw JobAnswers.problem(of: .unknownJob)
    }
    return job
  }

  /// The job that the path names: 404 for an id that never was, 410 for one that was dropped.
  private func jobNumber(_ request: HTTPRequest) throws(Problem) -> JobNumber {
    guard let id = request.parameters.withUTF8(at: 0, { JobID($0) }) else {
      throw Problem(
        status: 404, code: .notFound,
        detail: "an id is 1 to 64 of A-Z a-z 0-9 . _ -; there is no job like this")
    }
    return try number(of: id)
  }

  /// The job with this id; 404 and 410 as above.
  func number(of id: JobID) throws(Problem) -> JobNumber {
    if let number = reading({ $0.store.number(of: id) }) { return number }
    if engine.store.forgotten.contains(id.stableHash) {
      throw Problem(
        status: 410, code: .gone,
        detail: "job \(id) was dropped: by a DELETE, or because finished jobs are not kept longer"
      )
    }
    throw Problem(status: 404, code: .notFound, detail: "there is no job \(id)")
  }
}
