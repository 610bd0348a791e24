import JobCore

/// What is counted for each task of each pool that the pool has announced; what clients may have
/// called the others is counted together. The lines of a pool that a client created go with it. So
/// there are few; the one that a job belongs to is found by an index.
struct TaskCounts {
  /// What is counted.
  struct Counts {
    var submitted = 0
    var succeeded = 0
    var failed = 0
    var cancelled = 0
    /// Attempts that failed with another to follow.
    var retries = 0
    /// Of `failed`, by code.
    var failures: [JobError.Code: Int] = [:]
  }

  /// The counts of one task in one pool.
  struct Line {
    /// nil: those that the pool has not announced.
    let task: Name?
    let pool: Name
    var counts = Counts()
  }

  /// In the order in which they were first needed.
  private(set) var lines: [Line] = []
  /// By the index of a task's name its line, if it has several the one that was used last; -1: it
  /// has none.
  private var lineOfTask: [Int] = []
  /// What each pool has announced, by its name.
  private var announced: [String: Set<String>] = [:]
  /// As long as there are fewer lines, the tasks of a pool that has announced nothing have their
  /// own: it may be about to, or not be configured any more.
  private static let linesMax = 1_000

  /// Notes which tasks of a pool are counted on their own from now on.
  mutating func announce(_ tasks: [String], of pool: String) {
    announced[pool] = Set(tasks)
    // Who was counted among the others is looked for again.
    lineOfTask.removeAll(keepingCapacity: true)
  }

  /// Where the counts of a task in a pool are; made if it is new.
  @inline(__always)
  mutating func place(_ task: Name, _ pool: Name, in store: borrowing JobStore) -> Int {
    let index = Int(task.index)
    if index < lineOfTask.count, case let place = lineOfTask[index], place >= 0,
      lines[place].pool == pool
    {
      return place
    }
    return search(task, pool, in: store)
  }

  @inline(never)
  private mutating func search(_ task: Name, _ pool: Name, in store: borrowing JobStore) -> Int {
    let index = Int(task.index)
    if index >= lineOfTask.count {
      lineOfTask += repeatElement(-1, count: index + 1 - lineOfTask.count)
    }
    var found = lines.firstIndex { $0.task == task && $0.pool == pool }
    if found == nil {
      let names = announced[store.names[pool]]
      let isNamed = names?.contains(store.names[task]) ?? (lines.count < TaskCounts.linesMax)
      if !isNamed { found = lines.firstIndex { $0.task == nil && $0.pool == pool } }
      if found == nil { lines.append(Line(task: isNamed ? task : nil, pool: pool)) }
    }
    lineOfTask[index] = found ?? lines.count - 1
    return lineOfTask[index]
  }

  /// Forgets what was counted of a pool.
  ///
  /// - Parameter pool: nil for one that never had a job.
  mutating func drop(pool: Name?, named name: String) {
    announced[name] = nil
    guard let pool else { return }
    lines.removeAll { $0.pool == pool }
    lineOfTask.removeAll(keepingCapacity: true)
  }

  /// The counts at a place.
  subscript(place: Int) -> Counts {
    @inline(__always) get { lines[place].counts }
    @inline(__always) _modify { yield &lines[place].counts }
  }
}
