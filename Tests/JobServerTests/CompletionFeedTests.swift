import JobCore
import Testing

@testable import JobServer

/// What a feed keeps, and how far back it reaches.
@Suite struct CompletionFeedTests {
  /// The places after one.
  private func places(_ feed: CompletionFeed, after place: FeedPlace) -> [FeedPlace] {
    (feed.index(after: place)..<feed.count).map { feed[$0].place }
  }

  @Test func `an empty feed reaches back to the beginning and to nothing else`() {
    let feed = CompletionFeed()
    #expect(feed.last == 0 && feed.count == 0 && feed.reaches(back: 0))
    for place: FeedPlace in [1, 17, .max] { #expect(!feed.reaches(back: place)) }
    #expect(places(feed, after: 0) == [])
  }

  @Test func `what comes after a place is told in order`() {
    var feed = CompletionFeed(countMax: 10)
    for place: FeedPlace in [101, 104, 105] { feed.append(JobNumber(place * 2), at: place) }
    #expect(feed.last == 105)
    #expect(places(feed, after: 0) == [101, 104, 105])
    #expect(places(feed, after: 101) == [104, 105])
    #expect(places(feed, after: 102) == [104, 105], "that place is of another pool")
    #expect(places(feed, after: 105) == [])
    #expect(feed[1] == CompletionFeed.Entry(place: 104, number: 208))
    for place: FeedPlace in [0, 101, 102, 104, 105] { #expect(feed.reaches(back: place)) }
    for place: FeedPlace in [1, 100, 106, .max] { #expect(!feed.reaches(back: place)) }
  }

  @Test func `a feed that has turned does not reach back to the beginning`() {
    var feed = CompletionFeed(countMax: 3)
    for place: FeedPlace in 1...3 { feed.append(place, at: place) }
    #expect(feed.reaches(back: 0) && feed.lastGone == 0)
    feed.append(4, at: 4)
    #expect(!feed.reaches(back: 0) && feed.lastGone == 1)
    #expect(feed.reaches(back: 1), "who has had the one that went has missed nothing")
    #expect(places(feed, after: 1) == [2, 3, 4])
    feed.append(5, at: 5)
    #expect(!feed.reaches(back: 1) && feed.reaches(back: 2))
  }

  /// Against a plain list, for rings of every small size.
  @Test(arguments: 1...9) func `a ring is what a list would be`(countMax: Int) {
    var random = SeededGenerator(seed: UInt64(countMax))
    var feed = CompletionFeed(countMax: countMax)
    var list: [(place: FeedPlace, number: JobNumber)] = []
    var place: FeedPlace = 50
    for number in 1...60 as ClosedRange<JobNumber> {
      place += FeedPlace.random(in: 1...3, using: &random)
      feed.append(number, at: place)
      list.append((place, number))
      let kept = list.suffix(countMax)
      #expect(feed.count == kept.count && feed.last == place)
      #expect((0..<feed.count).map { feed[$0].number } == kept.map(\.number))
      for after in list[0].place - 2...place + 2 {
        let missed = list.dropLast(countMax).contains { $0.place > after }
        let isTold = (list[0].place...place).contains(after)
        #expect(feed.reaches(back: after) == (isTold && !missed))
        #expect(places(feed, after: after) == kept.map(\.place).filter { $0 > after })
      }
    }
  }

  // MARK: All pools

  /// A store that holds finished jobs of pools, in this order, each a second after the one before.
  private func store(_ pools: [String]) -> JobStore {
    var store = JobStore()
    store.restore(nextNumber: JobNumber(pools.count + 1), forgotten: [])
    for (index, pool) in pools.enumerated() {
      var job = RestoredJob(
        submitted: JobSubmitted(
          number: JobNumber(index + 1), id: JobID("job-\(index)")!, task: "square", pool: pool,
          args: "[]", options: nil, at: 1_000), state: .succeeded)
      job.endedOrDueAt = Timestamp(index + 1) * 1_000
      store.restore(job)
    }
    return store
  }

  @Test func `no place is given twice, whichever the pool`() throws {
    let names = store(["a", "b"]).names
    let (a, b) = (try #require(names.find("a")), try #require(names.find("b")))
    var feeds = CompletionFeeds()
    feeds.begin(at: 60_000, JobStore(), configured: ["a", "b"])
    #expect(feeds.last == 60_000_000 && feeds.feed(of: "a", in: names).last == 0)
    feeds.append(1, of: a, in: names)
    feeds.append(2, of: b, in: names)
    feeds.append(3, of: a, in: names)
    #expect(places(feeds.feed(of: "a", in: names), after: 0) == [60_000_001, 60_000_003])
    #expect(places(feeds.feed(of: "b", in: names), after: 0) == [60_000_002])
    #expect(feeds.feed(of: "c", in: names).count == 0)
  }

  @Test func `another pool of the same name, or in the same place, begins anew`() throws {
    let names = store(["a", "b"]).names
    let a = try #require(names.find("a"))
    var feeds = CompletionFeeds()
    feeds.append(1, of: a, in: names)
    feeds.forget("a")
    var feed = feeds.feed(of: "a", in: names)
    #expect(feed.count == 0 && feed.reaches(back: 0) && !feed.reaches(back: 1))
    feeds.append(2, of: a, in: names)
    feed = feeds.feed(of: "a", in: names)
    #expect(places(feed, after: 0) == [2] && !feed.reaches(back: 1))

    let others = store(["x", "b"]).names
    #expect(others.find("x") == a && feeds.feed(of: "x", in: others).count == 0)
    feeds.append(3, of: a, in: others)
    #expect(places(feeds.feed(of: "x", in: others), after: 0) == [3])
  }

  @Test func `a start takes over what it has found, pool by pool, in its order`() throws {
    let store = store(["a", "b", "a", "b", "b"])
    var feeds = CompletionFeeds(countMax: 2)
    feeds.begin(at: 60_000, store, configured: ["a", "b"])
    #expect(!feeds.hasNews)
    let a = feeds.feed(of: "a", in: store.names)
    #expect((0..<a.count).map { a[$0].number } == [1, 3])
    #expect(a.reaches(back: 0), "all that is kept is here")
    let b = feeds.feed(of: "b", in: store.names)
    #expect((0..<b.count).map { b[$0].number } == [4, 5])
    #expect(!b.reaches(back: 0) && b.lastGone == 60_000_002)
    #expect(feeds.last == 60_000_005)
    feeds.append(9, of: try #require(store.names.find("a")), in: store.names)
    #expect(feeds.feed(of: "a", in: store.names).last == 60_000_006 && feeds.hasNews)
    let hasNews = feeds.takeNews()
    #expect(hasNews && !feeds.hasNews)
  }

  @Test func `a start leaves out what ended in an earlier pool of the name, or in none`() throws {
    var store = store(["a", "mine", "mine", "gone", "mine"])
    let mine = PoolSpecification(name: "mine", template: "a", processes: 1)
    store.restore(CreatedPool(mine, at: 1, firstNumber: 3))
    var feeds = CompletionFeeds()
    feeds.begin(at: 60_000, store, configured: ["a"])
    let feed = feeds.feed(of: "mine", in: store.names)
    #expect((0..<feed.count).map { feed[$0].number } == [3, 5])
    #expect(feeds.feed(of: "a", in: store.names).count == 1)
    #expect(feeds.feed(of: "gone", in: store.names).count == 0)
  }

  @Test func `a later life gives other places, also when the clock was set back`() throws {
    let store = store(["a", "a", "a"])
    let a = try #require(store.names.find("a"))
    var life = CompletionFeeds()
    life.begin(at: 500, JobStore(), configured: ["a", "b"])
    for number in 1...3 as ClosedRange<JobNumber> { life.append(number, of: a, in: store.names) }
    let before = life.feed(of: "a", in: store.names)
    for now: Timestamp in [4_000, 400, 0, -5] {
      var next = CompletionFeeds()
      next.begin(at: now, store, configured: ["a", "b"])
      let after = next.feed(of: "a", in: store.names)
      #expect(after.count == 3)
      for index in 0..<3 {
        #expect(!after.reaches(back: before[index].place), "a place of an earlier life")
        #expect(after[index].place > before.last)
      }
    }
  }

  @Test func `places stay exact in every JSON reader, whatever the clock says`() {
    for now: Timestamp in [.max, 9_000_000_000_001, .min] {
      var feeds = CompletionFeeds()
      feeds.begin(at: now, JobStore(), configured: ["a", "b"])
      #expect(feeds.last < 1 << 53)
    }
  }
}
