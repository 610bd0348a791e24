/// The calls that are watched, by their number, and when the next of them is to be read.
///
/// There are as many as there are busy workers with limits, hundreds at most: an array that is
/// gone through.
public struct UsageWatches {
  /// A call that has passed a limit.
  public struct Passed: Equatable, Sendable {
    /// Which call.
    public var call: UInt64
    /// The process that it runs in.
    public var process: Int32
    /// What it has passed.
    public var limit: PassedLimit

    /// Creates a passed limit of a call.
    public init(call: UInt64, process: Int32, limit: PassedLimit) {
      self.call = call
      self.process = process
      self.limit = limit
    }
  }

  private struct Entry {
    var call: UInt64
    var process: Int32
    var limits: UsageLimits
    /// Nil while the baseline could not be read yet.
    var watch: UsageWatch?
    /// At the last reading.
    var processCount = 1
    var deadline: UInt64
  }

  /// Until a process that could not be read is tried again, in nanoseconds. Its exit is about to be
  /// heard of; or this process is out of descriptors, which passes.
  static let retryInterval: UInt64 = 100_000_000
  /// The shortest time between two readings of a call is this times the number of all watched
  /// processes, in nanoseconds, if that is more than the watch itself asks for. A process takes
  /// about 15 µs to read, so all readings together take a twentieth of this thread at most, be it
  /// for one call with a thousand processes or for hundreds of calls.
  static let intervalPerProcess: UInt64 = 300_000

  /// When `deadlineReached` is due; nil when nothing is watched.
  public private(set) var nextDeadline: UInt64?
  private var entries: [Entry] = []
  private var processCount = 0
  private let cpuCount: Int
  private let reading: (Int32) -> ResourceReading?

  /// An empty table. `cpuCount` says how many CPUs a call can keep busy, `reading` reads what a
  /// process uses; nil if it cannot.
  public init(
    cpuCount: Int = CPUCount.usable,
    reading: @escaping (Int32) -> ResourceReading? = { ProcessTree.usage(of: $0) }
  ) {
    self.cpuCount = cpuCount
    self.reading = reading
  }

  /// How many calls are watched.
  public var count: Int { entries.count }

  /// Watches a call that begins now; if it is watched already, it begins anew. Nothing happens if
  /// there is no limit.
  ///
  /// With `isFresh`, all that `process` uses is the call's: a program that was started for it.
  /// Otherwise what it has used so far is read and left out: a worker that has had calls before.
  /// A worker takes its calls one by one, so a call that waits behind another on its channel has
  /// not begun.
  public mutating func begin(
    call: UInt64, process: Int32, limits: UsageLimits, isFresh: Bool, at now: UInt64
  ) {
    end(call: call)
    guard !limits.isEmpty else { return }
    var entry = Entry(
      call: call, process: process, limits: limits, watch: nil, deadline: now)
    let baseline = isFresh ? .zero : reading(process)
    start(&entry, baseline: baseline, at: now)
    entries.append(entry)
    processCount += entry.processCount
    nextDeadline = min(nextDeadline ?? .max, entry.deadline)
  }

  /// The call has ended, or is being ended. Nothing happens if it is not watched.
  public mutating func end(call: UInt64) {
    guard let place = entries.firstIndex(where: { $0.call == call }) else { return }
    let deadline = entries[place].deadline
    remove(at: place)
    if deadline == nextDeadline { nextDeadline = entries.lazy.map(\.deadline).min() }
  }

  /// Reads the calls that are due. Those that have passed a limit are told of, in no order, and are
  /// no longer watched: they are to be ended now.
  public mutating func deadlineReached(at now: UInt64) -> [Passed] {
    guard let due = nextDeadline, due <= now else { return [] }
    var passed: [Passed] = []
    var place = 0
    while place < entries.count {
      if entries[place].deadline <= now, let limit = readEntry(at: place, now) {
        let entry = entries[place]
        passed.append(Passed(call: entry.call, process: entry.process, limit: limit))
        remove(at: place)
      } else {
        place += 1
      }
    }
    nextDeadline = entries.lazy.map(\.deadline).min()
    return passed
  }

  private mutating func remove(at place: Int) {
    processCount -= entries[place].processCount
    entries.swapAt(place, entries.count - 1)
    entries.removeLast()
  }

  private func start(_ entry: inout Entry, baseline: ResourceReading?, at now: UInt64) {
    guard let baseline else {
      entry.deadline = now &+ Self.retryInterval
      return
    }
    let watch = UsageWatch(entry.limits, baseline: baseline, cpuCount: cpuCount, at: now)
    entry.watch = watch
    entry.deadline = watch.nextReadingAt
  }

  /// Reads one call; what it returns is a limit that it has passed.
  private mutating func readEntry(at place: Int, _ now: UInt64) -> PassedLimit? {
    var entry = entries[place]
    defer { entries[place] = entry }
    let reading = reading(entry.process)
    if let reading {
      processCount += reading.processCount - entry.processCount
      entry.processCount = reading.processCount
    }
    guard let reading, let verdict = entry.watch?.read(reading, at: now) else {
      if entry.watch == nil {
        start(&entry, baseline: reading, at: now)
      } else {
        entry.deadline = now &+ Self.retryInterval
      }
      return nil
    }
    switch verdict {
    case .within(let next):
      entry.deadline = max(next, now &+ UInt64(processCount) * Self.intervalPerProcess)
      return nil
    case .cpuPassed(let used):
      return PassedLimit(.cpuTime, used: used, max: entry.limits.cpuMicroseconds ?? 0)
    case .memoryPassed(let used):
      return PassedLimit(.memory, used: used, max: entry.limits.memoryBytes ?? 0)
    }
  }
}
