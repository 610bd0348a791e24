import HTTPServer

/// Which bodies are read as JSON.
enum MediaType {
  /// The type of a body with one JSON text a line.
  static let lines = "application/x-ndjson"

  /// Whether the body has one JSON text a line.
  static func isLines(_ request: HTTPRequest) -> Bool {
    guard let header = request.header("content-type"), header != "application/json" else {
      return false
    }
    return bare(header) == lines
  }

  /// Accepts `application/json`, `application/…+json`, and for `curl -d` as typed also curl's
  /// default form type or none, but the latter two only without `Origin`: a browser, which can be
  /// made to send those without asking, must not be made to submit.
  ///
  /// - Parameter other: a further type that the operation takes, for the words of the refusal.
  static func requireJSON(
    _ request: HTTPRequest, or other: String? = nil
  ) throws(Problem) {
    guard let header = request.header("content-type") else {
      try refuseBrowser(request, "no Content-Type")
      return
    }
    // Nearly every request; the rest may cost more.
    if header == "application/json" { return }
    let type = bare(header)
    if type == "application/json" { return }
    if type.hasPrefix("application/"), type.hasSuffix("+json") { return }
    if type == "application/x-www-form-urlencoded" {
      try refuseBrowser(request, type)
      return
    }
    throw Problem(
      status: 415, code: .unsupportedMediaType,
      detail: "the body is '\(type)'; it must be application/json"
        + (other.map { " or \($0)" } ?? ""))
  }

  /// Refuses a body that is packed: none is unpacked here, and as JSON its bytes mean nothing.
  /// RFC 9110, 8.4 and 15.5.16: 415, with what would be taken.
  static func requireUnpacked(_ request: HTTPRequest) throws(Problem) {
    guard let coding = request.header("content-encoding") else { return }
    let bare = bare(coding)
    guard !bare.isEmpty, bare != "identity" else { return }
    throw Problem(
      status: 415, code: .unsupportedMediaType,
      detail: "the body has Content-Encoding: \(coding); send it as it is, without",
      acceptEncoding: "identity")
  }

  /// A type without its parameters, in lower case.
  private static func bare(_ header: String) -> String {
    header.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
  }

  /// Whether a text is a media type, RFC 9110 section 8.3.1: `type/subtype`, and parameters of
  /// printable ASCII.
  static func isWellFormed(_ text: String) -> Bool {
    let name = text.prefix { $0 != ";" && $0 != " " }
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let isName =
      parts.count == 2
      && parts.allSatisfy { part in
        !part.isEmpty && part.utf8.count <= 127
          && part.allSatisfy {
            $0.isASCII && ($0.isLetter || $0.isNumber || "!#$&^_.+-".contains($0))
          }
      }
    return isName && text.utf8.allSatisfy { (0x20..<0x7F).contains($0) }
  }

  private static func refuseBrowser(_ request: HTTPRequest, _ found: String) throws(Problem) {
    guard request.header("origin") != nil else { return }
    throw Problem(
      status: 415, code: .unsupportedMediaType,
      detail: "a request with an Origin must say Content-Type: application/json (it has \(found))")
  }
}
