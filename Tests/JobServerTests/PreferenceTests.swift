import HTTPServer
import JobCore
import Testing

@testable import JobServer

@Suite struct PreferenceTests {
  typealias Case = (prefer: String?, query: String?, granted: Milliseconds?, applied: String?)

  @Test(
    arguments: [
      (nil, nil, nil, nil),
      ("wait=5", nil, 5_000, "wait=5"), ("wait=0", nil, 0, "wait=0"),
      ("Wait = \"5\"", nil, 5_000, "wait=5"), ("wait=5; x=1", nil, 5_000, "wait=5"),
      ("handling=lenient, wait=5", nil, 5_000, "wait=5"), ("wait=3600", nil, 60_000, "wait=60"),
      ("wait=99999999999999999999", nil, 60_000, "wait=60"),
      ("wait=0.2", nil, 200, "wait=0.2"), ("wait=1.50", nil, 1_500, "wait=1.5"),
      ("wait=59.9999", nil, 60_000, "wait=60"),
      ("wait=5, wait=10", nil, 5_000, "wait=5"), ("wait=soon, wait=10", nil, nil, nil),
      ("respond-async", nil, nil, "respond-async"),
      ("respond-async, wait=10", nil, 10_000, "wait=10"),
      ("wait=10, respond-async", nil, 10_000, "wait=10"),
      ("respond-async, wait=5, wait=10", nil, 5_000, "wait=5"),
      ("wait", nil, nil, nil), ("wait=", nil, nil, nil), ("wait=-1", nil, nil, nil),
      ("wait=1e1", nil, nil, nil), ("wait=0x10", nil, nil, nil), ("wait=inf", nil, nil, nil),
      ("wait=\"5", nil, nil, nil), ("", nil, nil, nil), (",;=,", nil, nil, nil),
      (nil, "5", 5_000, nil), (nil, "0.25", 250, nil), (nil, "1e1", 10_000, nil),
      (nil, "3600", 60_000, nil), (nil, "0", 0, nil),
      ("wait=5", "0", 0, nil), ("wait=5", "2", 2_000, nil), ("respond-async", "2", 2_000, nil),
    ] as [Case])
  func `a wish to wait is read`(_ one: Case) throws {
    let wish = try WaitWish(prefer: one.prefer, query: one.query)
    #expect(wish.granted == one.granted)
    #expect(wish.applied == one.applied)
    #expect(wish.milliseconds == one.granted ?? 0)
  }

  @Test(arguments: ["", "soon", "-1", "nan", "inf", "0x10", "1,5", "5s", " 5", "1e", "٥"])
  func `a wait in the query that is no number is refused`(text: String) {
    let problem = #expect(throws: Problem.self) { _ = try WaitWish(prefer: nil, query: text) }
    #expect(problem?.detail.contains("?wait=") == true)
  }

  @Test(
    arguments: [
      (nil, nil), ("k", "k"), ("\"k\"", "k"), ("a-B_1.~!#$%&'()*+,/:;<=>?@[]^`{|}\\", nil),
      (String(repeating: "k", count: 255), String(repeating: "k", count: 255)),
      ("\"\(String(repeating: "k", count: 255))\"", String(repeating: "k", count: 255)),
    ] as [(String?, String?)])
  func `a key is taken, quoted or bare`(header: String?, key: String?) throws {
    #expect(try IdempotencyKey.read(header) == key ?? header)
  }

  @Test(arguments: [
    "", "\"\"", "\"", "a b", "\"a b\"", "\"abc", "abc\"", "a\"b", "schlüssel", "a\tb", "a\u{7f}",
    String(repeating: "k", count: 256), "\"\(String(repeating: "k", count: 256))\"",
  ])
  func `a key that is none is refused`(header: String) {
    let problem = #expect(throws: Problem.self) { _ = try IdempotencyKey.read(header) }
    #expect(problem?.code == .invalidRequest)
  }

  typealias Body = (type: String?, origin: String?, isTaken: Bool)

  @Test(
    arguments: [
      ("application/json", nil, true), ("application/json; charset=utf-8", "http://a", true),
      (" Application/JSON ;x=y", nil, true), ("application/vnd.example+json", "http://a", true),
      ("application/x-www-form-urlencoded", nil, true),
      ("application/x-www-form-urlencoded; charset=utf-8", nil, true),
      ("application/x-www-form-urlencoded", "http://a", false), (nil, nil, true),
      (nil, "http://a", false), (nil, "null", false), ("text/plain", nil, false), ("", nil, false),
      ("text/vnd.example+json", nil, false), ("application/xml", nil, false),
      ("multipart/form-data; boundary=x", nil, false), ("application/jsonx", nil, false),
    ] as [Body])
  func `only JSON, and what curl sends, is read as JSON`(_ one: Body) {
    var headers: [(name: String, value: String)] = []
    if let type = one.type { headers.append(("Content-Type", type)) }
    if let origin = one.origin { headers.append(("Origin", origin)) }
    let request = HTTPRequest(method: .post, path: "/v1/jobs", headers: headers)
    do throws(Problem) {
      try MediaType.requireJSON(request)
      #expect(one.isTaken)
    } catch {
      #expect(!one.isTaken)
      #expect(error.status == 415 && error.code == .unsupportedMediaType)
    }
  }
}
