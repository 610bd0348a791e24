import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// Where a page of `GET /v1/jobs` ends.
@Suite struct JobListTests {
  /// Jobs 1 to `count`, finished, each with a result of `resultBytes` bytes.
  private func engine(_ count: Int, resultBytes: Int) -> Engine {
    var store = JobStore()
    store.restore(nextNumber: JobNumber(count + 1), forgotten: [])
    let result = "\"" + String(repeating: "r", count: resultBytes - 2) + "\""
    for number in 1...count {
      var job = RestoredJob(
        submitted: JobSubmitted(
          number: JobNumber(number), id: JobID("job-\(number)")!, task: "square",
          pool: "default", args: "[]", options: nil, at: 1_000), state: .succeeded)
      job.ending = .result(result)
      store.restore(job)
    }
    return Engine(store: store, pools: ["default"], limits: Limits(), seed: 1)
  }

  /// The ids on a page, its link to the next one, and its bytes.
  private func page(
    of engine: Engine, below: JobNumber = .max, limit: Int = 100, bytesMax: Int
  ) throws -> (ids: [String], next: String?, bytes: Int) {
    var filter = Server.Filter()
    (filter.below, filter.limit) = (below, limit)
    let response = Server.page(filter, HTTPQuery(), of: engine, bytesMax: bytesMax)
    guard case .bytes(let bytes) = response.body else { return ([], nil, 0) }
    let tree = try JSONTree(bytes)
    let ids = (tree["jobs"]?.elements ?? []).compactMap { $0["id"]?.string }
    return (ids, tree["next"]?.string, bytes.count)
  }

  @Test func `a page ends after its bytes, and the next goes on from there`() throws {
    let engine = engine(5, resultBytes: 10_000)
    let first = try page(of: engine, bytesMax: 15_000)
    #expect(first.ids == ["job-5", "job-4"] && first.next == "/v1/jobs?after=4")
    #expect(first.bytes < 15_000 + 11_000)
    let second = try page(of: engine, below: 4, bytesMax: 15_000)
    #expect(second.ids == ["job-3", "job-2"] && second.next == "/v1/jobs?after=2")
    let last = try page(of: engine, below: 2, bytesMax: 15_000)
    #expect(last.ids == ["job-1"] && last.next == nil)
  }

  @Test func `a job that is larger than a page has one of its own`() throws {
    let engine = engine(2, resultBytes: 10_000)
    let first = try page(of: engine, bytesMax: 100)
    #expect(first.ids == ["job-2"] && first.next == "/v1/jobs?after=2")
    let last = try page(of: engine, below: 2, bytesMax: 100)
    #expect(last.ids == ["job-1"] && last.next == nil)
  }

  @Test func `the limit of jobs holds too`() throws {
    let first = try page(of: engine(3, resultBytes: 10), limit: 2, bytesMax: 1 << 20)
    #expect(first.ids == ["job-3", "job-2"] && first.next == "/v1/jobs?after=2")
  }

  @Test func `a body has 8 MiB and a handle at most, unless told otherwise`() throws {
    let response = Server.page(
      Server.Filter(), HTTPQuery(), of: engine(20, resultBytes: 1 << 20))
    guard case .bytes(let bytes) = response.body else { return }
    #expect(bytes.count > 7 << 20 && bytes.count < 9 << 20 + 1_000)
  }
}
