import JobCore
import Testing

@testable import JobServer

/// What one answer of a feed holds, and where the next goes on.
@Suite struct CompletionPageTests {
  /// Jobs 1 to `count`, finished, each with a result of so many bytes, and the feed of their pool.
  private func finished(
    _ count: Int, resultBytes: Int = 10
  ) throws -> (engine: Engine, feed: CompletionFeed) {
    var store = JobStore()
    store.restore(nextNumber: JobNumber(count + 1), forgotten: [])
    for number in 1...count {
      var job = RestoredJob(
        submitted: JobSubmitted(
          number: JobNumber(number), id: JobID("job-\(number)")!, task: "square",
          pool: "default", args: "[]", options: nil, at: 1_000), state: .succeeded)
      job.ending = .result("\"" + String(repeating: "r", count: resultBytes - 2) + "\"")
      store.restore(job)
    }
    var feeds = CompletionFeeds()
    feeds.begin(at: 0, store, configured: ["default"])
    let engine = Engine(store: store, pools: ["default"], limits: Limits(), seed: 1)
    return (engine, feeds.feed(of: "default", in: store.names))
  }

  /// The answer, read.
  private func page(
    _ engine: Engine, _ feed: CompletionFeed, after place: FeedPlace = 0, limit: Int = 100,
    bytesMax: Int = 1 << 20, isDurable: (JobNumber) -> Bool = { _ in true }
  ) throws -> (ids: [String], seqs: [Int], next: Int, undurable: JobNumber?, tree: JSONTree) {
    let page = CompletionPage(
      of: feed, after: place, limit: limit, in: engine, bytesMax: bytesMax, isDurable: isDurable)
    let tree = try JSONTree(page.body)
    let entries = tree["completions"]?.elements ?? []
    return (
      entries.compactMap { ($0["job"] ?? $0["map"])?["id"]?.string },
      entries.compactMap { $0["seq"]?.integer }, tree["next"]?.integer ?? -1, page.undurable, tree
    )
  }

  @Test func `completions come in their order, and next goes on behind the last`() throws {
    let (engine, feed) = try finished(5)
    let base = feed[0].place - 1
    let first = try page(engine, feed, limit: 2)
    #expect(first.ids == ["job-1", "job-2"])
    #expect(first.seqs == [Int(base) + 1, Int(base) + 2] && first.next == Int(base) + 2)
    let second = try page(engine, feed, after: base + 2)
    #expect(second.ids == ["job-3", "job-4", "job-5"] && second.next == Int(base) + 5)
    let last = try page(engine, feed, after: base + 5)
    #expect(last.ids == [] && last.next == Int(base) + 5, "where there is nothing it stays")
    #expect(first.tree["completions"]?.elements.first?["job"]?["result"]?.string == "rrrrrrrr")
  }

  @Test func `an answer ends after its bytes, but not before its first completion`() throws {
    let (engine, feed) = try finished(5, resultBytes: 10_000)
    #expect(try page(engine, feed, bytesMax: 15_000).ids == ["job-1", "job-2"])
    #expect(try page(engine, feed, bytesMax: 100).ids == ["job-1"])
  }

  @Test func `an outcome that is large is left out, and that is said`() throws {
    for (bytes, isShown) in [(64 << 10, true), ((64 << 10) + 1, false)] {
      let (engine, feed) = try finished(1, resultBytes: bytes)
      let job = try page(engine, feed).tree["completions"]?.elements.first?["job"]
      #expect((job?["result"] != nil) == isShown)
      #expect((job?["outcome_omitted"] != nil) == !isShown)
    }
  }

  @Test func `what was dropped is passed over`() throws {
    var (engine, feed) = try finished(5)
    var turn = Turn()
    for number in [1, 3, 4, 5] as [JobNumber] {
      engine.handle(.forgetReceived(number, request: 1), at: Jobs.moment, &turn)
    }
    let all = try page(engine, feed, limit: 1)
    #expect(all.ids == ["job-2"] && all.next == Int(feed[1].place))
    let rest = try page(engine, feed, after: feed[1].place)
    #expect(rest.ids == [] && rest.next == Int(feed.last), "the next answer need not look again")
  }

  @Test func `it says for whose sake it has to wait`() throws {
    var (engine, feed) = try finished(3)
    #expect(try page(engine, feed).undurable == nil)
    #expect(try page(engine, feed) { $0 != 2 }.undurable == 2)
    #expect(try page(engine, feed, after: feed[1].place) { $0 != 2 }.undurable == nil)
    var turn = Turn()
    engine.handle(.forgetReceived(2, request: 1), at: Jobs.moment, &turn)
    #expect(try page(engine, feed) { $0 != 2 }.undurable == 2, "that it is gone is told, too")
  }

  @Test func `a map is told as one, and its chunks are not`() throws {
    var engine = Engine(store: JobStore(), pools: ["default"], limits: Limits(), seed: 1)
    var turn = Turn()
    engine.recover(at: Jobs.moment, &turn)
    let items = MapItems(text: Array("1,2".utf8), starts: [0, 2])
    let slot = SlotID(pool: 0, index: 0)
    for event: Event in [
      .poolAnnounced(pool: PoolID(0), tasks: ["square"]), .slotReady(slot, credit: 1, pid: 1),
      .mapReceived(
        MapSubmission(task: "square", items: items, id: JobID("both"), chunkSize: 1), request: 1),
    ] { engine.handle(event, at: Jobs.moment, &turn) }
    for _ in 0..<2 {
      let call = try #require(engine.call(of: turn.dispatched.last ?? 0))
      let error = RaisedError(type: "E", message: String(repeating: "m", count: 70_000), item: 0)
      engine.handle(.callRaised(call, error), at: Jobs.moment, &turn)
    }
    #expect(engine.store.map(1)?.stage == .final)
    var feeds = CompletionFeeds()
    feeds.begin(at: 0, engine.store, configured: ["default"])
    let told = try page(engine, feeds.feed(of: "default", in: engine.store.names))
    #expect(told.ids == ["both"])
    let map = told.tree["completions"]?.elements.first?["map"]
    #expect(map?["state"]?.string == "failed" && map?["items"]?["failed"]?.integer == 2)
    #expect(map?["error"] == nil && map?["outcome_omitted"] != nil)
  }
}

extension JSONTree {
  /// A whole number.
  fileprivate var integer: Int? { if case .number(let text) = self { Int(text) } else { nil } }
}

extension Turn {
  /// The jobs that were handed to workers.
  fileprivate var dispatched: [JobNumber] {
    effects.compactMap { if case .dispatch(_, let number) = $0 { number } else { nil } }
  }
}
