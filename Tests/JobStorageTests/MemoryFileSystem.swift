import Glibc
import JobStorage

/// A disk in memory that fails when told to.
final class MemoryFileSystem: FileSystem {
  final class Node {
    var bytes: [UInt8] = []
    var isLocked = false
  }

  /// What happens at the calls that are to fail.
  enum Fault: CaseIterable {
    /// The call fails and has no effect.
    case failsOnce
    /// It fails, and so do the next four calls.
    case failsForAWhile
    /// A write takes half of its bytes and fails; another call fails.
    case tearsOnce
    /// A write takes half of its bytes and says so; another call fails.
    case fallsShortOnce
  }

  var files: [String: Node] = [:]
  var folders: Set<String> = []
  private var open: [OpenFile: Node] = [:]
  private var uses: [OpenFile: OpenFile.Use] = [:]
  private var nextNumber: Int32 = 100

  /// Calls so far that could fail.
  private(set) var calls = 0
  /// The number of the call that fails, from 1; nil: none.
  var failAt: Int?
  var fault = Fault.failsOnce
  /// Bytes that all files together may take.
  var capacity = Int.max
  /// How many bytes of a file a sync has covered.
  private(set) var syncedBytes: [ObjectIdentifier: Int] = [:]
  /// The names that the last sync of the folder has covered.
  private(set) var syncedNames: [String: Node] = [:]
  /// How often a segment got its name while other names in the folder were not synced.
  private(set) var namesAhead = 0
  /// Whether what the background is asked for waits for `step` of it.
  var isDeferring = false
  /// The background that was started last.
  private(set) var background: ImmediateSync?

  var openCount: Int { open.count }

  /// What is left when the process dies: no open file, no lock.
  func processDied() {
    open = [:]
    uses = [:]
    for node in files.values { node.isLocked = false }
    failAt = nil
    capacity = .max
  }

  /// How much of what no sync has covered a loss of power leaves of a file.
  enum Rest: CaseIterable {
    case nothing, half, all
  }

  /// The disk after a loss of power that hits now; this one goes on.
  func afterPowerLoss(areNamesSynced: Bool, _ rest: (String) -> Rest) -> MemoryFileSystem {
    let left = MemoryFileSystem()
    left.folders = folders
    for (path, node) in areNamesSynced ? syncedNames : files {
      let synced = min(syncedBytes[ObjectIdentifier(node)] ?? 0, node.bytes.count)
      let count =
        switch rest(path) {
        case .nothing: synced
        case .half: (synced + node.bytes.count) / 2
        case .all: node.bytes.count
        }
      left.files[path] = Node()
      left.files[path]?.bytes = Array(node.bytes[..<count])
    }
    return left
  }

  /// The disk after a death of the process that hits now; this one goes on.
  func afterDeath() -> MemoryFileSystem {
    afterPowerLoss(areNamesSynced: false) { _ in .all }
  }

  private var isFailing: Bool {
    calls += 1
    guard let failAt else { return false }
    return calls == failAt || fault == .failsForAWhile && calls > failAt && calls < failAt + 5
  }

  private func error(_ action: String, _ code: StorageError.Code = .callFailed) -> StorageError {
    StorageError(code, cannot: action, path: "memory", errno: EIO)
  }

  func makeDirectory(_ path: String) throws(StorageError) {
    if isFailing { throw error("make the folder") }
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    guard parent.isEmpty || folders.contains(parent) else {
      throw StorageError(cannot: "make the folder", path: path, errno: ENOENT)
    }
    folders.insert(path)
  }

  func list(_ directory: String) throws(StorageError) -> [String] {
    if isFailing { throw error("list") }
    let names = files.keys.filter { $0.hasPrefix(directory + "/") }
      .map { String($0.dropFirst(directory.count + 1)) }
    guard !names.isEmpty || folders.contains(directory) else {
      throw StorageError(cannot: "list", path: directory, errno: ENOENT)
    }
    return names
  }

  func size(_ path: String) throws(StorageError) -> Int {
    if isFailing { throw error("size") }
    guard let node = files[path] else { throw error("size") }
    return node.bytes.count
  }

  func open(_ path: String, for use: OpenFile.Use) throws(StorageError) -> OpenFile {
    if isFailing { throw error("open") }
    if use == .creating { files[path] = Node() }
    guard let node = files[path] else {
      throw StorageError(cannot: "open", path: path, errno: ENOENT)
    }
    return opened(node, use)
  }

  private func opened(_ node: Node, _ use: OpenFile.Use) -> OpenFile {
    nextNumber += 1
    let file = OpenFile(number: nextNumber)
    open[file] = node
    uses[file] = use
    return file
  }

