import JobStorage

/// The disk of a simulation: what every process sees of it (the page cache), what would be left if
/// the power failed now, and the changes between the two.
///
/// A sync moves changes of a file to the platter, a sync of a folder those of its names. A loss of
/// power keeps, of each file, the changes before some point in their order, the last one perhaps in
/// part and with a tail of zeros in the place of the rest, and sectors that are not on the platter
/// perhaps as zeros; and of the names in a folder, those before some point or any of them, each the
/// old or the new. The name of a folder comes to the platter when it is synced. Files are only
/// appended to and cut, as the storage does nothing else.
final class SimulatedDisk {
  /// A file, whatever its name.
  final class Inode {
    fileprivate(set) var bytes: [UInt8] = []
    fileprivate var platter: [UInt8] = []
    fileprivate var changes: [Change] = []
    /// How many changes were moved to the platter before those that wait.
    fileprivate var changesMoved = 0
    fileprivate(set) var isLocked = false

    /// Names the changes so far.
    var changeCount: Int { changesMoved + changes.count }

    /// Whether the platter holds what every process sees.
    var isSynced: Bool { changes.isEmpty }

    fileprivate func make(_ change: Change) {
      changes.append(change)
      change.apply(to: &bytes)
    }

    /// Moves the first changes, up to the one with this number, to the platter.
    func sync(upTo count: Int) {
      let due = max(count - changesMoved, 0)
      for change in changes.prefix(due) { change.apply(to: &platter) }
      changes.removeFirst(min(due, changes.count))
      changesMoved = max(changesMoved, count)
    }
  }

  fileprivate enum Change {
    case append([UInt8])
    case cut(Int)

    func apply(to bytes: inout [UInt8]) {
      switch self {
      case .append(let more): bytes += more
      case .cut(let length): bytes.removeLast(max(bytes.count - length, 0))
      }
    }
  }

  fileprivate enum NameChange {
    case link(String, Inode)
    case rename(String, to: String, Inode)
    case unlink(String)

    func apply(to names: inout [String: Inode]) {
      switch self {
      case .link(let name, let inode): names[name] = inode
      case .rename(let name, let newName, let inode):
        if names[name] === inode { names[name] = nil }
        names[newName] = inode
      case .unlink(let name): names[name] = nil
      }
    }
  }

  private struct Folder {
    var names: [String: Inode] = [:]
    var platter: [String: Inode] = [:]
    var changes: [NameChange] = []
    /// Whether its own name is on the platter.
    var isNamed = false
  }

  private var folders: [String: Folder] = [:]
  /// Bytes that all files together may have.
  var capacity = Int.max
  private let chance: Chance

  init(_ chance: Chance) {
    self.chance = chance
  }

  // MARK: What is there

  /// Bytes of all files.
  var used: Int {
    folders.values.reduce(0) { sum, folder in
      folder.names.values.reduce(sum) { $0 + $1.bytes.count }
    }
  }

  func hasFolder(_ path: String) -> Bool { folders[path] != nil }

  /// Makes a folder, if it is not there, and syncs its name.
  func makeFolder(_ path: String, isSynced: Bool = true) {
    if folders[path] == nil { folders[path] = Folder() }
    if isSynced { folders[path]?.isNamed = true }
  }

  /// The names in a folder, in their order, so that a seed determines all.
  func list(_ path: String) -> [String]? { folders[path]?.names.keys.sorted() }

  func inode(_ path: String) -> Inode? {
    let (folder, name) = SimulatedDisk.parts(of: path)
    return folders[folder]?.names[name]
  }

