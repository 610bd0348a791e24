import HTTPServer
import JSON
import JobCore

extension FixedWidthInteger {
  /// The number that a text of digits, and of nothing else, says. `init(_:)` takes a sign as well,
  /// which the document does not have.
  init?(digits text: String) {
    let zero = UInt8(ascii: "0")
    guard text.utf8.allSatisfy({ (zero...zero + 9).contains($0) }) else { return nil }
    self.init(text)
  }
}

/// `GET /v1/jobs`: newest first, filtered, in pages.
extension Server {
  /// Jobs on a page, by default and at most.
  static let pageDefault = 100
  static let pageMax = 1_000
  /// Jobs that one request looks at: a filter that matches nothing must not stall the loop. The
  /// page may then hold fewer jobs than asked for, and `next` goes on from there.
  static let scanMax = 20_000
  /// Bytes of a body after which no further job goes on the page: fifty results of 4 MiB each must
  /// not stall the loop. A page has one job at least, and so at most one handle more than this.
  static let pageBytesMax = 8 << 20

  /// What a list can be asked for by.
  static let filterNames = ["state", "task", "pool", "tag", "map", "after", "limit"]

  /// What a request wants to see.
  struct Filter {
    /// Only jobs in this state.
    var state: JobState?
    /// Only jobs of this task.
    var task: Name?
    /// Only jobs of this pool.
    var pool: Name?
    /// Only jobs with this tag.
    var tag: String?
    /// Only chunks of this map; nil: no chunks.
    var map: MapNumber?
    /// Whether no job can match: it names what no job has.
    var matchesNothing = false
    /// Jobs on the page, at most.
    var limit = pageDefault
    /// Only jobs before this one.
    var below = JobNumber.max

    /// Whether the job is wanted, whatever its number.
    func matches(_ job: Job) -> Bool {
      if job.options?.chunk?.map != map { return false }
      if let state, job.state != state { return false }
      if let task, job.task != task { return false }
      if let pool, job.pool != pool { return false }
      if let tag, job.options?.tags.contains(tag) != true { return false }
      return true
    }
  }

  func list(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    if request.query.first("id") != nil { return try showMany(request, later) }
    if request.query.first("wait") != nil {
      throw Problem.invalid(
        "?wait= goes with ?id=, which names the jobs whose first change is waited for")
    }
    try requireQuery(request, Server.filterNames + ["id"])
    let filter = try filter(request)
    return try speak(Server.page(filter, request.query, of: engine), of: nil, later)
  }

  /// The page that a request with this filter, read from this query, is answered with.
  static func page(
    _ filter: Filter, _ query: HTTPQuery, of engine: Engine, bytesMax: Int = pageBytesMax
  ) -> HTTPResponse {
    var writer = JSONWriter(capacity: 4_096)
    writer.beginObject()
    writer.name("jobs")
    writer.beginArray()
    var found = 0
    var scanned = 0
    var last: JobNumber?
    var isCut = false
    if !filter.matchesNothing {
      engine.store.descend(below: filter.below) { job in
        guard found < filter.limit, scanned < scanMax, writer.count < bytesMax else {
          isCut = true
          return false
        }
        scanned += 1
        last = job.number
        if filter.matches(job) {
          HandleWriter.write(job, of: engine, to: &writer)
          found += 1
        }
        return true
      }
    }
    writer.endArray()
    if isCut, let last { writer.member("next", string: nextLink(query, after: last)) }
    writer.endObject()
    return .json(writer.bytes)
  }

  static func nextLink(
    _ query: HTTPQuery, after number: JobNumber, path: String = "/v1/jobs"
  ) -> String {
    var link = "\(path)?after=\(number)"
    for name in ["state", "task", "pool", "tag", "map", "limit"] {
      if let value = query.first(name) { link += "&\(name)=\(percentEncoded(value))" }
    }
    return link
  }

  private static func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        bytes.append(byte)
      default:
        bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  func filter(_ request: HTTPRequest) throws(Problem) -> Filter {
    var filter = Filter()
    let query = request.query
    if let text = query.first("state") {
      guard let state = JobState(rawValue: text) else {
        let states = JobState.allCases.map(\.rawValue).joined(separator: ", ")
        throw Problem.invalid("?state= is one of \(states); it was '\(text)'")
      }
      filter.state = state
    }
    // A name that no job ever had matches nothing.
    if let text = query.first("task") {
      filter.task = engine.store.names.find(text)
      if filter.task == nil { filter.matchesNothing = true }
    }
    if let text = query.first("pool") {
      filter.pool = engine.store.names.find(text)
      if filter.pool == nil { filter.matchesNothing = true }
    }
    filter.tag = query.first("tag")
    if let text = query.first("map") {
      filter.map = JobID(text).flatMap { engine.store.mapNumber(of: $0) }
      if filter.map == nil { filter.matchesNothing = true }
    }
    if let text = query.first("limit") {
      guard let limit = Int(digits: text), (1...Server.pageMax).contains(limit) else {
        throw Problem.invalid("?limit= is a number from 1 to \(Server.pageMax); it was '\(text)'")
      }
      filter.limit = limit
    }
    if let text = query.first("after") {
      guard let number = JobNumber(digits: text) else {
        throw Problem.invalid("?after= is the cursor of a next link; it was '\(text)'")
      }
      filter.below = number
    }
    return filter
  }
}
