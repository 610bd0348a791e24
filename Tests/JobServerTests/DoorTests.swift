import Glibc
import HTTPServer
import Testing

@testable import JobServer

/// Who is let in.
@Suite struct DoorTests {
  private let folder = TemporaryFolder()
  private static let token = "a-token-of-the-tests"

  private static func tokens(_ texts: String...) -> TokenSet {
    var tokens = TokenSet()
    for var text in texts { text.withUTF8 { tokens.insert($0) } }
    return tokens
  }

  private let bearer = Door(.bearer(tokens(token, "another-token-of-them")))

  private func judge(
    _ door: Door, _ method: HTTPMethod?, _ route: String?, authorization: String? = nil,
    headers: [(name: String, value: String)] = []
  ) -> HTTPDenial? {
    guard var authorization else {
      return door.judge(HTTPArrival(method: method, route: route, headers: headers))
    }
    return authorization.withUTF8 {
      door.judge(
        HTTPArrival(method: method, route: route, authorization: $0, headers: headers))
    }
  }

  // MARK: With tokens

  @Test func `every operation without, with a wrong and with the right token`() {
    for operation in Operation.all {
      let isPublic = ["livez", "readyz", "healthz"].contains(operation.name)
      #expect(operation.isPublic == isPublic, "\(operation.name)")
      func answer(_ authorization: String?) -> HTTPDenial? {
        judge(bearer, operation.method, operation.name, authorization: authorization)
      }
      #expect(answer("Bearer \(Self.token)") == nil)
      #expect(answer("bearer  another-token-of-them") == nil)
      if isPublic {
        #expect(answer(nil) == nil && answer("Bearer wrong") == nil)
        continue
      }
      for none in [nil, "", "Bearer", "Basic \(Self.token)", Self.token] {
        let denial = answer(none)
        #expect(denial?.status == 401 && denial?.code == "unauthorized")
        #expect(denial?.challenge == "Bearer realm=\"lido\"", "\(operation.name) \(none ?? "-")")
      }
      for wrong in [
        "Bearer wrong", "Bearer ", "Bearer \(Self.token)x", "Bearer \(Self.token.dropLast())",
        "Bearer \(Self.token) x", "Bearer \(Self.token),another-token-of-them",
        "Bearer " + String(repeating: "a", count: 4_000),
      ] {
        let denial = answer(wrong)
        #expect(denial?.status == 401 && denial?.code == "unauthorized")
        #expect(denial?.challenge == "Bearer realm=\"lido\", error=\"invalid_token\"", "\(wrong)")
      }
    }
  }

  @Test(arguments: [HTTPMethod.get, .put, .options, .trace, nil])
  func `what leads to no route asks for a token, too`(method: HTTPMethod?) {
    #expect(judge(bearer, method, nil)?.status == 401)
    #expect(judge(bearer, method, nil, authorization: "Bearer \(Self.token)") == nil)
  }

  @Test func `with tokens neither Host nor Origin matters here`() {
    let headers = [
      (name: "Host", value: "evil.example"), (name: "Origin", value: "http://evil.example"),
      (name: "Sec-Fetch-Site", value: "cross-site"),
    ]
    let denial = judge(
      bearer, .post, "submit_job", authorization: "Bearer \(Self.token)", headers: headers)
    #expect(denial == nil)
    #expect(bearer.fieldsKept == [])
  }

  // MARK: Without

