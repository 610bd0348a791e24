import HTTPServer
import JobCore

/// `GET /v1/jobs?id=…&id=…`: the handles of up to a thousand jobs, at once or at the first change.
extension Server {
  /// Ids of one request, at most. Ours have 36 characters, of which the limit of the header lets
  /// fewer through.
  static let idsMax = 1_000

  func showMany(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    for name in request.query.names where Server.filterNames.contains(name) {
      throw Problem.invalid(
        "?id= names the jobs, so there is nothing to filter by ?\(name)=; use one or the other")
    }
    try requireQuery(request, ["id", "wait"], repeatable: "id")
    let wish = try waitWish(request)
    let items = try Server.ids(in: request.query).map { id in
      do throws(Problem) {
        return JobGroup.Item.job(try number(of: id), id, isReplay: false)
      } catch {
        return JobGroup.Item.problem(error, id)
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

  /// The ids that a query names, in its order: several times `id`, or several in one, parted by
  /// commas, of which more have room in a header of limited length.
  static func ids(in query: HTTPQuery) throws(Problem) -> [JobID] {
    var ids: [JobID] = []
    for value in query.all("id") {
      for text in value.split(separator: ",", omittingEmptySubsequences: false) {
        guard let id = JobID(String(text)) else {
          throw Problem.invalid(
            "?id= is 1 to 64 of A-Z a-z 0-9 . _ - and not . or ..; it was '\(text)'")
        }
        guard ids.count < idsMax else {
          throw Problem.invalid("at most \(idsMax) jobs are asked for by ?id=; there are more")
        }
        ids.append(id)
      }
    }
    return ids
  }

  /// A change of each job that is not final.
  private func openGoals(of group: JobGroup) -> [(JobNumber, Waiters.Goal)] {
    group.numbers.compactMap { number in
      guard let job = engine.store.brief(of: number), !job.state.isFinal else { return nil }
      return (number, .change(from: job.version))
    }
  }
}
