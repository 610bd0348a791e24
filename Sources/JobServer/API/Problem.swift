import HTTPServer
import JSON

/// An error as a client sees it: `application/problem+json` (RFC 9457) with a stable `code`.
struct Problem: Error, Equatable {
  /// One mistake in the request: what is wrong, and where (a JSON pointer, RFC 6901).
  struct Mistake: Equatable {
    var detail: String
    var pointer: String
  }

  /// The stable words that a program acts on; `openapi.yaml` lists the same.
  enum Code: String, CaseIterable {
    case invalidRequest = "invalid_request"
    case unauthorized
    case forbidden
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case gone
    case notReady = "not_ready"
    case notCancellable = "not_cancellable"
    case conflict
    case poolNotRunning = "pool_not_running"
    case poolNotStarted = "pool_not_started"
    case tooManyPools = "too_many_pools"
    case tooManyNames = "too_many_names"
    case payloadTooLarge = "payload_too_large"
    case headersTooLarge = "headers_too_large"
    case unsupportedMediaType = "unsupported_media_type"
    case unknownTask = "unknown_task"
    case ambiguousTask = "ambiguous_task"
    case unknownPool = "unknown_pool"
    case unknownInitializer = "unknown_initializer"
    case invalidArguments = "invalid_arguments"
    case pickleNotAllowed = "pickle_not_allowed"
    case mainNotAllowed = "main_not_allowed"
    case idempotencyMismatch = "idempotency_mismatch"
    case jobFailed = "job_failed"
    case internalError = "internal_error"
    case notImplemented = "not_implemented"
    case queueFull = "queue_full"
    case draining
    case readOnly = "read_only"
  }

  /// The HTTP status.
  var status: Int
  /// Which of the stable words.
  var code: Code
  /// What, where and what would be right, for people.
  var detail: String
  /// Mistakes in the body, if that is what it is about.
  var mistakes: [Mistake] = []
  /// The value of `Retry-After`, in seconds.
  var retryAfter: Int?
  /// The methods that would be right, for a 405.
  var allow: String?
  /// The value of `WWW-Authenticate`, for a 401.
  var challenge: String?
  /// The value of `Accept-Encoding`, for a 415 that is about a content coding.
  var acceptEncoding: String?
  /// The error of the job that a result was asked of: JSON text.
  var jobError: String?
  /// Where a feed goes on that does not reach back far enough.
  var next: FeedPlace?

  /// A request that is wrong as a whole.
  static func invalid(_ detail: String) -> Problem {
    Problem(status: 400, code: .invalidRequest, detail: detail)
  }

  /// A request with a mistake at `pointer` in its body.
  static func invalid(_ detail: String, at pointer: String) -> Problem {
    Problem(
      status: 400, code: .invalidRequest, detail: detail,
      mistakes: [Mistake(detail: detail, pointer: pointer)])
  }

  /// The problem as JSON text.
  var body: [UInt8] {
    var writer = JSONWriter(capacity: 256)
    write(to: &writer)
    return writer.bytes
  }

  /// Appends the problem; with the seconds of `Retry-After` where no header can hold them.
  func write(to writer: inout JSONWriter, includesRetryAfter: Bool = false) {
    writer.beginObject()
    writer.member("type", string: "about:blank")
    writer.member("title", string: Problem.title(of: status))
    writer.member("status", integer: status)
    writer.member("detail", string: detail)
    writer.member("code", string: code.rawValue)
    if !mistakes.isEmpty {
      writer.name("errors")
      writer.beginArray()
      for mistake in mistakes {
        writer.beginObject()
        writer.member("detail", string: mistake.detail)
        writer.member("pointer", string: mistake.pointer)
        writer.endObject()
      }
      writer.endArray()
    }
    if includesRetryAfter { writer.memberIfPresent("retry_after", integer: retryAfter) }
    writer.memberIfPresent("next", integer: next)
    if let jobError { writer.member("error", text: jobError) }
    writer.endObject()
  }

  /// The reason phrase that RFC 9110 gives a status, for those that the service answers.
  private static func title(of status: Int) -> String {
    switch status {
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 410: "Gone"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 422: "Unprocessable Content"
    case 424: "Failed Dependency"
    case 431: "Request Header Fields Too Large"
    case 501: "Not Implemented"
    case 503: "Service Unavailable"
    default: "Error"
    }
  }
}

extension Problem {
  /// What the HTTP server refused by itself. It has words of its own, all of them ours: a test goes
  /// through them.
  init(_ refusal: HTTPRefusal) {
    self.init(
      status: refusal.status, code: Code(rawValue: refusal.code) ?? .internalError,
      detail: refusal.detail)
    switch refusal {
    case .draining: retryAfter = 5
    case .denied(let denial): challenge = denial.challenge
    case .notFound: detail += " GET /openapi.yaml says what there is."
    case .methodNotAllowed(_, "/v1/pools/{name}"):
      detail += " A pool is ended by POST to its /close, where queued jobs run, or /terminate."
    default: break
    }
  }
}
