import HTTPServer
import JSON
import JobCore

/// How jobs and refusals look as HTTP responses. Values in, values out.
enum JobAnswers {
  /// The handle of a job, as `presentation` wants it.
  static func handle(
    of job: Job, in engine: Engine, _ presentation: Presentation
  ) -> HTTPResponse {
    let isFinal = job.state.isFinal
    let isHeld = presentation.heldVersion == job.version
    let applied = presentation.preferenceApplied
    let headers = HTTPHeaders(atMost: headerBytesMax + (applied?.utf8.count ?? 0)) { block in
      block.add("ETag", atMost: entityTagBytesMax) { target in
        writeEntityTag(of: job, includesArguments: presentation.includesArguments, to: target)
      }
      block.add("Vary", "Prefer")
      if let applied { block.add("Preference-Applied", applied) }
      if presentation.isReplay { block.add("Idempotent-Replayed", "true") }
      if !isFinal { block.add("Retry-After", "1") }
      if presentation.isAcceptance, !isHeld {
        let path = JobPath(id: job.id)
        block.add("Location", atMost: path.byteCount) { target in
          path.write(to: target)
          return path.byteCount
        }
      }
    }
    if isHeld { return HTTPResponse(status: 304, headers: headers) }
    var writer = JSONWriter(capacity: 512)
    HandleWriter.write(
      job, of: engine, includeArguments: presentation.includesArguments, to: &writer)
    let isAccepted = presentation.isAcceptance && !(isFinal && presentation.isWaited)
    return HTTPResponse(
      status: isAccepted ? 202 : 200, contentType: "application/json", headers: headers,
      body: writer.bytes)
  }

  /// More than the headers below come to without the preference: 204 with the longest id.
  private static let headerBytesMax = 256

  /// The strong validator of a handle: the job's number (an id can name another job after the
  /// first was dropped), its version, and whether arguments are shown.
  static func entityTag(of job: Job, includesArguments: Bool) -> String {
    String(unsafeUninitializedCapacity: entityTagBytesMax) { buffer in
      buffer.baseAddress.map {
        writeEntityTag(of: job, includesArguments: includesArguments, to: $0)
      } ?? 0
    }
  }

  /// Two numbers, of 64 and of 32 bits, in quotes, a dash between, and `-args`.
  private static let entityTagBytesMax = 20 + 10 + 8

  /// The same, to where `entityTagBytesMax` bytes have room. Answers how many it has.
  private static func writeEntityTag(
    of job: Job, includesArguments: Bool, to target: UnsafeMutablePointer<UInt8>
  ) -> Int {
    target[0] = UInt8(ascii: "\"")
    var count = 1 + write(job.number, to: target + 1)
    target[count] = UInt8(ascii: "-")
    count += 1 + write(UInt64(job.version), to: target + count + 1)
    let end: StaticString = includesArguments ? "-args\"" : "\""
    (target + count).initialize(from: end.utf8Start, count: end.utf8CodeUnitCount)
    return count + end.utf8CodeUnitCount
  }

  /// Writes a number's digits, at most 20, and answers how many.
  private static func write(_ number: UInt64, to target: UnsafeMutablePointer<UInt8>) -> Int {
    var count = 1
    var rest = number
    while rest >= 10 {
      rest /= 10
      count += 1
    }
    rest = number
    for place in stride(from: count - 1, through: 0, by: -1) {
      let tenth = rest / 10
      target[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest - tenth * 10)
      rest = tenth
    }
    return count
  }

  /// The version in an `If-None-Match` header that was one of this job's for this form; `*` and
  /// lists are understood as RFC 9110 section 13.1.2 has them.
  static func heldVersion(_ header: String?, job: Job, includesArguments: Bool) -> UInt32? {
    guard let header else { return nil }
    let tag = entityTag(of: job, includesArguments: includesArguments)
    return isNamed(tag, in: header) ? job.version : nil
  }

  /// Whether an `If-None-Match` header names this entity tag, or any.
  static func isNamed(_ tag: String, in header: String?) -> Bool {
    for candidate in (header ?? "").split(separator: ",") {
      var text = candidate.drop { $0 == " " }
      while text.last == " " { text.removeLast() }
      if text == "*" { return true }
      if text.hasPrefix("W/") { text = text.dropFirst(2) }
      if text == tag { return true }
    }
    return false
  }

  /// The bare result of a job, or why there is none.
  static func result(of job: Job, _ preferenceApplied: String?) -> HTTPResponse {
    var headers: HTTPHeaders = ["Vary": "Prefer"]
    if let preferenceApplied { headers.add("Preference-Applied", preferenceApplied) }
    if case .result(let text) = job.ending, job.state == .succeeded {
      return HTTPResponse(
        status: 200, contentType: "application/json", headers: headers, body: [UInt8](text.utf8))
    }
    if case .bytes(let result) = job.ending {
      // The type is the operator's word, the bytes are whatever a program wrote: no browser is to
      // take them for a page of this service (RFC 9110, 8.3; the Fetch standard's nosniff).
      headers.add("Content-Type", result.contentType)
      headers.add("X-Content-Type-Options", "nosniff")
      headers.add("Content-Security-Policy", "sandbox")
      return HTTPResponse(
        status: 200, headers: headers, body: Base64.decode(result.base64) ?? [])
    }
    guard job.state.isFinal else {
      return problem(
        Problem(
          status: 409, code: .notReady,
          detail: "the job is \(job.state.rawValue); ask again, or wait with ?wait=seconds",
          retryAfter: 1), headers)
    }
    var refusal = Problem(
      status: 424, code: .jobFailed, detail: "the job was cancelled and has no result")
    if case .error(let error) = job.ending {
      refusal.detail = "the job failed: \(error.message)"
      var writer = JSONWriter(capacity: 256)
      HandleWriter.write(error, to: &writer)
      refusal.jobError = String(decoding: writer.bytes, as: UTF8.self)
    }
    return problem(refusal, headers)
  }

