internal import Glibc

/// The names in a data folder. Nothing but these is read, written or removed there:
///
/// | name | what it is |
/// |---|---|
/// | `journal-<seq>.jsonl` | a segment of the journal; `seq` is the number of its first record |
/// | `journal-<seq>.jsonl.begun` | the next segment while the one before it is being synced |
/// | `snapshot-<seq>.json` | the state after the record with number `seq` |
/// | `logs/` | what programs wrote to stderr and stdout; see `LogFolder` |
/// | `work-<pool>/` | the working folders of programs that run; see `ProgramPoolSettings` |
/// | `lock` | held by the server that uses the folder, with its process id inside |
/// | a segment or a snapshot + `.tmp` | being written; worth nothing before it is renamed |
/// | `snapshot-<seq>.json.damaged` | set aside by recovery, for a person to look at; never read |
/// | `journal-<seq>.jsonl.cut` | what recovery cut off a segment behind a hole; the same |
///
/// `seq` is written with 20 digits, so that names sort like numbers; it is from 1 to 2^62.
struct DataDirectory: Sendable {
  /// The folder, without a slash at the end.
  let path: String

  /// What a folder holds.
  struct Contents: Equatable, Sendable {
    /// Sequence numbers of the snapshots, newest first.
    var snapshots: [UInt64] = []
    /// First sequence numbers of the segments, oldest first.
    var segments: [UInt64] = []
    /// First sequence numbers of the segments that were begun while the one before was not synced
    /// yet, oldest first; see `RecoveryTable.begun`.
    var begun: [UInt64] = []
    /// Names of files that were never finished.
    var temporaries: [String] = []
  }

  /// The lock file.
  var lock: String { path + "/lock" }

  /// The segment whose first record is `sequence`.
  func segment(_ sequence: UInt64) -> String {
    "\(path)/journal-\(DataDirectory.digits(sequence)).jsonl"
  }

  /// The same while the segment before it is not known to be on the disk.
  func begun(_ sequence: UInt64) -> String { segment(sequence) + ".begun" }

  /// Where what is cut off a segment, begun or not, is kept if there are whole records in it.
  func cut(_ segment: String) -> String {
    (segment.hasSuffix(".begun") ? String(segment.dropLast(6)) : segment) + ".cut"
  }

  /// The snapshot of the state after record `sequence`.
  func snapshot(_ sequence: UInt64) -> String {
    "\(path)/snapshot-\(DataDirectory.digits(sequence)).json"
  }

  /// The name under which `path` is written before it is renamed.
  static func temporary(_ path: String) -> String { path + ".tmp" }

  /// Makes the folder, and whatever is missing above it, from the top on. A folder that it made
  /// stays when a later step fails.
  ///
  /// The one above the first that is made has its name synced as well: an earlier start may have
  /// made it, and ended.
  func make(_ fileSystem: any FileSystem) throws(StorageError) {
    try DataDirectory.make(path[...], fileSystem)
  }

  private static func make(
    _ path: Substring, _ fileSystem: any FileSystem
  ) throws(StorageError) {
    if let parent = parent(of: path) {
      do throws(StorageError) {
        try fileSystem.makeDirectory(String(parent))
      } catch {
        guard error.errno == ENOENT else { throw error }
        try make(parent, fileSystem)
      }
    }
    try fileSystem.makeDirectory(String(path))
  }

  /// nil for the root, a folder in it, and a name without a slash.
  private static func parent(of path: Substring) -> Substring? {
    guard let end = path.lastIndex(where: { $0 != "/" }),
      let slash = path[..<end].lastIndex(of: "/"), slash > path.startIndex
    else { return nil }
    return path[..<slash]
  }

  /// Lists the folder. Names that are none of the above are left alone.
  func contents(_ fileSystem: any FileSystem) throws(StorageError) -> Contents {
    var contents = Contents()
    for name in try fileSystem.list(path) {
      if let sequence = DataDirectory.sequence(in: name, "journal-", ".jsonl") {
        contents.segments.append(sequence)
      } else if let sequence = DataDirectory.sequence(in: name, "journal-", ".jsonl.begun") {
        contents.begun.append(sequence)
      } else if let sequence = DataDirectory.sequence(in: name, "snapshot-", ".json") {
        contents.snapshots.append(sequence)
      } else if DataDirectory.sequence(in: name, "journal-", ".jsonl.tmp") != nil
        || DataDirectory.sequence(in: name, "snapshot-", ".json.tmp") != nil
      {
        contents.temporaries.append(name)
      }
    }
    contents.segments.sort()
    contents.begun.sort()
    contents.snapshots.sort(by: >)
    contents.temporaries.sort()
    return contents
  }

  /// Removes files that were never finished.
  func removeTemporaries(_ fileSystem: any FileSystem) throws(StorageError) {
    for name in try contents(fileSystem).temporaries {
      try fileSystem.remove("\(path)/\(name)")
    }
  }

  /// Gives damaged snapshots another name: none of them may count as the one to fall back to.
  func setAside(_ snapshots: [UInt64], _ fileSystem: any FileSystem) throws(StorageError) {
    for sequence in snapshots {
      try fileSystem.rename(snapshot(sequence), to: snapshot(sequence) + ".damaged")
    }
  }

  /// The files that recovery from the newest snapshot, `newest`, or from the one before it, does
  /// not need: older snapshots, and segments that end before the older of the two.
  ///
  /// The one before is kept with the segments since, so that a newest snapshot that turns out
  /// damaged costs nothing. While there is none before, every segment is kept. The folder holds at
  /// most two snapshots and what was appended during two snapshot intervals.
  ///
  /// They are to be removed in this order, snapshots first and segments from the oldest on:
  /// wherever that stops, what is left is whole.
  func obsolete(
    newest: UInt64, _ fileSystem: any FileSystem
  ) throws(StorageError) -> [String] {
    let contents = try contents(fileSystem)
    guard contents.snapshots.contains(newest) else { return [] }
    let kept = contents.snapshots.first { $0 < newest } ?? 0
    let segments = zip(contents.segments, contents.segments.dropFirst())
      .filter { _, next in next <= kept + 1 }
    return contents.snapshots.reversed().filter { $0 < kept }.map(snapshot)
      + segments.map { segment($0.0) }
  }

  /// The files that recovery from the snapshot `newest` does not need, in the order of `obsolete`.
  func allBefore(
    _ newest: UInt64, _ fileSystem: any FileSystem
  ) throws(StorageError) -> [String] {
    let contents = try contents(fileSystem)
    guard contents.snapshots.contains(newest), contents.segments.contains(newest + 1) else {
      return []
    }
    return contents.snapshots.reversed().filter { $0 < newest }.map(snapshot)
      + contents.segments.filter { $0 <= newest }.map(segment)
  }

  private static func digits(_ sequence: UInt64) -> String {
    let digits = String(sequence)
    return String(repeating: "0", count: 20 - digits.utf8.count) + digits
  }

  private static func sequence(
    in name: String, _ prefix: String, _ suffix: String
  ) -> UInt64? {
    guard name.utf8.count == prefix.utf8.count + 20 + suffix.utf8.count,
      name.hasPrefix(prefix), name.hasSuffix(suffix)
    else { return nil }
    let digits = name.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
    guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
      return nil
    }
    return UInt64(digits).flatMap { 1...1 << 62 ~= $0 ? $0 : nil }
  }
}
