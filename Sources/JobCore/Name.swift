/// An interned name of a task or pool: two bytes instead of a string in every job.
public struct Name: Hashable, Sendable {
  /// Its position in the table that made it.
  public let index: UInt16

  /// Makes a name from a position in a table.
  public init(index: UInt16) {
    self.index = index
  }
}

/// The names of tasks and pools, each kept once. Most are those that the service knows. Pools that
/// clients create bring new ones, and give them back when they are gone; pools that run tasks which
/// they did not name bring any number, which are kept until the service ends, and so are bounded.
public struct NameTable: Equatable, Sendable {
  private var names: [String] = []
  private var positions: [String: UInt16] = [:]
  /// Whether a task has the name, by its position.
  private var isOfTask: [Bool] = []
  private var free: [UInt16] = []
  /// How many names are those of tasks.
  private var taskCount = 0
  /// The positions of the task and of the pool that were named last: most jobs are alike.
  private var lastTask: UInt16 = 0
  private var lastPool: UInt16 = 0

  /// As soon as there are so many, a task that no pool has named brings no further one …
  static let taskNamesMax = 10_000
  /// … and as soon as there are so many, no pool that a client creates does. Few enough that the
  /// journal of two lives of the service, both full of them, can be replayed as one, and that those
  /// that are configured always have a place.
  static let poolNamesMax = 20_000
  /// More than this there never are.
  static let countMax = Int(UInt16.max)

  /// An empty table.
  public init() {}

  /// How many names are held.
  var count: Int { names.count - free.count }

  /// Whether a task that no pool has named can bring a further name.
  var hasPlaceForTask: Bool { taskCount < NameTable.taskNamesMax && hasPlaceForPool }

  /// Whether a pool that a client creates can.
  var hasPlaceForPool: Bool { count < NameTable.poolNamesMax }

  /// Whether the names of a task and a pool are there or have a place.
  @inline(__always)
  func hasPlace(forTask task: String, pool: String) -> Bool {
    names.count + 2 <= NameTable.countMax || free.count >= 2
      || (positions[task] == nil ? 1 : 0) + (positions[pool] == nil ? 1 : 0)
        <= NameTable.countMax - count
  }

  /// The name of `text`, made if it is new. Requires fewer than 65,535 names; see `hasPlace`.
  public mutating func intern(_ text: String, isTask: Bool = false) -> Name {
    if let index = position(of: text, lookingAt: isTask ? lastTask : lastPool) {
      if isTask { lastTask = index } else { lastPool = index }
      if isTask, !isOfTask[Int(index)] {
        isOfTask[Int(index)] = true
        taskCount += 1
      }
      return Name(index: index)
    }
    if isTask { taskCount += 1 }
    if let index = free.popLast() {
      names[Int(index)] = text
      isOfTask[Int(index)] = isTask
      positions[text] = index
      return Name(index: index)
    }
    precondition(names.count < NameTable.countMax, "more than 65,535 names of tasks and pools")
    let index = UInt16(names.count)
    names.append(text)
    isOfTask.append(isTask)
    positions[text] = index
    return Name(index: index)
  }

  /// The position of a text, looked for at `first` before all others are. (A position that was
  /// given up has an empty one.)
  private func position(of text: String, lookingAt first: UInt16) -> UInt16? {
    let isThere = Int(first) < names.count && !text.isEmpty && names[Int(first)] == text
    return isThere ? first : positions[text]
  }

  /// The name of `text`, if it was interned.
  public func find(_ text: String) -> Name? {
    positions[text].map(Name.init(index:))
  }

  /// Whether a task has, or had, the name.
  func isOfTask(_ name: Name) -> Bool { isOfTask[Int(name.index)] }

  /// Calls `body` with every name that no task has, in the order of their numbers.
  func forEachOfPool(_ body: (Name, String) -> Void) {
    for (place, text) in names.enumerated() where !isOfTask[place] {
      let name = Name(index: UInt16(place))
      if find(text) == name { body(name, text) }
    }
  }

  /// Gives up a name that nothing has any more; another text may get it.
  mutating func release(_ name: Name) {
    positions[self[name]] = nil
    if isOfTask[Int(name.index)] {
      isOfTask[Int(name.index)] = false
      taskCount -= 1
    }
    names[Int(name.index)] = ""
    free.append(name.index)
  }

  /// The text of a name of this table.
  public subscript(_ name: Name) -> String {
    names[Int(name.index)]
  }
}