  /// A problem as a response.
  static func problem(
    _ problem: Problem, _ headers: HTTPHeaders = HTTPHeaders()
  ) -> HTTPResponse {
    var headers = headers
    if let seconds = problem.retryAfter { headers.add("Retry-After", "\(seconds)") }
    if let allow = problem.allow { headers.add("Allow", allow) }
    if let challenge = problem.challenge { headers.add("WWW-Authenticate", challenge) }
    if let coding = problem.acceptEncoding { headers.add("Accept-Encoding", coding) }
    return HTTPResponse(
      status: problem.status, contentType: "application/problem+json", headers: headers,
      body: problem.body)
  }

  /// What the engine refuses, as a problem.
  static func problem(of refusal: Refusal) -> Problem {
    switch refusal {
    case .unknownTask(let task): unknownTask(task)
    case .ambiguousTask(let task, let pools):
      Problem(
        status: 422, code: .ambiguousTask,
        detail: "'\(task)' is known to the pools \(pools.joined(separator: ", ")); name one",
        mistakes: [.init(detail: "name a pool", pointer: "/pool")])
    case .unknownPool(let pool):
      Problem(
        status: 422, code: .unknownPool,
        detail: "there is no pool named '\(pool)'; GET /v1/pools lists them",
        mistakes: [.init(detail: "not a pool", pointer: "/pool")])
    case .taskNotInPool(let task, let pool):
      Problem(
        status: 422, code: .unknownTask,
        detail: "the pool '\(pool)' does not know a task named '\(task)'",
        mistakes: [.init(detail: "not a task of this pool", pointer: "/task")])
    case .pickleNotAllowed(let pool): pickleNotAllowed(pool)
    case .mainNotAllowed(let pool): mainNotAllowed(pool)
    case .argumentsTooLarge(let pool, let bytesMax):
      tooLarge("the arguments of a job of the pool '\(pool)' may have \(bytesMax) bytes")
    case .queueFull(let seconds):
      Problem(
        status: 503, code: .queueFull,
        detail: "the queue is full; at the present rate there is room in about \(seconds) s",
        retryAfter: seconds)
    case .payloadTooLarge(let bytesMax):
      tooLarge(
        "arguments and options of all open jobs together may have \(bytesMax) bytes; this "
          + "submission alone has more")
    case .tooManyChunks(let jobsMax):
      tooLarge(
        "at most \(jobsMax) jobs may be open; the chunks of this map alone are more: give a "
          + "larger chunksize")
    case .idempotencyMismatch(let id):
      Problem(
        status: 422, code: .idempotencyMismatch,
        detail: "this id or key belongs to '\(id)', a job or a map (they share their ids) that was "
          + "submitted with another payload")
    case .draining: draining
    case .readOnly: readOnly
    case .notCancellable(let state):
      Problem(
        status: 409, code: .notCancellable,
        detail: "it is \(state.rawValue), which is final")
    case .notFinal(let state):
      Problem(
        status: 409, code: .conflict,
        detail: "it is \(state.rawValue); cancel it first, or wait until it is final")
    // There was one when the request was read.
    case .unknownJob:
      Problem(status: 410, code: .gone, detail: "it was dropped meanwhile")
    case .chunkOfMap(let id):
      Problem(
        status: 409, code: .conflict,
        detail: "the job is a chunk of map '\(id)' and goes with that")
    case .poolNotRunning, .poolNotReady, .poolExists, .poolMismatch, .tooManyPools, .poolNotStarted,
      .noSuchPool, .tooManyNames:
      PoolAnswers.problem(of: refusal)
    }
  }

  private static func unknownTask(_ task: String) -> Problem {
    Problem(
      status: 422, code: .unknownTask,
      detail: "no pool knows a task named '\(task)'; GET /v1/tasks lists them",
      mistakes: [.init(detail: "not a known task", pointer: "/task")])
  }

  /// A submission with something that its pool does not allow.
  private static func notAllowed(
    _ code: Problem.Code, at pointer: String, _ detail: String
  ) -> Problem {
    Problem(
      status: 422, code: code, detail: detail,
      mistakes: [.init(detail: "not allowed here", pointer: pointer)])
  }

  /// A pool has no pickle, which a submission or the pool's own creation asks for.
  static func pickleNotAllowed(_ pool: String, at pointer: String = "/encoding") -> Problem {
    notAllowed(
      .pickleNotAllowed, at: pointer,
      "the pool '\(pool)' takes no pickle: that needs 'allow_pickle: true' there and for the "
        + "service (--allow-pickle); send values that JSON can hold")
  }

  /// A pool loads no script of a client's.
  static func mainNotAllowed(_ pool: String) -> Problem {
    notAllowed(
      .mainNotAllowed, at: "/main",
      "the pool '\(pool)' runs no function of a script: put it into a module that the workers "
        + "import, or set 'allow_main: true' there, on the same file system")
  }

  private static func tooLarge(_ detail: String) -> Problem {
    Problem(status: 413, code: .payloadTooLarge, detail: detail)
  }

  private static let draining = Problem(
    status: 503, code: .draining, detail: "the service is shutting down", retryAfter: 5)

  /// The journal takes no records at the moment.
  static let readOnly = Problem(
    status: 503, code: .readOnly,
    detail: "the journal cannot be written at the moment (see the log); nothing is accepted",
    retryAfter: 5)
}
