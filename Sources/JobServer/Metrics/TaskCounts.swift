import JobCore

/// What is counted for each task of each pool. Names of tasks come from pools, never from a client
/// alone, and the lines of a pool that a client created go with it, so there are few; the one that
/// a job belongs to is found by an index.
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
    let task: Name
    let pool: Name
    var counts = Counts()
  }

  /// In the order in which they were first needed.
  private(set) var lines: [Line] = []
  /// By the index of a task's name its line, if it has several the one that was used last; -1: it
  /// has none.
  private var lineOfTask: [Int] = []

  /// Where the counts of a task in a pool are; made if it is new.
  @inline(__always)
  mutating func place(_ task: Name, _ pool: Name) -> Int {
    let index = Int(task.index)
    if index < lineOfTask.count, case let place = lineOfTask[index], place >= 0,
      lines[place].pool == pool
    {
      return place
    }
    return search(task, pool)
  }

  @inline(never)
  private mutating func search(_ task: Name, _ pool: Name) -> Int {
    let index = Int(task.index)
    if index >= lineOfTask.count {
      lineOfTask += repeatElement(-1, count: index + 1 - lineOfTask.count)
    }
    let found = lines.firstIndex { $0.task == task && $0.pool == pool }
    if found == nil { lines.append(Line(task: task, pool: pool)) }
    lineOfTask[index] = found ?? lines.count - 1
    return lineOfTask[index]
  }

  /// Forgets what was counted of a pool.
  mutating func drop(pool: Name) {
    lines.removeAll { $0.pool == pool }
    lineOfTask.removeAll(keepingCapacity: true)
  }

  /// The counts at a place.
  subscript(place: Int) -> Counts {
    @inline(__always) get { lines[place].counts }
    @inline(__always) _modify { yield &lines[place].counts }
  }
}