  @Test(arguments: [
    ("localhost", true), ("LocalHost:8080", true), ("127.0.0.1", true), ("127.0.0.1:8080", true),
    ("127.9.8.7:1", true), ("[::1]", true), ("[::1]:8080", true), ("[0:0::1]:80", true),
    ("[::ffff:127.0.0.1]", true), ("localhost:", true),
    ("", false), ("evil.example", false), ("evil.example:8080", false), ("localhost.evil", false),
    ("127.0.0.1.evil.example", false), ("localhos", false), ("localhostx", false),
    ("xlocalhost", false), ("0.0.0.0:8080", false), ("10.0.0.1", false), ("128.0.0.1", false),
    ("[::2]", false), ("[::]", false), ("[fe80::1]", false), ("[::ffff:10.0.0.1]", false),
    ("::1", false), ("[127.0.0.1]", false), ("[localhost]", false), ("[::1", false),
    ("localhost:80a", false), ("localhost:8080:1", false), ("[::1]8080", false), (":8080", false),
    ("user@localhost", false), ("localhost, evil.example", false), ("é", false),
  ])
  func `on loopback the Host is a name of this machine`(host: String, isOwn: Bool) {
    #expect(Loopback.isAuthority(host) == isOwn)
    for method in [HTTPMethod.get, .post] {
      let denial = judge(Door(.loopback), method, "livez", headers: [("Host", host)])
      #expect((denial == nil) == isOwn)
      if let denial { #expect(denial.status == 403 && denial.code == "forbidden") }
      #expect(denial?.challenge == nil)
    }
    #expect(judge(Door(.anybody), .get, "livez", headers: [("Host", host)]) == nil)
  }

  @Test func `HTTP 1.0 has no Host`() {
    #expect(judge(Door(.loopback), .post, "submit_job") == nil)
  }

  private static let pages: [(origin: String?, site: String?, isOwn: Bool)] = [
    (nil, nil, true), ("http://localhost:8080", nil, true), ("https://localhost:8080", nil, true),
    ("HTTP://LOCALHOST:8080", nil, true), ("http://localhost:8080", "same-origin", true),
    (nil, "none", true), (nil, "same-origin", true),
    ("http://evil.example", nil, false), ("null", nil, false), ("", nil, false),
    ("http://localhost", nil, false), ("http://localhost:80801", nil, false),
    ("http://localhost:3000", "same-site", false), ("http://127.0.0.1:8080", nil, false),
    ("http://localhost:8080, http://evil.example", nil, false),
    ("localhost:8080", nil, false), ("ftp://localhost:8080", nil, false),
    (nil, "cross-site", false), (nil, "same-site", false), (nil, "", false),
    ("http://localhost:8080", "cross-site", false),
  ]

  @Test(arguments: pages.indices)
  func `a page of another origin changes nothing`(index: Int) {
    let page = Self.pages[index]
    var headers = [(name: "host", value: "LOCALHOST:8080")]
    if let origin = page.origin { headers.append(("origin", origin)) }
    if let site = page.site { headers.append(("sec-fetch-site", site)) }
    for door in [Door(.loopback), Door(.anybody)] {
      for method in [HTTPMethod.post, .put, .patch, .delete, nil] {
        let denial = judge(door, method, "submit_job", headers: headers)
        #expect((denial == nil) == page.isOwn, "\(method?.rawValue ?? "none") \(page)")
        if let denial { #expect(denial.status == 403 && denial.code == "forbidden") }
      }
      for method in [HTTPMethod.get, .head, .options] {
        #expect(judge(door, method, "get_job", headers: headers) == nil)
      }
      #expect(door.fieldsKept.contains("origin") && door.fieldsKept.contains("host"))
    }
  }

  @Test func `without a Host no Origin is the service's own`() {
    for headers in [[("Origin", "http://localhost:8080")], [("Origin", "http://")]] {
      let denial = judge(
        Door(.anybody), .post, "submit_job", headers: headers.map { (name: $0.0, value: $0.1) })
      #expect(denial?.status == 403)
    }
  }

  // MARK: Which door

  private func door(
    _ listen: String, tokenFile: String? = nil, isInsecure: Bool = false,
    variable: TokenSet? = nil
  ) throws -> Door {
    var settings = Settings()
    try Setting.listen.read(listen, into: &settings)
    settings.tokenFile = tokenFile
    settings.isInsecure = isInsecure
    return try Door.open(settings, variable: variable.map { .success($0) })
  }

  @Test(arguments: ["127.0.0.1:80", "127.8.8.8:80", "localhost:0", "[::1]:80", ":80"])
  func `loopback is open to its own machine`(listen: String) throws {
    let door = try door(listen)
    #expect(door.rule == .loopback && door.warnings.isEmpty)
    #expect(door.authentication == "none" && !door.needsToken)
  }

  @Test(arguments: ["0.0.0.0:80", "[::]:80", "192.168.1.2:80", "[fe80::1]:80", "[::ffff:1.2.3.4]"])
  func `what others can reach asks for a token, or for the word that none is wanted`(
    listen: String
  ) throws {
    let error = #expect(throws: SettingError.self) { _ = try door(listen) }
    for mention in ["--token-file", "LIDO_TOKENS", "--insecure", "127.0.0.1"] {
      #expect(error?.description.contains(mention) == true, "\(error?.description ?? "")")
    }
    let open = try door(listen, isInsecure: true)
    #expect(open.rule == .anybody && open.authentication == "none")
    #expect(open.warnings.count == 1 && open.warnings[0].contains("insecure"))
    let closed = try door(listen, variable: Self.tokens(Self.token))
    #expect(closed.rule == .bearer(Self.tokens(Self.token)) && closed.warnings.isEmpty)
  }

  @Test func `tokens come from the file, the variable, or both, and win over insecure`() throws {
    let path = folder.file("tokens", "\(Self.token)\nthe-second-of-tokens\n")
    chmod(path, 0o600)
    let both = Self.tokens(Self.token, "the-second-of-tokens", "the-third-of-the-tokens")
    let fromFile = try door("127.0.0.1", tokenFile: path, isInsecure: true)
    #expect(fromFile.rule == .bearer(Self.tokens(Self.token, "the-second-of-tokens")))
    #expect(fromFile.authentication == "bearer" && fromFile.warnings.isEmpty)
    let variable = Self.tokens("the-third-of-the-tokens", Self.token)
    let joined = try door("127.0.0.1", tokenFile: path, variable: variable)
    guard case .bearer(let tokens) = joined.rule else {
      Issue.record("\(joined.rule)")
      return
    }
    #expect(tokens.count == both.count)
    chmod(path, 0o644)
    let readable = try door("127.0.0.1", tokenFile: path)
    #expect(readable.warnings.count == 1 && readable.warnings[0].contains(path))
  }

  @Test func `tokens that cannot be used open nothing`() {
    #expect(throws: SettingError.self) { _ = try door("127.0.0.1", tokenFile: "/nowhere") }
    let fault = SettingError(source: "LIDO_TOKENS", reason: "no token in it")
    #expect(throws: fault) { _ = try Door.open(Settings(), variable: .failure(fault)) }
  }

  // MARK: How it is told

  @Test func `a denial is a problem with its challenge`() {
    for (denial, title) in [
      (judge(bearer, .get, "get_info"), "Unauthorized"),
      (judge(Door(.loopback), .get, "get_info", headers: [("host", "x")]), "Forbidden"),
    ] {
      guard let denial else {
        Issue.record("let in")
        continue
      }
      let problem = Problem(.denied(denial))
      #expect(problem.code.rawValue == denial.code && problem.status == denial.status)
      let response = JobAnswers.problem(problem)
      #expect(
        response.headers.values(of: "WWW-Authenticate") == [denial.challenge].compactMap { $0 })
      #expect(String(decoding: problem.body, as: UTF8.self).contains("\"title\":\"\(title)\""))
    }
  }
}
