import HTTPServer
import JSON
import JobCore
import JobStorage

/// `/v1/maps`: one call of a task over many items.
extension Server {
  /// The operations on maps.
  static var mapOperations: [Operation] {
    [
      Operation(.post, "/v1/maps", "submit_map") { (server, request, later) throws(Problem) in
        try server.submitMap(&request, later)
      }.taking { $0.mapStream($1) },
      Operation(.get, "/v1/maps", "list_maps") { (server, request, later) throws(Problem) in
        try server.listMaps(request, later)
      },
      Operation(.get, "/v1/maps/{id}", "get_map") { (server, request, later) throws(Problem) in
        try server.showMap(request, later)
      },
      Operation(.delete, "/v1/maps/{id}", "delete_map") {
        (server, request, later) throws(Problem) in
        try server.forgetMap(request, later)
      },
      Operation(.get, "/v1/maps/{id}/result", "get_map_result") {
        (server, request, later) throws(Problem) in
        try server.showMapResult(request, later)
      },
      Operation(.get, "/v1/maps/{id}/results", "stream_map_results") {
        (server, request, later) throws(Problem) in
        try server.streamMapResults(request, later)
      },
      Operation(.post, "/v1/maps/{id}/cancel", "cancel_map") {
        (server, request, later) throws(Problem) in
        try server.cancelMap(request, later)
      },
    ]
  }

  // MARK: Writing

  private func submitMap(
    _ request: inout HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try MediaType.requireUnpacked(request)
    try MapQuery.refuseOptions(of: request)
    try MediaType.requireJSON(request, or: MediaType.lines)
    try requireQuery(request, ["wait"])
    let wish = try waitWish(request)
    let key = try IdempotencyKey.read(request.header("idempotency-key"))
    let submission = try SubmissionReader.readMap(request.body, idempotencyKey: key)
    request.body = []
    var pending = Request(response: later())
    pending.presentation.isAcceptance = true
    pending.presentation.preferenceApplied = wish.applied
    pending.presentation.isWaited = wish.granted != nil
    pending.wait = wish.milliseconds
    ask(pending) { .mapReceived(submission, request: $0) }
    return .later
  }

  private func cancelMap(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, [])
    let grace = try CancelReader.grace(of: request)
    let number = try map(request).number
    var pending = Request(response: later())
    pending.presentation.isAcceptance = true
    ask(pending) { .mapCancelReceived(number, grace: grace, request: $0) }
    return .later
  }

  private func forgetMap(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, [])
    let number = try map(request).number
    ask(Request(response: later())) { .mapForgetReceived(number, request: $0) }
    return .later
  }

  // MARK: Reading

  private func showMap(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, ["wait"])
    let wish = try waitWish(request)
    let map = try map(request)
    var presentation = Presentation()
    presentation.preferenceApplied = wish.applied
    if JobAnswers.isNamed(MapAnswers.entityTag(of: map), in: request.header("if-none-match")) {
      presentation.heldVersion = map.version
    }
    let goal = presentation.heldVersion.map { Waiters.Goal.change(from: $0) } ?? .final
    return try answer(map, goal, presentation, wish, later)
  }

  private func showMapResult(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, ["wait"])
    let wish = try waitWish(request)
    var presentation = Presentation()
    presentation.preferenceApplied = wish.applied
    return try answer(try map(request), .result, presentation, wish, later)
  }

  /// Answers at once, or lets the client wait for its goal.
  private func answer(
    _ map: JobMap, _ goal: Waiters.Goal, _ presentation: Presentation, _ wish: WaitWish,
    _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    if wish.milliseconds == 0 || (goal.isMet(by: map.brief) && isDurable(map.number)) {
      return try speak(response(to: goal, map, presentation), of: map.number, later)
    }
    wait(later(), for: map.number, goal, presentation, milliseconds: wish.milliseconds)
    return .later
  }

  private func response(
    to goal: Waiters.Goal, _ map: JobMap, _ presentation: Presentation
  ) -> HTTPResponse {
    goal == .result
      ? MapAnswers.result(
        of: map, in: engine, presentation.preferenceApplied, gathering: &resultLists)
      : MapAnswers.handle(of: map, in: engine, presentation)
  }

  /// Answers a client that waits already, with what memory says now of a map.
  func tell(
    _ client: PendingResponse, of map: JobMap, _ goal: Waiters.Goal, _ presentation: Presentation
  ) {
    tell(response(to: goal, map, presentation), of: map.number, to: client)
  }

  private func listMaps(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, Server.filterNames.filter { $0 != "map" })
    let filter = try filter(request)
    return try speak(Server.mapPage(filter, request.query, of: engine), of: nil, later)
  }

  /// The page that a request with this filter is answered with; bounded as that of jobs.
  static func mapPage(
    _ filter: Filter, _ query: HTTPQuery, of engine: Engine
  ) -> HTTPResponse {
    var writer = JSONWriter(capacity: 4_096)
    writer.beginObject()
    writer.name("maps")
    writer.beginArray()
    var (found, scanned) = (0, 0)
    var next: MapNumber?
    var last: MapNumber?
    if !filter.matchesNothing {
      engine.store.descendMaps(below: filter.below) { map in
        guard found < filter.limit, scanned < scanMax, writer.count < pageBytesMax else {
          next = last
          return false
        }
        scanned += 1
        last = map.number
        if filter.matches(map) {
          MapAnswers.write(map, of: engine, to: &writer)
          found += 1
        }
        return true
      }
    }
    writer.endArray()
    if let next {
      writer.member("next", string: nextLink(query, after: next, path: "/v1/maps"))
    }
    writer.endObject()
    return .json(writer.bytes)
  }

  // MARK: Parts of requests

  /// The map that the path names: 404 for an id that never was, 410 for one that was dropped.
  func map(_ request: HTTPRequest) throws(Problem) -> JobMap {
    guard let id = request.parameters.withUTF8(at: 0, { JobID($0) }) else {
      throw Problem(
        status: 404, code: .notFound,
        detail: "an id is 1 to 64 of A-Z a-z 0-9 . _ -; there is no map like this")
    }
    if let map = engine.store.mapNumber(of: id).flatMap({ engine.store.map($0) }) { return map }
    if engine.store.forgotten.contains(id.stableHash) {
      throw Problem(
        status: 410, code: .gone,
        detail: "map \(id) was dropped: by a DELETE, or because finished maps are not kept longer")
    }
    throw Problem(status: 404, code: .notFound, detail: "there is no map \(id)")
  }
}

extension Server.Filter {
  /// Whether the map is wanted, whatever its number.
  func matches(_ map: JobMap) -> Bool {
    if let state, map.state != state { return false }
    if let task, map.task != task { return false }
    if let pool, map.pool != pool { return false }
    if let tag, map.options?.tags.contains(tag) != true { return false }
    return true
  }
}
