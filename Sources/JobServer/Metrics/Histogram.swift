/// Counts of durations by upper bound.
struct Histogram {
  /// Upper bounds in nanoseconds, rising.
  let bounds: [UInt64]
  /// How many durations fell into each bucket and into none of those before; the last one is for
  /// what is longer than every bound.
  private(set) var counts: [Int]
  /// In seconds: nanoseconds of many jobs that wait for days would not fit a word.
  private(set) var sum = 0.0

  /// An empty histogram over bounds of `Bounds`.
  init(_ bounds: [UInt64]) {
    self.bounds = bounds
    counts = [Int](repeating: 0, count: bounds.count + 1)
  }

  /// How many durations there were.
  var count: Int { counts.reduce(0, +) }

  /// Adds one duration.
  @inline(__always)
  mutating func observe(nanoseconds: UInt64) {
    var place = 0
    // From below: the durations that come by the ten thousand a second are the short ones.
    while place < bounds.count, bounds[place] < nanoseconds { place += 1 }
    counts[place] += 1
    sum += Double(nanoseconds) * 1e-9
  }

  /// Adds the time between two readings of the wall clock. Negative when that was set back; it
  /// counts as 0, for a sum that falls is a restart to Prometheus.
  mutating func observe(milliseconds: Int64) {
    observe(nanoseconds: UInt64(max(milliseconds, 0)) * 1_000_000)
  }

  /// Upper bounds, in nanoseconds.
  enum Bounds {
    private static let short: [UInt64] = [
      100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000,
      50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000,
      5_000_000_000, 10_000_000_000, 30_000_000_000, 60_000_000_000,
    ]
    /// 0.1 ms to 1 min: requests, which wait no longer; syncs; snapshots.
    static let ofRequests = short
    /// 0.1 ms to 6 h: jobs.
    static let ofJobs = short + [300, 1_800, 7_200, 21_600].map { $0 * 1_000_000_000 }
  }
}
