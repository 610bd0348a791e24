import JobCore

/// How what the engine refuses of pools looks as a problem.
enum PoolAnswers {
  /// The problem of a refusal that is about pools.
  static func problem(of refusal: Refusal) -> Problem {
    switch refusal {
    case .poolNotRunning(let pool, let reason):
      Problem(
        status: 409, code: .poolNotRunning, detail: "the pool '\(pool)' runs nothing: \(reason)")
    case .poolNotReady(let pool):
      Problem(
        status: 503, code: .poolNotRunning,
        detail: "the pool '\(pool)' has no worker yet (see /readyz); it is tried to start one",
        retryAfter: 5)
    case .poolExists(let name):
      Problem(
        status: 409, code: .conflict,
        detail: "there is a pool '\(name)'",
        mistakes: [.init(detail: "taken", pointer: "/name")])
    case .poolMismatch(let name):
      Problem(
        status: 422, code: .idempotencyMismatch,
        detail: "this key belongs to the pool '\(name)', which was created with another payload")
    case .tooManyPools(let count):
      Problem(
        status: 503, code: .tooManyPools,
        detail: """
          there are \(count) pools that clients created, and no more may be: terminate one that \
          nobody needs (GET /v1/pools lists them), or let more be (--max-pools)
          """)
    case .poolNotStarted(let reason):
      Problem(
        status: 503, code: .poolNotStarted, detail: "the pool was not created: \(reason)")
    case .noSuchPool(let name): noSuchPool(name)
    case .tooManyNames:
      Problem(
        status: 503, code: .tooManyNames,
        detail: """
          since the service was started there were so many different tasks, or pools whose jobs \
          are kept, that no further name is taken; give what differs from call to call as an \
          argument, or keep the jobs for a shorter time (--retention-age)
          """)
    default: preconditionFailure("not about a pool")
    }
  }

  /// The pool was dropped while a client waited for it, or for its own answer.
  static let gone = Problem(
    status: 410, code: .gone, detail: "the pool was joined, and was dropped meanwhile")

  /// The program has no such initializer; `known` are those that it has.
  static func unknownInitializer(_ name: String, known: Set<String>) -> Problem {
    Problem(
      status: 422, code: .unknownInitializer,
      detail: "this program has no initializer '\(name)' (it has: \(list(ofInitializers: known)))",
      mistakes: [.init(detail: "not an initializer of this program", pointer: "/initializer")])
  }

  /// Names of initializers, in words.
  static func list(ofInitializers names: Set<String>) -> String {
    names.isEmpty ? "none" : names.sorted().joined(separator: ", ")
  }

  /// There is no pool of this name.
  static func noSuchPool(_ name: String) -> Problem {
    Problem(
      status: 404, code: .notFound,
      detail: "there is no pool '\(name)'; GET /v1/pools lists them")
  }
}