  func read(
    _ file: OpenFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int {
    if isFailing { throw error("read") }
    return open[file]!.bytes.withUnsafeBytes { bytes in
      let count = max(min(bytes.count - offset, buffer.count), 0)
      if count > 0 { memcpy(buffer.baseAddress!, bytes.baseAddress! + offset, count) }
      return count
    }
  }

  func append(
    _ file: OpenFile, _ bytes: UnsafeRawBufferPointer
  ) throws(StorageError) -> Int {
    precondition(uses[file] != .reading)
    let node = open[file]!
    if isFailing {
      guard fault == .tearsOnce || fault == .fallsShortOnce, bytes.count > 1 else {
        throw error("append")
      }
      node.bytes.append(contentsOf: bytes.prefix(bytes.count / 2))
      if fault == .fallsShortOnce { return bytes.count / 2 }
      throw error("append")
    }
    let room = capacity - files.values.reduce(0) { $0 + $1.bytes.count }
    guard room > 0 else { throw StorageError(cannot: "append", path: "memory", errno: ENOSPC) }
    node.bytes.append(contentsOf: bytes.prefix(room))
    return min(room, bytes.count)
  }

  func truncate(_ file: OpenFile, to length: Int) throws(StorageError) {
    if isFailing { throw error("cut") }
    let node = open[file]!
    precondition(length <= node.bytes.count, "a cut does not make a file longer")
    node.bytes.removeLast(node.bytes.count - length)
  }

  func sync(_ file: OpenFile) throws(StorageError) {
    if isFailing { throw error("sync", .syncFailed) }
    let node = open[file]!
    syncedBytes[ObjectIdentifier(node)] = node.bytes.count
  }

  func close(_ file: OpenFile) {
    precondition(open[file] != nil, "closed twice")
    if uses[file] == nil { open[file]!.isLocked = false }
    open[file] = nil
    uses[file] = nil
  }

  func rename(_ path: String, to newPath: String) throws(StorageError) {
    if isFailing { throw error("rename") }
    if path.hasSuffix(".begun"), Set(syncedNames.keys) != Set(files.keys) { namesAhead += 1 }
    guard let node = files.removeValue(forKey: path) else { throw error("rename") }
    files[newPath] = node
  }

  func remove(_ path: String) throws(StorageError) {
    if isFailing { throw error("remove") }
    files[path] = nil
  }

  func syncDirectory(_ path: String) throws(StorageError) {
    if isFailing { throw error("sync the folder", .syncFailed) }
    syncedNames = files
  }

  func lock(_ path: String, holder: String) throws(StorageError) -> OpenFile {
    if isFailing { throw error("lock") }
    let node = files[path] ?? Node()
    files[path] = node
    guard !node.isLocked else {
      throw StorageError(.inUse, path: path, reason: String(decoding: node.bytes, as: UTF8.self))
    }
    node.isLocked = true
    node.bytes = Array(holder.utf8)
    let file = opened(node, .appending)
    uses[file] = nil
    return file
  }

  func startBackgroundSync() throws(StorageError) -> any BackgroundSync {
    if isFailing { throw error("start the thread") }
    let background = ImmediateSync(self)
    self.background = background
    return background
  }
}

/// Syncs at once, and tells when asked; or, while its file system is deferring, one call a `step`.
final class ImmediateSync: BackgroundSync {
  private unowned let fileSystem: MemoryFileSystem
  private var report = SyncReport()
  private var failure: StorageError?
  private var waiting: (file: OpenFile, ticket: UInt64)?
  private var steps: [DiskStep]?
  private var listTicket: UInt64 = 0
  /// How often a sync was asked for.
  private(set) var requests = 0

  init(_ fileSystem: MemoryFileSystem) { self.fileSystem = fileSystem }

  var descriptor: Int32 { -1 }

  func request(_ file: OpenFile, ticket: UInt64) {
    precondition(ticket >= report.ticket, "tickets grow")
    requests += 1
    waiting = (file, ticket)
    if !fileSystem.isDeferring { run() }
  }

  func perform(_ steps: [DiskStep], ticket: UInt64) {
    precondition(self.steps == nil, "one list at a time")
    self.steps = steps
    listTicket = ticket
    if !fileSystem.isDeferring { run() }
  }

  private func run() {
    while step() {}
  }

  /// Makes one call; false if there is none to make.
  func step() -> Bool {
    if let (file, ticket) = waiting {
      waiting = nil
      guard failure == nil else { return true }
      if call(.sync(file)) { report.ticket = max(report.ticket, ticket) }
      return true
    }
    guard let next = steps?.first else { return false }
    if failure == nil, call(next) {
      steps?.removeFirst()
      guard steps?.isEmpty == true else { return true }
      report.listFailure = nil
    }
    steps = nil
    report.lists += 1
    if failure == nil { report.ticket = max(report.ticket, listTicket) }
    return true
  }

  private func call(_ step: DiskStep) -> Bool {
    do throws(StorageError) {
      switch step {
      case .sync(let file): try fileSystem.sync(file)
      case .syncDirectory(let path): try fileSystem.syncDirectory(path)
      case .rename(let path, let newPath): try fileSystem.rename(path, to: newPath)
      case .remove(let path), .discard(let path): try fileSystem.remove(path)
      }
    } catch {
      if case .discard = step {
        report.listFailure = error
        return true
      }
      if error.code == .syncFailed { failure = error } else { report.listFailure = error }
      return false
    }
    if case .sync = step {
      report.count += 1
      report.nanoseconds += 1_000
    }
    return true
  }

  func drain() throws(StorageError) -> SyncReport {
    if let failure { throw failure }
    return report
  }

  func settle() throws(StorageError) -> SyncReport {
    run()
    return try drain()
  }

  func stop() {}
}
