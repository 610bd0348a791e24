/// An interned name of a task or pool: two bytes instead of a string in every job.
public struct Name: Hashable, Sendable {
  /// Its position in the table that made it.
  public let index: UInt16

  /// Makes a name from a position in a table.
  public init(index: UInt16) {
    self.index = index
  }
}

/// The names of tasks and pools, each kept once. Most are those that the service knows, so the
/// table stays small; pools that clients create bring new ones, and give them back when they are
/// gone.
public struct NameTable: Equatable, Sendable {
  private var names: [String] = []
  private var positions: [String: UInt16] = [:]
  /// Whether a task has the name, by its position.
  private var isOfTask: [Bool] = []
  private var free: [UInt16] = []

  /// So many names are taken by jobs of names that are there already only: what brings a new one
  /// is refused before the table is full.
  static let newNamesMax = 60_000

  /// An empty table.
  public init() {}

  /// How many names are held.
  var count: Int { names.count - free.count }

  /// Whether no further name should come in.
  var isNearlyFull: Bool { count >= NameTable.newNamesMax }

  /// The name of `text`, made if it is new. Requires fewer than 65,536 names.
  public mutating func intern(_ text: String, isTask: Bool = false) -> Name {
    if let index = positions[text] {
      if isTask, !isOfTask[Int(index)] { isOfTask[Int(index)] = true }
      return Name(index: index)
    }
    if let index = free.popLast() {
      names[Int(index)] = text
      isOfTask[Int(index)] = isTask
      positions[text] = index
      return Name(index: index)
    }
    precondition(names.count < Int(UInt16.max), "more than 65,535 names of tasks and pools")
    let index = UInt16(names.count)
    names.append(text)
    isOfTask.append(isTask)
    positions[text] = index
    return Name(index: index)
  }

  /// The name of `text`, if it was interned.
  public func find(_ text: String) -> Name? {
    positions[text].map(Name.init(index:))
  }

  /// Whether a task has, or had, the name.
  func isOfTask(_ name: Name) -> Bool { isOfTask[Int(name.index)] }

  /// Gives up a name that nothing has any more; another text may get it.
  mutating func release(_ name: Name) {
    positions[self[name]] = nil
    names[Int(name.index)] = ""
    free.append(name.index)
  }

  /// The text of a name of this table.
  public subscript(_ name: Name) -> String {
    names[Int(name.index)]
  }
}
