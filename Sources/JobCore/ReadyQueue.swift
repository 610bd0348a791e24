/// The queued jobs of one pool, oldest first.
///
/// A job that leaves the queue other than by its front (a cancelled one) stays behind as a stale
/// entry until it comes to the front; whoever pops asks the store whether the entry still holds.
struct ReadyQueue: Equatable, Sendable {
  private var numbers = NumberQueue()
  /// Entries that no longer hold.
  private(set) var staleCount = 0

  /// Entries that hold.
  var count: Int { numbers.count - staleCount }

  /// Every entry, stale or not, from the front.
  var entries: some Sequence<JobNumber> { numbers.entries }

  /// The first entry, stale or not.
  var first: JobNumber? { numbers.first }

  /// Adds a job behind all others.
  mutating func append(_ number: JobNumber) {
    numbers.append(number)
  }

  /// Puts a job that was given back where its age belongs: before the first younger one. It is
  /// older than nearly all others, so the place is near the front. Stale entries do not count: when
  /// they are dropped must not show in the order.
  mutating func putBack(_ number: JobNumber, isStale: (JobNumber) -> Bool) {
    numbers.insert(number) { $0 > number && !isStale($0) }
  }

  /// Takes the first entry.
  mutating func removeFirst() {
    numbers.removeFirst()
  }

  /// Takes out an entry that holds, wherever it stands.
  mutating func remove(_ number: JobNumber) {
    numbers.remove(number)
  }

  /// Takes the first entry, which turned out to be stale.
  mutating func removeStaleFirst() {
    numbers.removeFirst()
    staleCount -= 1
  }

  /// Counts an entry as stale. While more than half are, each further one takes some out.
  mutating func entryBecameStale(isStale: (JobNumber) -> Bool) {
    staleCount += 1
    sweep(isStale: isStale)
  }

  /// Counts so many entries as stale; `sweep` is to follow.
  mutating func entriesBecameStale(_ count: Int) {
    staleCount += count
  }

  /// Takes some stale entries out, if more than half of all are.
  mutating func sweep(isStale: (JobNumber) -> Bool) {
    guard staleCount > 64, staleCount > numbers.count / 2 else { return }
    staleCount -= numbers.sweepPiece(isStale: isStale)
  }
}
