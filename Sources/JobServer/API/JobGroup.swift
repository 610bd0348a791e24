import HTTPServer
import JSON
import JobCore

/// Several jobs that a client asked for in one request, in its order, and how the answer looks that
/// tells of all of them: the jobs of a bulk submission, or those of `GET /v1/jobs?id=…&id=…`.
final class JobGroup {
  /// What the answer holds in one place.
  enum Item {
    /// Nothing is decided yet.
    case undecided
    /// A job's handle; `isReplay`: a submission in this place repeated one that came before.
    case job(JobNumber, JobID, isReplay: Bool)
    /// Why there is no handle; with the id that was asked for, where there was one.
    indirect case problem(Problem, JobID?)
  }

  /// Bytes of an answer after which handles come without their result or error, which can be large,
  /// and say so: 10,000 results of 8 MiB each must not stall the loop.
  static let bytesMax = 8 << 20

  /// In the order of the request.
  private(set) var items: [Item]
  /// How many items are not decided.
  private(set) var undecidedCount = 0
  /// Whether the answer is to a submission, which must be told that it was accepted.
  let isAcceptance: Bool
  /// What `Preference-Applied` says.
  let preferenceApplied: String?
  /// The header `If-None-Match`; answers to submissions have no entity tag.
  let heldTags: String?

  /// A group whose items are known.
  init(_ items: [Item], preferenceApplied: String?, heldTags: String?) {
    self.items = items
    self.preferenceApplied = preferenceApplied
    self.heldTags = heldTags
    isAcceptance = false
  }

  /// A group of so many submissions, none of them decided.
  init(submissions count: Int, preferenceApplied: String?) {
    items = Array(repeating: .undecided, count: count)
    undecidedCount = count
    self.preferenceApplied = preferenceApplied
    heldTags = nil
    isAcceptance = true
  }

  /// Decides one item, once.
  func decide(_ index: Int, _ item: Item) {
    guard case .undecided = items[index] else {
      preconditionFailure("an item is decided once")
    }
    items[index] = item
    undecidedCount -= 1
  }

  /// The jobs, each once, in the order in which they are named first.
  var numbers: [JobNumber] {
    var seen: Set<JobNumber> = []
    return items.compactMap { item in
      guard case .job(let number, _, _) = item, seen.insert(number).inserted else { return nil }
      return number
    }
  }

  /// What no single submission is to blame for and what holds for the next one as well: then the
  /// request is refused as a whole, and nothing of it is told by halves.
  var refusal: Problem? {
    for case .problem(let problem, _) in items {
      if problem.code == .readOnly || problem.code == .draining { return problem }
    }
    return nil
  }

  // MARK: The answer

  /// The answer with every item, or 304 to a client that holds all of it.
  ///
  /// - Parameter shown: how a job is to be shown; for one that is held as it is, the job itself.
  func response(
    in engine: Engine, bytesMax: Int = JobGroup.bytesMax, shown: (Job) -> Job = { $0 }
  ) -> HTTPResponse {
    let headers = headers(in: engine)
    if isHeld(in: engine) { return HTTPResponse(status: 304, headers: headers) }
    var writer = JSONWriter(capacity: min(items.count * 448 + 64, bytesMax))
    writer.beginObject()
    writer.name("jobs")
    writer.beginArray()
    for item in items {
      switch item {
      case .job(let number, let id, let isReplay):
        guard let job = engine.store[number].map(shown) else {
          JobGroup.write(JobGroup.dropped, id, to: &writer)
          continue
        }
        HandleWriter.write(
          job, of: engine, isReplay: isReplay, omitsOutcome: writer.count >= bytesMax,
          to: &writer)
      case .problem(let problem, let id): JobGroup.write(problem, id, to: &writer)
      case .undecided: preconditionFailure("an answer before everything is decided")
      }
    }
    writer.endArray()
    writer.endObject()
    return HTTPResponse(
      status: 200, contentType: "application/json", headers: headers, body: writer.bytes)
  }

  private func headers(in engine: Engine) -> HTTPHeaders {
    var headers: HTTPHeaders = ["Vary": "Prefer"]
    if let preferenceApplied { headers.add("Preference-Applied", preferenceApplied) }
    if !isAcceptance { headers.add("ETag", entityTag(in: engine)) }
    let isOpen = items.contains { item in
      guard case .job(let number, _, _) = item else { return false }
      return engine.store.brief(of: number)?.state.isFinal == false
    }
    if isOpen { headers.add("Retry-After", "1") }
    return headers
  }

  /// Whether the client holds what the answer would tell.
  func isHeld(in engine: Engine) -> Bool {
    heldTags != nil && JobAnswers.isNamed(entityTag(in: engine), in: heldTags)
  }

  /// The validator of the answer: a hash (FNV-1a, 64 bit) over number and version of each job, in
  /// the order of the request; the status stands for what is no job.
  private func entityTag(in engine: Engine) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    func mix(_ word: UInt64) {
      for shift in stride(from: UInt64(0), to: 64, by: 8) {
        hash = (hash ^ (word >> shift & 0xFF)) &* 0x100_0000_01B3
      }
    }
    for item in items {
      switch item {
      case .job(let number, _, _):
        mix(number)
        mix(engine.store.brief(of: number).map { UInt64($0.version) } ?? .max)
      case .problem(let problem, _):
        mix(0)
        mix(UInt64(problem.status))
      case .undecided: mix(.max)
      }
    }
    let digits = String(hash, radix: 16)
    return "\"" + String(repeating: "0", count: 16 - digits.utf8.count) + digits + "\""
  }

  /// What is told of a job that was there when it was asked for.
  static let dropped = Problem(
    status: 410, code: .gone, detail: "the job was dropped while you waited")

  private static func write(_ problem: Problem, _ id: JobID?, to writer: inout JSONWriter) {
    writer.beginObject()
    if let id { writer.member("id", id: id) }
    writer.name("error")
    problem.write(to: &writer, includesRetryAfter: true)
    writer.endObject()
  }
}
