import HTTPServer

/// Who is let in. One value, made at the start from the settings and asked for each request, with
/// its headers there and its body not read.
struct Door: Sendable {
  /// What opens it.
  enum Rule: Equatable, Sendable {
    /// Whoever has one of these tokens. No browser sends one by itself, so that `Host` and `Origin`
    /// need not be looked at here.
    case bearer(TokenSet)
    /// Whoever reaches it, which only programs of this machine can. A web page in a browser of this
    /// machine can as well, by a name of its own that it has point to 127.0.0.1 (DNS rebinding): so
    /// `Host` must be a name of this machine, and nothing is changed for a page of another origin.
    case loopback
    /// Whoever reaches it, by whatever name: an operator said so. Nothing is changed for a page of
    /// another origin.
    case anybody
  }

  /// What opens it.
  let rule: Rule
  /// What an operator should know about it, one sentence each.
  let warnings: [String]
  /// The routes that answer without a token: the names of those operations.
  private let publicRoutes: [String]

  /// A door with a rule.
  init(_ rule: Rule, warnings: [String] = []) {
    self.rule = rule
    self.warnings = warnings
    publicRoutes = Operation.all.filter(\.isPublic).map(\.name)
  }

  /// The door that the settings ask for.
  ///
  /// - Parameter variable: what `TokenVariable.take` answered at the start of the program.
  /// - Throws: `SettingError` for tokens that cannot be used, and for an address that others can
  ///   reach when there is neither a token nor the word that none is wanted.
  static func open(
    _ settings: Settings, variable: Result<TokenSet, SettingError>?
  ) throws(SettingError) -> Door {
    var tokens = try variable?.get() ?? TokenSet()
    var warnings: [String] = []
    if let path = settings.tokenFile {
      let file = try TokenReader.file(path)
      tokens.formUnion(file.tokens)
      if file.isOpenToOthers {
        warnings.append("everybody on this machine may read the token file \(path): chmod o-r it")
      }
    }
    if tokens.count > 0 { return Door(.bearer(tokens), warnings: warnings) }
    if settings.isInsecure {
      return Door(
        .anybody,
        warnings: ["insecure: whoever reaches \(settings.host) can run every task; no token is set"]
      )
    }
    guard Loopback.isHost(settings.host) else {
      let isSix = settings.host.utf8.contains(UInt8(ascii: ":"))
      let host = isSix ? "[\(settings.host)]" : settings.host
      throw SettingError(
        source: "listen \(host):\(settings.port)",
        reason: """
          others can reach this address, and there is no token: whoever did could run every task. \
          Give tokens (--\(Setting.tokenFile.rawValue), \(TokenVariable.name)), listen on \
          127.0.0.1, or say --\(Setting.insecure.rawValue)
          """)
    }
    return Door(.loopback)
  }

  /// How it is told: in `/v1/info`, and in the log.
  var authentication: String { needsToken ? "bearer" : "none" }

  /// Whether a token is asked for.
  var needsToken: Bool {
    if case .bearer = rule { true } else { false }
  }

  /// The headers that `judge` looks at.
  var fieldsKept: [String] { needsToken ? [] : ["host", "origin", "sec-fetch-site"] }

  /// Why a request is not let in; nil when it is.
  func judge(_ arrival: HTTPArrival) -> HTTPDenial? {
    guard case .bearer(let tokens) = rule else { return judgeWithoutToken(arrival) }
    if let route = arrival.route, publicRoutes.contains(route) { return nil }
    guard let token = arrival.authorization.flatMap({ BearerToken.token(of: $0) }) else {
      return Door.noToken
    }
    // What is longer than any token is none, and need not be hashed to know it.
    guard token.count <= BearerToken.lengthMax, tokens.contains(token) else {
      return Door.wrongToken
    }
    return nil
  }

  private func judgeWithoutToken(_ arrival: HTTPArrival) -> HTTPDenial? {
    let host = arrival.header("host")
    // No browser sends a request without `Host`; HTTP/1.0 has none.
    if rule == .loopback, let host, !Loopback.isAuthority(host) { return Door.otherHost }
    switch arrival.method {
    case .get, .head, .options, .trace, .query: return nil
    case .post, .put, .patch, .delete, nil: break
    }
    if let origin = arrival.header("origin"), !Door.isOwn(origin, host: host) {
      return Door.otherOrigin
    }
    // What a browser says of itself (W3C Fetch Metadata), for one that sends no `Origin`.
    if let site = arrival.header("sec-fetch-site"), site != "same-origin", site != "none" {
      return Door.otherOrigin
    }
    return nil
  }

  /// Whether an `Origin` (RFC 6454) is that of the service, under the name that the client used.
  /// The scheme may be `https` too: a proxy may end TLS.
  private static func isOwn(_ origin: String, host: String?) -> Bool {
    guard let host = host?.lowercased() else { return false }
    let origin = origin.lowercased()
    return origin == "http://\(host)" || origin == "https://\(host)"
  }

  // MARK: Denials

  private static let challenge = "Bearer realm=\"lido\""

  /// Without an `error`: the client may not know that a token is needed (RFC 6750, section 3.1).
  private static let noToken = HTTPDenial(
    status: 401, code: Problem.Code.unauthorized.rawValue,
    detail: "this service asks for a token: Authorization: Bearer TOKEN", challenge: challenge)

  private static let wrongToken = HTTPDenial(
    status: 401, code: Problem.Code.unauthorized.rawValue,
    detail: "this service does not know this token",
    challenge: challenge + ", error=\"invalid_token\"")

  private static let otherHost = HTTPDenial(
    status: 403, code: Problem.Code.forbidden.rawValue,
    detail: """
      the service is open to its own machine only and does not answer to this Host: call it \
      127.0.0.1 or localhost, or have it ask for tokens
      """)

  private static let otherOrigin = HTTPDenial(
    status: 403, code: Problem.Code.forbidden.rawValue,
    detail: "a web page of another origin cannot change anything here")
}
