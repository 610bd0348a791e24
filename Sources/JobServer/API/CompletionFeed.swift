import JobCore

/// A place in the feed of completions, from 1; of all pools together, so that none is given twice.
/// 0 is the beginning.
typealias FeedPlace = UInt64

/// The completions of one pool in their order, the newest of them: a ring of numbers.
///
/// A pure value. An entry has 16 bytes; with `countMax` of them the oldest makes room for the next,
/// and nothing is allocated any more.
struct CompletionFeed {
  /// A job, or a map, that became final.
  struct Entry: Equatable {
    var place: FeedPlace
    let number: JobNumber
  }

  /// Entries of one pool at most: 1 MiB, and more than a second and a half of 40,000 jobs/s.
  static let countMax = 65_536

  private let countMax: Int
  private var ring: ContiguousArray<Entry> = []
  /// Where the oldest entry stands; 0 until the ring is full.
  private var start = 0
  /// The newest place whose entry had to make room; 0: none had to.
  private(set) var lastGone: FeedPlace = 0

  /// An empty feed that keeps so many entries.
  init(countMax: Int = CompletionFeed.countMax) {
    precondition(countMax > 0, "a feed keeps something")
    self.countMax = countMax
  }

  /// How many entries there are.
  var count: Int { ring.count }

  /// The entry with this index, from the oldest.
  subscript(index: Int) -> Entry {
    let place = start + index
    return ring[place < ring.count ? place : place - ring.count]
  }

  /// The newest place; 0: nothing is kept.
  var last: FeedPlace { ring.isEmpty ? 0 : self[ring.count - 1].place }

  /// Adds a completion. Its place is behind all others.
  mutating func append(_ number: JobNumber, at place: FeedPlace) {
    let entry = Entry(place: place, number: number)
    guard ring.count == countMax else { return ring.append(entry) }
    lastGone = ring[start].place
    ring[start] = entry
    start = start + 1 == countMax ? 0 : start + 1
  }

  /// Whether every completion after `place` is here. It is not for a place that was never told:
  /// then nobody knows what came after it.
  func reaches(back place: FeedPlace) -> Bool {
    if place == 0 { return lastGone == 0 }
    guard !ring.isEmpty, place <= last else { return false }
    return place >= (lastGone > 0 ? lastGone : self[0].place)
  }

  /// The index of the first entry after `place`; `count` if there is none.
  func index(after place: FeedPlace) -> Int {
    var (low, high) = (0, ring.count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle].place <= place { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Moves all places behind `base`.
  mutating func shift(by base: FeedPlace) {
    for index in ring.indices { ring[index].place += base }
    if lastGone > 0 { lastGone += base }
  }
}
