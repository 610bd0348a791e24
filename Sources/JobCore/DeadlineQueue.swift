/// Jobs by the moment at which something is due for them: the end of an attempt's time limit, or
/// the start of the next attempt. A job has at most one of the two.
///
/// A binary heap with the position of each job, so that the usual case (an attempt that ends before
/// its limit) takes the entry out at once and nothing piles up.
struct DeadlineQueue: Sendable {
  private struct Entry {
    let due: Instant
    let number: JobNumber

    /// Earlier first; jobs that are due together in the order of submission.
    static func < (lhs: Entry, rhs: Entry) -> Bool {
      lhs.due == rhs.due ? lhs.number < rhs.number : lhs.due < rhs.due
    }
  }

  private var heap: [Entry] = []
  private var positions = Positions()

  /// Where each job stands, in many small dictionaries: one of a million keeps its caller for
  /// 100 ms when it grows, and these grow one after the other.
  private struct Positions: Sendable {
    private var parts = [[JobNumber: Int]](repeating: [:], count: 512)

    subscript(number: JobNumber) -> Int? {
      get { parts[Positions.part(number)][number] }
      set { parts[Positions.part(number)][number] = newValue }
    }

    private static func part(_ number: JobNumber) -> Int {
      Int(UInt(bitPattern: number.hashValue) >> (UInt.bitWidth - 9))
    }
  }

  /// A queue that has come to this many entries gives its memory back when it is empty again.
  private static let largeCount = 4_096

  /// How many jobs wait.
  var count: Int { heap.count }

  /// The earliest moment, if any job waits.
  var next: Instant? { heap.first?.due }

  /// Whether something is due for `number` at some time.
  func contains(_ number: JobNumber) -> Bool {
    positions[number] != nil
  }

  /// Adds a job that has no entry.
  mutating func insert(_ number: JobNumber, due: Instant) {
    precondition(positions[number] == nil, "job \(number) waits already")
    heap.append(Entry(due: due, number: number))
    positions[number] = heap.count - 1
    rise(from: heap.count - 1)
  }

  /// Takes a job out, wherever it stands; nothing happens if it has no entry.
  mutating func remove(_ number: JobNumber) {
    guard !heap.isEmpty, let position = positions[number] else { return }
    positions[number] = nil
    let last = heap.removeLast()
    if heap.isEmpty, heap.capacity > DeadlineQueue.largeCount { self = DeadlineQueue() }
    guard position < heap.count else { return }
    place(last, at: position)
    rise(from: position)
    sink(from: positions[last.number]!)
  }

  /// Takes the first job out if it is due at `instant`.
  mutating func popDue(at instant: Instant) -> JobNumber? {
    guard let first = heap.first, first.due <= instant else { return nil }
    remove(first.number)
    return first.number
  }

  private mutating func place(_ entry: Entry, at position: Int) {
    heap[position] = entry
    positions[entry.number] = position
  }

  private mutating func rise(from start: Int) {
    var position = start
    let entry = heap[position]
    while position > 0, entry < heap[(position - 1) / 2] {
      place(heap[(position - 1) / 2], at: position)
      position = (position - 1) / 2
    }
    place(entry, at: position)
  }

  private mutating func sink(from start: Int) {
    var position = start
    let entry = heap[position]
    while true {
      var child = 2 * position + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      guard heap[child] < entry else { break }
      place(heap[child], at: position)
      position = child
    }
    place(entry, at: position)
  }
}
