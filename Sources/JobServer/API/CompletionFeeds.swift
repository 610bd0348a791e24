import JobCore

/// The completions of every pool, from the start of the service on.
///
/// Places are counted from the moment of the start, a thousand for each millisecond since 1970, so
/// that no place of an earlier life comes again with another meaning: no life has more than a
/// million completions a second. They stay below 2^53, which every JSON reader holds exactly.
struct CompletionFeeds {
  /// The last moment that places can be counted from, in milliseconds: in the year 2255.
  private static let momentMax: Timestamp = 9_000_000_000_000

  /// The feed of one pool.
  private struct Row {
    var pool = ""
    var feed: CompletionFeed
  }

  private let countMax: Int
  /// By the position of the pool's name in the store's table. Should a table give a position to
  /// another name, the row begins anew.
  private var rows: ContiguousArray<Row> = []
  /// The place that was given last.
  private(set) var last: FeedPlace = 0
  /// Whether anything was added since it was last asked.
  private(set) var hasNews = false

  /// No feeds yet; each keeps so many entries.
  init(countMax: Int = CompletionFeed.countMax) {
    self.countMax = countMax
  }

  /// Takes over what a start has found in the store, in the order in which it ended; before any
  /// `append`. What is kept can so be read from the beginning after a restart, too.
  ///
  /// - Parameters:
  ///   - now: the wall clock. Should it have been set back since then, places are counted from
  ///     behind the latest moment at which something that is kept has ended.
  ///   - configured: the pools that clients did not create. What ended in others, and in those that
  ///     had the name of a pool before it was created, is told to nobody.
  mutating func begin(at now: Timestamp, _ store: JobStore, configured: [String]) {
    var firsts: [Int: JobNumber] = [:]
    for pool in store.createdPools {
      if let name = store.names.find(pool.name) { firsts[Int(name.index)] = pool.firstNumber }
    }
    for pool in configured {
      if let name = store.names.find(pool) { firsts[Int(name.index)] = 1 }
    }
    var latest = now
    store.forEachFinished { number, pool, finishedAt in
      latest = max(latest, finishedAt + 1)
      guard let first = firsts[Int(pool.index)], number >= first else { return }
      append(number, of: pool, in: store.names)
    }
    let base = FeedPlace(min(max(latest, 0), CompletionFeeds.momentMax)) * 1_000
    for index in rows.indices { rows[index].feed.shift(by: base) }
    last += base
    hasNews = false
  }

  /// Adds a job, or a map, that has become final, and durably so.
  mutating func append(_ number: JobNumber, of pool: Name, in names: borrowing NameTable) {
    let index = Int(pool.index)
    while index >= rows.count { rows.append(Row(feed: CompletionFeed(countMax: countMax))) }
    let text = names[pool]
    if rows[index].pool != text {
      rows[index] = Row(pool: text, feed: CompletionFeed(countMax: countMax))
    }
    last += 1
    rows[index].feed.append(number, at: last)
    hasNews = true
  }

  /// The feed of a pool; an empty one while nothing has ended in it.
  func feed(of pool: String, in names: borrowing NameTable) -> CompletionFeed {
    guard let index = names.find(pool).map({ Int($0.index) }), index < rows.count,
      rows[index].pool == pool
    else { return CompletionFeed() }
    return rows[index].feed
  }

  /// Drops what is kept of a pool that is no more: another one of its name begins anew.
  mutating func forget(_ pool: String) {
    for index in rows.indices where rows[index].pool == pool {
      rows[index] = Row(feed: CompletionFeed(countMax: countMax))
    }
  }

  /// Whether anything was added since the last time.
  mutating func takeNews() -> Bool {
    defer { hasNews = false }
    return hasNews
  }
}
