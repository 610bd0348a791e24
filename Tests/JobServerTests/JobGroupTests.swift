import HTTPServer
import JSON
import JobCore
import Testing

@testable import JobServer

/// The answer that tells of several jobs.
@Suite struct JobGroupTests {
  /// An engine over `count` jobs: odd ones are queued, even ones have a result of `resultBytes`.
  private func engine(
    _ count: Int, resultBytes: Int = 4, _ change: (inout JobStore) throws -> Void = { _ in }
  ) rethrows -> Engine {
    var store = JobStore()
    store.restore(nextNumber: JobNumber(count + 1), forgotten: [])
    let result = "\"" + String(repeating: "r", count: resultBytes - 2) + "\""
    let numbers = (1...count).filter { $0 % 2 == 0 } + (1...count).filter { $0 % 2 == 1 }
    for number in numbers {
      var job = RestoredJob(
        submitted: JobSubmitted(
          number: JobNumber(number), id: id(number), task: "square", pool: "default", args: "[]",
          options: nil, at: 1_000), state: number % 2 == 0 ? .succeeded : .queued)
      if number % 2 == 0 { (job.ending, job.version) = (.result(result), 3) }
      store.restore(job)
    }
    try change(&store)
    return Engine(store: store, pools: ["default"], limits: Limits(), seed: 1)
  }

  private func id(_ number: Int) -> JobID { JobID("job-\(number)")! }

  private func item(_ number: Int, isReplay: Bool = false) -> JobGroup.Item {
    .job(JobNumber(number), id(number), isReplay: isReplay)
  }

  private func group(_ items: [JobGroup.Item], held: String? = nil) -> JobGroup {
    JobGroup(items, preferenceApplied: nil, heldTags: held)
  }

  private func jobs(_ response: HTTPResponse) throws -> [JSONTree] {
    guard case .bytes(let bytes) = response.body else { return [] }
    return try JSONTree(bytes)["jobs"]?.elements ?? []
  }

  private func tag(_ response: HTTPResponse) -> String? {
    response.headers.values(of: "ETag").first
  }

