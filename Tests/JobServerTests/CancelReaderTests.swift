import HTTPServer
import JobCore
import Testing

@testable import JobServer

@Suite struct CancelReaderTests {
  private func grace(
    _ body: String, _ headers: [(name: String, value: String)] = []
  ) throws(Problem) -> Milliseconds {
    try CancelReader.grace(
      of: HTTPRequest(method: .post, path: "", headers: headers, body: [UInt8](body.utf8)))
  }

  @Test(arguments: [
    ("", 5_000), ("{}", 5_000), (#"{"grace":null}"#, 5_000), (#"{"grace":0}"#, 0),
    (#"{"grace":300}"#, 300_000), (#" { "grace" : 0.25 } "#, 250), (#"{"grace":3e2}"#, 300_000),
    (#"{"grace":-0}"#, 0), (#"{"gr\u0061ce":1}"#, 1_000),
  ])
  func `a grace is taken`(body: String, milliseconds: Milliseconds) throws {
    #expect(try grace(body) == milliseconds)
  }

  @Test(arguments: [
    (#"{"grace":1,"grace":2}"#, "/grace"), (#"{"grace":null,"grace":2}"#, "/grace"),
    (#"{"grace":"x"}"#, "/grace"), (#"{"grace":[1]}"#, "/grace"), (#"{"grace":true}"#, "/grace"),
    (#"{"grace":-1}"#, "/grace"), (#"{"grace":300.1}"#, "/grace"), (#"{"grace":1e400}"#, "/grace"),
    (#"{"Grace":1}"#, "/Grace"), (#"{"a/b~c":1}"#, "/a~1b~0c"), (#"{"grace":1,"x":{}}"#, "/x"),
    ("{\"~\u{301}\":1}", "/~0\u{301}"),
    ("[]", ""), ("5", ""), ("null", ""), ("{", ""), (#"{"grace":}"#, ""), (#"{"grace":1"#, ""),
    (#"{"grace":1} 2"#, ""), (#"{"grace":01}"#, ""), (#"{"\ud800":1}"#, ""), (" ", ""),
  ])
  func `a mistake is refused and pointed at`(body: String, pointer: String) {
    let problem = #expect(throws: Problem.self) { _ = try grace(body) }
    #expect(problem?.code == .invalidRequest)
    #expect(problem?.mistakes.map(\.pointer) == [pointer])
  }

  @Test func `a body says what it is, none need not`() throws {
    let text = [(name: "Content-Type", value: "text/plain")]
    #expect(try grace("", text) == CancelReader.graceDefault)
    let problem = #expect(throws: Problem.self) { _ = try grace("{}", text) }
    #expect(problem?.code == .unsupportedMediaType)
  }
}
