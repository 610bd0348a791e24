import Testing

@testable import HTTPServer

@Suite struct RouterTests {
  private static func router() -> Router {
    let table: [(HTTPMethod, String)] = [
      (.get, "/"), (.get, "/v1/jobs"), (.post, "/v1/jobs"), (.get, "/v1/jobs/{id}"),
      (.delete, "/v1/jobs/{id}"), (.get, "/v1/jobs/{id}/result"), (.get, "/v1/jobs/latest"),
      (.get, "/v1/{kind}/all"), (.get, "/v1/{kind}/{id}/{part}/{piece}"), (.head, "/own"),
      (.get, "/own"), (.options, "/asked"),
    ]
    return Router(
      table.map { method, template in
        Route(method, template, name: "\(method.rawValue) \(template)") { _, _ in
          .now(.empty())
        }
      })
  }

  /// The name of the route that was found, with its parameters.
  private func found(_ method: HTTPMethod, _ path: String) -> String {
    let router = Self.router()
    switch router.match(method, path: path) {
    case .route(let index, let parameters):
      let values = (0..<parameters.count).map { parameters[$0] }
      return ([router.routes[index].name] + values).joined(separator: ", ")
    case .options(let allow): return "options " + HTTPMethod.list(allow)
    case .methodNotAllowed(let allow): return "405 " + HTTPMethod.list(allow)
    case .notFound: return "404"
    }
  }

  @Test(arguments: [
    ("/", "GET /"), ("/v1/jobs", "GET /v1/jobs"), ("/v1/jobs/a-1", "GET /v1/jobs/{id}, a-1"),
    ("/v1/jobs/é/result", "GET /v1/jobs/{id}/result, é"),
    ("/v1/jobs/latest", "GET /v1/jobs/latest"), ("/v1/jobs/latestx", "GET /v1/jobs/{id}, latestx"),
    ("/v1/jobs/all", "GET /v1/jobs/{id}, all"), ("/v1/pools/all", "GET /v1/{kind}/all, pools"),
    ("/v1/a/b/c/d", "GET /v1/{kind}/{id}/{part}/{piece}, a, b, c, d"),
    ("", "404"), ("//", "404"), ("/v1", "404"), ("/v1/jobs/", "404"), ("/v1/jobs//result", "404"),
    ("/v1/jobs/x/results", "404"), ("/v1/job", "404"), ("/v1/jobsx", "404"), ("v1/jobs", "404"),
    ("/v1/a/b/c/d/e/f/g", "404"), ("/V1/jobs", "404"),
  ])
  func `a path finds its route, literals before parameters`(path: String, expected: String) {
    #expect(found(.get, path) == expected)
  }

  @Test func `methods of one path are told apart`() {
    #expect(found(.post, "/v1/jobs") == "POST /v1/jobs")
    #expect(found(.delete, "/v1/jobs/1") == "DELETE /v1/jobs/{id}, 1")
    #expect(found(.put, "/v1/jobs/1") == "405 GET, HEAD, DELETE, OPTIONS")
    #expect(found(.put, "/nowhere") == "404")
  }

  @Test func `HEAD falls to GET unless it has a route of its own`() {
    #expect(found(.head, "/v1/jobs") == "GET /v1/jobs")
    #expect(found(.head, "/own") == "HEAD /own")
    #expect(found(.head, "/asked") == "405 OPTIONS")
  }

  @Test func `OPTIONS is a route only where it is declared`() {
    #expect(found(.options, "/v1/jobs") == "options GET, HEAD, POST, OPTIONS")
    #expect(found(.options, "/asked") == "OPTIONS /asked")
  }

  @Test func `parameters are had by name`() throws {
    let router = Self.router()
    guard case .route(_, let parameters) = router.match(.get, path: "/v1/a/b/c/d") else {
      Issue.record("not found")
      return
    }
    #expect(parameters["kind"] == "a")
    #expect(parameters["piece"] == "d")
    #expect(parameters["other"] == nil)
  }

  @Test func `a table without routes finds nothing`() {
    guard case .notFound = Router([]).match(.get, path: "/") else {
      Issue.record("found a route where there is none")
      return
    }
  }
}

@Suite struct QueryTests {
  @Test func `names and values are decoded, in their order`() {
    let query = HTTPQuery("id=1&id=2&tag=a%2Bb+c&flag&empty=&%C3%A9=x=y&&")
    #expect(query.names == ["id", "id", "tag", "flag", "empty", "é"])
    #expect(query.all("id") == ["1", "2"])
    #expect(query.first("tag") == "a+b c")
    #expect(query.first("flag") == "")
    #expect(query.first("empty") == "")
    #expect(query.first("é") == "x=y")
    #expect(query.first("none") == nil)
  }

  @Test func `no query has no names`() {
    #expect(HTTPQuery().isEmpty)
    #expect(HTTPQuery().names.isEmpty)
    #expect(HTTPQuery().first("") == nil)
  }

  @Test(arguments: [("a=%41", true), ("%", false), ("a=%4", false), ("%g0", false), ("%ff", false)])
  func `broken escapes are seen`(text: String, isWellFormed: Bool) {
    #expect(HTTPQuery(text).isWellFormed == isWellFormed)
  }
}