  @Test func `items stand in the order of the request, handles and errors`() throws {
    let full = JobAnswers.problem(of: .queueFull(retryAfter: 7))
    let group = JobGroup(submissions: 5, preferenceApplied: "wait=3")
    #expect(group.undecidedCount == 5)
    group.decide(4, item(1, isReplay: true))
    group.decide(0, item(2))
    group.decide(2, .problem(full, nil))
    group.decide(3, .problem(.invalid("no", at: "/args"), nil))
    group.decide(1, item(1))
    #expect(group.undecidedCount == 0 && group.numbers == [2, 1] && group.refusal == nil)
    let response = group.response(in: try engine(2))
    #expect(response.status == 200 && tag(response) == nil)
    #expect(response.headers.values(of: "Preference-Applied") == ["wait=3"])
    #expect(response.headers.values(of: "Retry-After") == ["1"])
    let jobs = try jobs(response)
    #expect(jobs.map { $0["id"]?.string } == ["job-2", "job-1", nil, nil, "job-1"])
    #expect(
      jobs.map { $0["idempotent_replayed"] } == [nil, nil, nil, nil, .bool(true)])
    #expect(jobs[0]["result"] == .string("rr") && jobs[0]["outcome_omitted"] == nil)
    #expect(jobs[2].at("error", "status") == .number("503"))
    #expect(jobs[2].at("error", "code") == .string("queue_full"))
    #expect(jobs[2].at("error", "retry_after") == .number("7"))
    #expect(
      jobs[3].at("error", "errors")?.elements.first?["pointer"] == .string("/args"))
  }

  @Test func `what holds for every submission is told as a whole`() {
    for refusal in [Refusal.readOnly, .draining, .unknownTask("x")] {
      let group = JobGroup(submissions: 2, preferenceApplied: nil)
      group.decide(0, item(1, isReplay: true))
      group.decide(1, .problem(JobAnswers.problem(of: refusal), nil))
      #expect(group.refusal?.status == (refusal == .unknownTask("x") ? nil : 503))
    }
  }

  @Test func `an answer that is full leaves results out and says so`() throws {
    let engine = try engine(8, resultBytes: 10_000)
    let items = (1...8).map { item($0) }
    let response = group(items).response(in: engine, bytesMax: 15_000)
    let jobs = try jobs(response)
    #expect(jobs.count == 8)
    #expect(
      jobs.map { $0["result"] != nil } == [false, true, false, true]
        + Array(repeating: false, count: 4))
    #expect(
      jobs.map { $0["outcome_omitted"] == .bool(true) }
        == [false, false, false, false, false, true, false, true])
    #expect(jobs.map { $0["ready"] } == (1...8).map { .bool($0 % 2 == 0) })
  }

  @Test func `an id that is no job keeps its place, with the reason`() throws {
    let unknown = Problem(status: 404, code: .notFound, detail: "there is no job")
    let jobs = try jobs(
      group([.problem(unknown, id(9)), item(2), item(5)]).response(in: try engine(2)))
    #expect(jobs.map { $0["id"]?.string } == ["job-9", "job-2", "job-5"])
    #expect(jobs[0].at("error", "status") == .number("404"))
    #expect(jobs[2].at("error", "code") == .string("gone"), "dropped while it was waited for")
  }

  @Test func `the entity tag changes with every job, and with the request`() throws {
    let engine = try engine(4)
    let all = (1...4).map { item($0) }
    let first = try #require(tag(group(all).response(in: engine)))
    #expect(first.utf8.count == 18 && tag(group(all).response(in: engine)) == first)
    let changed = try self.engine(4) { try $0.apply(.attemptStarted(3, attempt: 1, at: 2_000)) }
    let others = [
      tag(group(all).response(in: changed)), tag(group(all.reversed()).response(in: engine)),
      tag(group(Array(all.dropLast())).response(in: engine)), tag(group([]).response(in: engine)),
      tag(
        group(all.dropLast() + [.problem(JobAnswers.problem(of: .unknownJob), id(4))])
          .response(in: engine)),
    ]
    #expect(Set(others + [first]).count == 6)
    let held = group(all, held: "\"x\", W/\(first)")
    #expect(held.isHeld(in: engine) && held.response(in: engine).status == 304)
    #expect(!held.isHeld(in: changed) && held.response(in: changed).status == 200)
    #expect(held.response(in: engine).headers.values(of: "Retry-After") == ["1"])
    #expect(!group(all).isHeld(in: engine))
  }

  @Test(arguments: [
    ("id=a", ["a"]), ("id=a&id=b&wait=1&id=a", ["a", "b", "a"]), ("id=a,b&id=c", ["a", "b", "c"]),
    ("id=a%2Cb", ["a", "b"]),
  ])
  func `ids come one by one, or parted by commas`(query: String, ids: [String]) throws {
    #expect(try Server.ids(in: HTTPQuery(query)).map(\.text) == ids)
  }

  @Test(arguments: ["id=", "id=a,", "id=,a", "id=a&id=", "id=a/b", "id=..", "id=a%20b"])
  func `an id that can be none is refused`(query: String) {
    let problem = #expect(throws: Problem.self) { try Server.ids(in: HTTPQuery(query)) }
    #expect(problem?.status == 400)
  }

  @Test func `a thousand jobs can be asked for`() throws {
    let ids = (1...1_000).map { "\($0)" }
    #expect(try Server.ids(in: HTTPQuery("id=" + ids.joined(separator: ","))).count == 1_000)
    #expect(try Server.ids(in: HTTPQuery("id=" + ids.joined(separator: "&id="))).count == 1_000)
    #expect(throws: Problem.self) {
      try Server.ids(in: HTTPQuery("id=" + ids.joined(separator: ",") + "&id=x"))
    }
  }
}
