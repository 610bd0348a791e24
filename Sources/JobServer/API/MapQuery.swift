import HTTPServer
import JSON
import JobCore

/// The options of a map whose items come one a line: in the query, where the same map as one
/// document has members.
enum MapQuery {
  private static let members = [
    "task", "star", "chunksize", "pool", "id", "timeout", "max_attempts", "on_interrupt", "tags",
    "encoding", "main",
  ]

  /// What the query of such a request can say beside what waits are about.
  static let names = members + ["buffersize"]

  /// The map that a query asks for, under the client's `key` if it gave one.
  ///
  /// - Throws: `invalid_request`, which names the parameter.
  static func submission(
    _ query: HTTPQuery, idempotencyKey key: String?
  ) throws(Problem) -> MapSubmission {
    guard query.first("task") != nil else {
      throw .invalid("?task= is missing: which task is to run, as in /v1/maps?task=square")
    }
    do throws(Problem) {
      return try SubmissionReader.readMap(
        document(of: query), idempotencyKey: key, isStreamed: true)
    } catch {
      throw inWords(of: query, error)
    }
  }

  /// Refuses a map that is one document, or is to be, and has options in the query.
  static func refuseOptions(of request: HTTPRequest) throws(Problem) {
    guard !request.query.isEmpty, let name = request.query.names.first(where: names.contains) else {
      return
    }
    let other = members.contains(name) ? "; in a JSON document '\(name)' is a member" : ""
    throw .invalid(
      "?\(name)= is for items that come one a line, which need the header "
        + "'Content-Type: \(MediaType.lines)'\(other)")
  }

  /// The query as the document that says the same.
  private static func document(of query: HTTPQuery) -> [UInt8] {
    var writer = JSONWriter(capacity: 256)
    writer.beginObject()
    for name in members {
      guard let text = query.first(name) else { continue }
      writer.name(name)
      switch name {
      case "tags":
        writer.beginArray()
        for tag in query.all(name) { writer.string(tag) }
        writer.endArray()
      case "star", "chunksize", "timeout", "max_attempts":
        // A number or a word, or else a string, which is then refused at its place.
        let bytes = Array(text.utf8)
        let isScalar = bytes.withUnsafeBufferPointer { isMinifiedJSON($0, depthMax: 0) }
        if isScalar, bytes.first != UInt8(ascii: "\"") {
          writer.text(bytes)
        } else {
          writer.string(text)
        }
      default: writer.string(text)
      }
    }
    writer.endObject()
    return writer.bytes
  }

  /// A mistake in that document, which nobody has written, as one in the query.
  private static func inWords(of query: HTTPQuery, _ problem: Problem) -> Problem {
    guard let mistake = problem.mistakes.first,
      let name = mistake.pointer.split(separator: "/").first.map(String.init),
      let text = query.first(name)
    else { return problem }
    let right =
      switch name {
      case "star": "true or false"
      case "chunksize": "a whole number from 1 to \(SubmissionReader.chunkSizeMax)"
      case "timeout": "seconds, more than 0 and at most \(Int(SubmissionReader.timeoutMax))"
      case "max_attempts": "a whole number from 1 to \(SubmissionReader.attemptsMax)"
      default: mistake.detail
      }
    let given = name == "tags" ? "" : "; it was '\(text.prefix(100))'"
    return .invalid("?\(name)= is wrong: \(right)\(given)")
  }
}
