import HTTPServer
import JSON
import JobCore

@testable import HTTPServer
@testable import JobServer

/// A client that follows the feed of a pool through all lives of the service.
final class SimulatedFeedReader {
  let pool: String
  let chance: Chance
  /// The life in which it has read since the beginning.
  weak var life: Simulation.Life?
  /// Where it goes on.
  var after: FeedPlace = 0
  /// What it has heard of in this life, in that order.
  var heard: [JobNumber] = []
  /// Whether the place where it goes on is of an earlier life.
  var isAstray = false
  /// Whether a request of it is under way.
  var isAsking = false

  private init(_ pool: String, _ chance: Chance) {
    self.pool = pool
    self.chance = chance
  }

  /// Two of each pool. Their chances are their own: what happens to the jobs is the same without.
  static func some(of plan: Plan, seed: UInt64) -> [SimulatedFeedReader] {
    let pools = plan.settings.pools + plan.settings.pools
    return pools.enumerated().map { index, pool in
      SimulatedFeedReader(pool.name, Chance(seed: seed &* 8 &+ UInt64(index)))
    }
  }
}

/// Which job, or map, each place was told of, through all lives.
struct FeedPlaces {
  private var numbers: [FeedPlace: JobNumber] = [:]
  private var latest: FeedPlace = 0
  /// Whether places may come again: the clock has not gone on since an earlier life began, and
  /// perhaps nothing is kept from then.
  private(set) var mayRepeat = false

  /// A life begins whose places are behind this one, or later.
  mutating func begin(behind base: FeedPlace) {
    mayRepeat = base < latest
    if mayRepeat { numbers = [:] }
  }

  /// A reader was told to go on from here.
  mutating func reached(_ place: FeedPlace) { latest = max(latest, place) }

  /// Whether a place means what it meant before.
  mutating func isSame(_ place: FeedPlace, _ number: JobNumber) -> Bool {
    latest = max(latest, place)
    return numbers.updateValue(number, forKey: place).map { $0 == number } ?? true
  }
}

/// What the readers of feeds hear must be what has ended, each once, in that order, and durably so.
extension Simulation {
  /// Lets the readers ask, when a turn is over.
  func readFeeds(_ life: Life) {
    for reader in feedReaders where life.server.turn.isEmpty && !world.isDead {
      if reader.life !== life { begin(reader, life) }
      guard !reader.isAsking, reader.chance.percent(30) else { continue }
      let wait = reader.chance.percent(40) ? "&wait=\(reader.chance.pick([1, 30]))" : ""
      ask(reader, life, wait)
    }
  }

  /// Another life: where the reader was is known to nobody any more.
  private func begin(_ reader: SimulatedFeedReader, _ life: Life) {
    reader.life = life
    (reader.heard, reader.isAstray, reader.isAsking) = ([], reader.after != 0, false)
    guard reader === feedReaders[0] else { return }
    feedPlaces.begin(behind: FeedPlace(max(life.server.beganAt.timestamp, 0)) * 1_000)
  }

  private func ask(_ reader: SimulatedFeedReader, _ life: Life, _ wait: String) {
    let limit = reader.chance.pick([1, 3, 1_000])
    var request = HTTPRequest(
      method: .get, path: "/v1/pools/\(reader.pool)/completions",
      query: HTTPQuery("after=\(reader.after)&limit=\(limit)\(wait)"))
    guard
      case .route(let index, let parameters) = life.router.match(.get, path: request.path)
    else { return fail("there is no route for a feed") }
    request.spans = parameters.spans
    request.parameterNames = parameters.names
    reader.isAsking = true
    let answer = life.router.routes[index].action(&request) {
      PendingResponse { [weak self, weak life] response in
        guard let self, let life, !world.isDead, reader.life === life else { return }
        guard let response else { return fail("a reader of a feed was never answered") }
        hear(response, reader, life.server, limit)
      }
    }
    if case .now(let response) = answer { hear(response, reader, life.server, limit) }
  }

