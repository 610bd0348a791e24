import DequeModule
import JobCore

/// What a job's call has said while it runs, progress and items, as far as it is kept: the latest,
/// for those who read its events or come back to them.
struct CallNews {
  /// One piece of news.
  struct Entry {
    /// Its place among all that the run said, from 1.
    let serial: UInt64
    /// What kind of event it is.
    let name: StaticString
    /// JSON text.
    let text: String
  }

  /// The most bytes that are kept of one job, its latest piece aside.
  static let bytesMax = 64 << 10
  /// What an entry takes beside its text.
  private static let entryBytes = 64

  /// When the run began that said it.
  let run: Timestamp
  private(set) var last: UInt64 = 0
  private(set) var entries: Deque<Entry> = []
  private var bytes = 0

  /// Of a run that has said nothing yet.
  init(run: Timestamp) {
    self.run = run
  }

  /// Notes what it said next; the oldest goes if it is too much.
  mutating func append(_ name: StaticString, _ text: String) {
    last += 1
    entries.append(Entry(serial: last, name: name, text: text))
    bytes += text.utf8.count + Self.entryBytes
    while bytes > Self.bytesMax, entries.count > 1, let oldest = entries.popFirst() {
      bytes -= oldest.text.utf8.count + Self.entryBytes
    }
  }

  /// Those after a serial number, and how many before them are not kept any more.
  func entries(after serial: UInt64) -> (missed: UInt64, entries: Deque<Entry>.SubSequence) {
    let first = entries.first?.serial ?? last + 1
    let missed = first > serial + 1 ? first - serial - 1 : 0
    let skipped = serial + 1 > first ? Int(clamping: serial + 1 - first) : 0
    return (missed, entries.dropFirst(skipped))
  }
}
