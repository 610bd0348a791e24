import HTTPServer
import JSON
import JobCore

/// Reads the optional body of a cancel request, as strictly as a submission: unknown and repeated
/// members are refused, `null` is the same as leaving the member out.
struct CancelReader {
  /// The wait between SIGTERM and SIGKILL when the client says nothing, in milliseconds.
  static let graceDefault: Milliseconds = 5_000
  /// The longest such wait, in seconds.
  static let graceMax = 300.0

  private static let pointer = "/grace"

  private var grace = graceDefault
  private var problem: Problem?

  private init() {}

  /// How long the worker has between SIGTERM and SIGKILL.
  static func grace(of request: HTTPRequest) throws(Problem) -> Milliseconds {
    guard !request.body.isEmpty else { return graceDefault }
    try MediaType.requireUnpacked(request)
    try MediaType.requireJSON(request)
    var reader = CancelReader()
    do {
      try JSONReader.read(request.body) { (json) throws(JSONError) in try reader.read(&json) }
    } catch {
      throw reader.problem
        ?? .invalid("the body is not the JSON that is expected: \(error)", at: "")
    }
    if let problem = reader.problem { throw problem }
    return reader.grace
  }

  private mutating func read(_ json: inout JSONReader) throws(JSONError) {
    guard try json.kind() == .object else {
      return refuse("a cancel request is an object like {\"grace\":2.5}", at: "")
    }
    var isSeen = false
    try json.beginObject()
    while problem == nil, let name = try json.nextMember() {
      guard name == "grace" else {
        return refuse("unknown member; the only one is grace", at: JSONPointer.member(name))
      }
      guard !isSeen else { return refuse("the member stands here twice", at: Self.pointer) }
      isSeen = true
      try readGrace(&json)
    }
  }

  private mutating func readGrace(_ json: inout JSONReader) throws(JSONError) {
    switch try json.kind() {
    case .null: try json.readNull()
    case .number:
      let seconds = Double(try json.readNumberText()) ?? .infinity
      guard seconds >= 0, seconds <= Self.graceMax else {
        return refuse("seconds, from 0 to \(Int(Self.graceMax))", at: Self.pointer)
      }
      grace = Milliseconds((seconds * 1_000).rounded())
    default: refuse("a number of seconds", at: Self.pointer)
    }
  }

  private mutating func refuse(_ detail: String, at pointer: String) {
    if problem == nil { problem = .invalid(detail, at: pointer) }
  }
}
