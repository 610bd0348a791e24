import HTTPServer
import JobCore

/// `GET /v1/pools/{name}/completions`: what has ended in a pool, in its order; one reader hears of
/// thousands of jobs.
///
/// An end comes into the feed by the effect that tells it, and so when it is durable; who waits is
/// answered at the end of that turn, with all that it brought.
extension Server {
  /// The operation.
  static var completionsOperation: Operation {
    Operation(.get, "/v1/pools/{name}/completions", "get_completions") {
      (server, request, later) throws(Problem) in
      try server.showCompletions(request, later)
    }
  }

  private func showCompletions(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, ["after", "wait", "limit"])
    let wait = try waitWish(request)
    let pool = try poolNamed(in: request)
    attend(pool)
    let wish = CompletionWish(
      pool: engine.name(ofPool: pool), after: try Server.place(in: request.query),
      limit: try Server.limit(in: request.query), preferenceApplied: wait.applied)
    let feed = feed(of: wish.pool)
    let place = wish.after ?? feed.lastGone
    guard feed.reaches(back: place) else { throw Server.gone(wish, feed) }
    let mayGrow = engine.stage(ofPool: pool) != .joined
    guard wait.milliseconds > 0, mayGrow, feed.index(after: place) == feed.count else {
      let (response, undurable) = response(to: wish)
      guard let undurable else { return .now(response) }
      return try speak(response, of: undurable, later)
    }
    let deadline = now.instant.advanced(byMilliseconds: wait.milliseconds)
    letGo(later(), wish, told: feed.last, until: deadline.nanoseconds)
    return .later
  }

  private static func place(in query: HTTPQuery) throws(Problem) -> FeedPlace? {
    guard let text = query.first("after") else { return nil }
    guard let place = FeedPlace(digits: text), place <= FeedPlace(Int64.max) else {
      throw Problem.invalid(
        "?after= is the 'next' of an earlier answer, or 0 for the beginning; it was '\(text)'")
    }
    return place
  }

  private static func limit(in query: HTTPQuery) throws(Problem) -> Int {
    guard let text = query.first("limit") else { return pageMax }
    guard let limit = Int(digits: text), (1...pageMax).contains(limit) else {
      throw Problem.invalid("?limit= is a number from 1 to \(pageMax); it was '\(text)'")
    }
    return limit
  }

  /// What a client hears from whom the feed is gone.
  private static func gone(_ wish: CompletionWish, _ feed: CompletionFeed) -> Problem {
    Problem(
      status: 410, code: .gone,
      detail: "the feed of '\(wish.pool)' does not reach back to \(wish.after ?? 0); look at what "
        + "you wait for by its id, then go on with ?after=\(feed.last)",
      next: feed.last)
  }

  /// The answer of now, and whose durability it has to wait for.
  private func response(to wish: CompletionWish) -> (HTTPResponse, undurable: JobNumber?) {
    let feed = feed(of: wish.pool)
    let place = wish.after ?? feed.lastGone
    guard feed.reaches(back: place) else {
      return (JobAnswers.problem(Server.gone(wish, feed)), nil)
    }
    let page = CompletionPage(
      of: feed, after: place, limit: wish.limit, in: engine, isDurable: isDurable)
    var response = HTTPResponse.json(page.body)
    response.headers.add("Vary", "Prefer")
    if let applied = wish.preferenceApplied { response.headers.add("Preference-Applied", applied) }
    return (response, page.undurable)
  }

  private func feed(of pool: String) -> CompletionFeed {
    completions.feed(of: pool, in: engine.store.names)
  }

  // MARK: What ends

  /// Has what a start has made final, after so many jobs and maps that it found so, told like any
  /// other end: the engine itself tells nothing then.
  func tellEnds(after found: Int) {
    guard engine.store.finishedCount > found else { return }
    var index = 0
    engine.store.forEachFinished { number, _, _ in
      if index >= found { turn.effects.append(.jobEnded(number)) }
      index += 1
    }
  }

  /// A job, or a map, has become final, and that is durable. What is dropped by then was nobody's.
  func noteCompletion(of number: JobNumber) {
    reading { engine in
      guard let job = engine.store.brief(of: number), job.state.isFinal else { return }
      completions.append(number, of: job.pool, in: engine.store.names)
    }
  }

  // MARK: Waiting

  /// When somebody who waits for completions is to hear of some, or has waited long enough.
  var completionsDeadline: UInt64? {
    guard completionWaiters.count > 0 else { return nil }
    return completions.hasNews ? now.instant.nanoseconds : completionWaiters.nextDeadline
  }

  /// Answers who waits for what this turn has brought, and who has waited long enough.
  func passCompletions() {
    let hasNews = completions.takeNews()
    guard completionWaiters.count > 0 else { return }
    if hasNews {
      tell(
        completionWaiters.takeServed { pool in
          feed(of: pool).last
        })
    }
    tell(
      completionWaiters.popExpired(
        at: now.instant.nanoseconds, atMost: Waiters.expiredMax))
  }

  /// Answers all who wait for completions of a pool that will have no more.
  func endCompletionWaits(of pool: String) {
    tell(completionWaiters.takeAll(of: pool))
  }

  /// Answers all who wait, for the end of the service.
  func endCompletionWaits() {
    tell(completionWaiters.removeAll())
  }

  /// Lets a client wait; it is answered early when it leaves, as is who waits for a job.
  private func letGo(
    _ response: PendingResponse, _ wish: CompletionWish, told: FeedPlace, until deadline: UInt64
  ) {
    let handle = completionWaiters.add(
      response, wish, told: told, until: deadline,
      engine.poolIndex(named: wish.pool).flatMap { attendance(ofPool: $0) })
    let end = { [unowned self] in
      if let waiter = completionWaiters.remove(handle) { tell([waiter]) }
    }
    if response.isAbandoned { end() } else { response.onAbandoned = end }
  }

  /// Answers waiters; those of one wish in a row have the same answer.
  private func tell(_ waiters: [CompletionWaiters.Waiter]) {
    var last: (wish: CompletionWish, answer: (HTTPResponse, undurable: JobNumber?))?
    for waiter in waiters {
      let answer =
        last.flatMap { $0.wish == waiter.wish ? $0.answer : nil }
        ?? response(to: waiter.wish)
      last = (waiter.wish, answer)
      if let undurable = answer.undurable {
        tell(answer.0, of: undurable, to: waiter.response)
      } else {
        waiter.response.resume(with: answer.0)
      }
    }
  }
}