  static func parts(of path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return ("", path) }
    return (String(path[..<slash]), String(path[path.index(after: slash)...]))
  }

  // MARK: What is changed

  /// Makes an empty file, or empties the one that has the name.
  func create(_ path: String) -> Inode? {
    let (folder, name) = SimulatedDisk.parts(of: path)
    guard folders[folder] != nil else { return nil }
    if let there = inode(path) {
      there.make(.cut(0))
      return there
    }
    let inode = Inode()
    change(folder, .link(name, inode))
    return inode
  }

  /// Appends what there is room for, and answers how much that was.
  func append(_ bytes: UnsafeRawBufferPointer, to inode: Inode) -> Int {
    let room = capacity == .max ? bytes.count : max(capacity - used, 0)
    let taken = min(room, bytes.count)
    if taken > 0 { inode.make(.append(Array(bytes.prefix(taken)))) }
    return taken
  }

  func cut(_ inode: Inode, to length: Int) {
    precondition(length <= inode.bytes.count, "a cut does not make a file longer")
    inode.make(.cut(length))
  }

  func rename(_ path: String, to newPath: String) -> Bool {
    let (folder, name) = SimulatedDisk.parts(of: path)
    let (newFolder, newName) = SimulatedDisk.parts(of: newPath)
    precondition(folder == newFolder, "nothing is moved to another folder")
    guard let inode = inode(path) else { return false }
    change(folder, .rename(name, to: newName, inode))
    return true
  }

  func remove(_ path: String) {
    let (folder, name) = SimulatedDisk.parts(of: path)
    if inode(path) != nil { change(folder, .unlink(name)) }
  }

  func syncFolder(_ path: String) {
    guard var folder = folders[path] else { return }
    for change in folder.changes { change.apply(to: &folder.platter) }
    folder.changes = []
    folders[path] = folder
  }

  func lock(_ inode: Inode, _ isLocked: Bool) { inode.isLocked = isLocked }

  private func change(_ folder: String, _ change: NameChange) {
    folders[folder]?.changes.append(change)
    if let names = folders[folder]?.names {
      var names = names
      change.apply(to: &names)
      folders[folder]?.names = names
    }
  }

  // MARK: Crashes

  /// A byte of a file is another one from now on. Answers false for a file that is not synced, or
  /// has no byte.
  func damage(_ path: String) -> Bool {
    guard let inode = inode(path), inode.isSynced, !inode.bytes.isEmpty else { return false }
    let place = chance.below(inode.bytes.count)
    inode.bytes[place] ^= UInt8(chance.within(1...255))
    inode.platter = inode.bytes
    return true
  }

  /// The process that held locks is gone.
  func processDied() {
    for folder in folders.values { for inode in folder.names.values { inode.isLocked = false } }
  }

  /// The power fails. Answers, in words for the tally, what became of changes not synced.
  func losePower() -> [String] {
    var words: [String] = []
    for path in folders.keys.sorted() {
      guard var folder = folders[path] else { continue }
      if !folder.isNamed, chance.percent(50) {
        folders[path] = nil
        words.append("folder lost")
        continue
      }
      folder.isNamed = true
      if !folder.changes.isEmpty { words.append(loseNames(&folder)) }
      folder.names = folder.platter
      folder.changes = []
      for name in folder.names.keys.sorted() {
        if let inode = folder.names[name], let word = loseBytes(inode) { words.append(word) }
      }
      folders[path] = folder
    }
    processDied()
    return words
  }

  private func loseNames(_ folder: inout Folder) -> String {
    switch chance.below(4) {
    case 0: return "names lost"
    case 1:
      for change in folder.changes { change.apply(to: &folder.platter) }
      return "names kept"
    case 2:
      for change in folder.changes.prefix(chance.below(folder.changes.count + 1)) {
        change.apply(to: &folder.platter)
      }
      return "names kept up to a point"
    default:
      for change in folder.changes where chance.percent(50) { change.apply(to: &folder.platter) }
      return "names kept by chance"
    }
  }

  /// Sectors of what was appended are not on the platter, though some behind them are. What was
  /// written of a sector before stays.
  private func loseSectors(_ inode: Inode, behind synced: Int) -> String {
    // A file that was cut and has grown again has other bytes there.
    let cuts = inode.changes.compactMap { change in
      if case .cut(let length) = change { length } else { nil }
    }
    let start = min(synced, cuts.min() ?? synced)
    var isLost = false
    for sector in start / 512..<(inode.platter.count + 511) / 512 where chance.percent(30) {
      for place in max(sector * 512, start)..<min((sector + 1) * 512, inode.platter.count) {
        inode.platter[place] = 0
      }
      isLost = true
    }
    return isLost ? "sectors lost" : "bytes kept"
  }

  private func loseBytes(_ inode: Inode) -> String? {
    defer {
      inode.bytes = inode.platter
      inode.changesMoved = inode.changeCount
      inode.changes = []
    }
    guard !inode.isSynced else { return nil }
    switch chance.below(4) {
    case 0: return "bytes lost"
    case 1:
      let synced = inode.platter.count
      for change in inode.changes { change.apply(to: &inode.platter) }
      return chance.percent(50) ? "bytes kept" : loseSectors(inode, behind: synced)
    default:
      let kept = chance.below(inode.changes.count)
      for change in inode.changes.prefix(kept) { change.apply(to: &inode.platter) }
      guard case .append(let bytes) = inode.changes[kept] else { return "bytes kept up to a point" }
      let torn = chance.below(bytes.count + 1)
      inode.platter += bytes.prefix(torn)
      // The length is on the platter and the bytes are not: they read as zeros.
      if chance.percent(30) { inode.platter += [UInt8](repeating: 0, count: bytes.count - torn) }
      return "bytes torn"
    }
  }
}