  private func hear(
    _ response: HTTPResponse, _ reader: SimulatedFeedReader, _ server: Server, _ limit: Int
  ) {
    reader.isAsking = false
    switch response.status {
    case 200 where reader.isAstray && !feedPlaces.mayRepeat:
      return fail("place \(reader.after) is of an earlier life, and is served")
    case 410 where reader.isAstray:
      (reader.after, reader.isAstray) = (0, false)
      return note("feed: gone")
    case 200 where reader.isAstray:
      (reader.after, reader.isAstray) = (0, false)
      return
    case 200: break
    // What it would tell is not durable, and the journal takes nothing.
    case 503: return note("feed: \(Handle.problemCode(response.bytes) ?? "")")
    default: return fail("a feed answers \(response.status)")
    }
    guard let page = FeedAnswer.read(response.bytes) else { return fail("a feed answers nonsense") }
    note(page.entries.isEmpty ? "feed: nothing" : "feed: completions")
    let feed = server.completions.feed(of: reader.pool, in: server.engine.store.names)
    var last = reader.after
    for (place, handle) in page.entries {
      if place <= last { fail("place \(place) comes after \(last)") }
      last = place
      let entry = feed[feed.index(after: place - 1)]
      if entry.place != place { fail("place \(place) is none of \(reader.pool)") }
      if !handle.isFinal { fail("\(handle.id) is told as a completion, and is \(handle.state)") }
      if !hasEndedDurably(entry.number, server) { fail("\(handle.id) is told too early") }
      if !feedPlaces.isSame(place, entry.number) { fail("place \(place) has another meaning") }
      reader.heard.append(entry.number)
    }
    check(passedOver: reader.after, page, feed, server)
    if page.next < last { fail("next is \(page.next), before \(last)") }
    reader.after = page.next
    feedPlaces.reached(page.next)
    if page.entries.count < limit, page.next == feed.last { compare(reader, server) }
  }

  /// Whether the record by which a job ended may be spoken of; true for a map, of which several
  /// records decide.
  private func hasEndedDurably(_ number: JobNumber, _ server: Server) -> Bool {
    let index = tape.lastIndex { record in
      if case .jobEnded(number, _, _) = record { true } else { false }
    }
    guard let index else { return true }
    return baseSequence + UInt64(index) + 1 <= server.speakableSequence
  }

  /// What an answer passes over was dropped, and durably so.
  private func check(
    passedOver after: FeedPlace, _ page: FeedAnswer, _ feed: CompletionFeed, _ server: Server
  ) {
    let told = Set(page.entries.map(\.place))
    for index in feed.index(after: after)..<feed.index(after: page.next)
    where !told.contains(feed[index].place) {
      let number = feed[index].number
      let drop = tape.lastIndex { record in
        switch record {
        case .jobForgotten(number), .jobWithdrawn(number), .mapForgotten(number),
          .mapWithdrawn(number):
          true
        default: false
        }
      }
      if let drop, baseSequence + UInt64(drop) + 1 > server.speakableSequence {
        fail("\(number) is passed over before it is durable that it was dropped")
      }
    }
  }

  /// Who has had all that there is has heard of everything that has ended durably and is kept.
  private func compare(_ reader: SimulatedFeedReader, _ server: Server) {
    guard server.turn.isEmpty, !server.completions.hasNews else { return }
    var kept: [JobNumber] = []
    let store = server.engine.store
    store.forEachFinished { number, pool, _ in
      if store.names[pool] == reader.pool, server.isDurable(number) { kept.append(number) }
    }
    let held = Set(kept)
    let heard = reader.heard.filter(held.contains)
    if heard != kept { fail("\(reader.pool) has ended \(kept), and a reader heard \(heard)") }
    note("feed: all")
  }
}

/// What a client reads of an answer of a feed.
struct FeedAnswer {
  var entries: [(place: FeedPlace, handle: Handle)] = []
  var next: FeedPlace = 0

  static func read(_ body: [UInt8]) -> FeedAnswer? {
    try? JSONReader.read(body) { (json) throws(JSONError) in
      var answer = FeedAnswer()
      try json.beginObject()
      while let name = try json.nextMember() {
        guard name == "completions" else {
          answer.next = FeedPlace(try json.readInt())
          continue
        }
        try json.beginArray()
        while try json.nextElement() {
          var entry = (place: FeedPlace(0), handle: Handle())
          try json.beginObject()
          while let member = try json.nextMember() {
            if member == "seq" {
              entry.place = FeedPlace(try json.readInt())
            } else {
              entry.handle = try Handle.read(&json)
            }
          }
          answer.entries.append(entry)
        }
      }
      return answer
    }
  }
}
