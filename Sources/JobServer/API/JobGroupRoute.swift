import HTTPServer
import JobCore

/// `GET /v1/jobs?id=…&id=…`: the handles of up to a thousand jobs, at once or at the first change.
extension Server {
  /// Ids of one request, at most.
  static let idsMax = 1_000

  func showMany(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    for name in request.query.names where Server.filterNames.contains(name) {
      throw Problem.invalid(
        "?id= names the jobs, so there is nothing to filter by ?\(name)=; use one or the other")
    }
    try requireQuery(request, ["id", "wait"], repeatable: "id")
    let ids = request.query.all("id")
    guard ids.count <= Server.idsMax else {
      throw Problem.invalid("at most \(Server.idsMax) times ?id=; there are \(ids.count)")
    }
    let wish = try waitWish(request)
    var items: [JobGroup.Item] = []
    items.reserveCapacity(ids.count)
    for text in ids {
      guard let id = JobID(text) else {
        throw Problem.invalid(
          "?id= is 1 to 64 of A-Z a-z 0-9 . _ - and not . or ..; it was '\(text)'")
      }
      do throws(Problem) {
        items.append(.job(try number(of: id), id, isReplay: false))
      } catch {
        items.append(.problem(error, id))
      }
    }
    let group = JobGroup(
      items, preferenceApplied: wish.applied, heldTags: request.header("if-none-match"))
    // What is final already changes no more, and who holds another answer than that of now has
    // missed a change.
    let goals =
      wish.milliseconds == 0 || group.heldTags != nil && !group.isHeld(in: engine)
      ? [] : openGoals(of: group)
    guard !goals.isEmpty else { return try speak(group, later) }
    wait(later(), for: group, goals, missing: 1, milliseconds: wish.milliseconds)
    return .later
  }

  /// A change of each job that is not final.
  private func openGoals(of group: JobGroup) -> [(JobNumber, Waiters.Goal)] {
    group.numbers.compactMap { number in
      guard let job = engine.store.brief(of: number), !job.state.isFinal else { return nil }
      return (number, .change(from: job.version))
    }
  }
}
