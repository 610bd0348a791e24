/// An interned name of a task or pool: two bytes instead of a string in every job.
public struct Name: Hashable, Sendable {
  /// Its position in the table that made it.
  public let index: UInt16

  /// Makes a name from a position in a table.
  public init(index: UInt16) {
    self.index = index
  }
}

/// The names of tasks and pools, each kept once. Only names that the service knows come in, so the
/// table stays small.
public struct NameTable: Equatable, Sendable {
  private var names: [String] = []
  private var positions: [String: UInt16] = [:]

  /// An empty table.
  public init() {}

  /// The name of `text`, made if it is new. Requires fewer than 65,536 names.
  public mutating func intern(_ text: String) -> Name {
    if let index = positions[text] { return Name(index: index) }
    precondition(names.count < Int(UInt16.max), "more than 65,535 names of tasks and pools")
    let index = UInt16(names.count)
    names.append(text)
    positions[text] = index
    return Name(index: index)
  }

  /// The name of `text`, if it was interned.
  public func find(_ text: String) -> Name? {
    positions[text].map(Name.init(index:))
  }

  /// The text of a name of this table.
  public subscript(_ name: Name) -> String {
    names[Int(name.index)]
  }
}
