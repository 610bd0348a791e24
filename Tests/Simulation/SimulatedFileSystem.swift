import Glibc
import JobStorage

/// The disk as one process sees it, which dies or fails at the call that a plan names. After its
/// death no call has any effect, so that what the process still does by itself leaves no trace.
final class SimulatedFileSystem: FileSystem {
  /// What can fail, by the name that the tally has for it.
  enum Call: String, CaseIterable {
    case makeDirectory, list, size, open, read, append, truncate, sync, rename, remove
    case syncDirectory, lock, startBackgroundSync
  }

  /// Which calls fail.
  struct Fault {
    /// Only these; nil: any.
    var call: Call?
    /// How many of them still succeed before.
    var after: Int
    /// How many then fail in a row.
    var count: Int
    /// Whether a write takes a part before it fails.
    var isTearing = false
    /// Whether a write only says that it took less than all.
    var isShort = false
    var errno = EIO
  }

  private enum Verdict {
    case works
    case fails(Fault)
    /// The process dies at the call, which has its effect, or none, or half of it.
    case dies(Death)
  }

  private enum Death: CaseIterable { case before, during, after }

  let disk: SimulatedDisk
  private let chance: Chance
  private let note: (String) -> Void
  private var open: [OpenFile: SimulatedDisk.Inode] = [:]
  private var locks: Set<OpenFile> = []
  private var nextNumber: Int32 = 100

  /// Whether the process is gone.
  private(set) var isDead = false
  /// Calls until the process dies; nil: it lives.
  var callsToLive: Int?
  var fault: Fault?
  /// Called before each call: what other processes do just then.
  var meanwhile: (() -> Void)?
  private(set) var background: SimulatedSync?
  private(set) var calls = 0
  /// Called when the process dies at a call.
  var whenDead: (() -> Void)?

  init(_ disk: SimulatedDisk, _ chance: Chance, note: @escaping (String) -> Void) {
    self.disk = disk
    self.chance = chance
    self.note = note
  }

  /// The process ends from outside, between two calls.
  func die() {
    isDead = true
  }

  // MARK: What is to fail

  private func verdict(_ call: Call) -> Verdict {
    calls += 1
    if let meanwhile {
      self.meanwhile = nil
      meanwhile()
    }
    if let left = callsToLive {
      callsToLive = left - 1
      if left <= 0 {
        isDead = true
        whenDead?()
        note("died at \(call.rawValue)")
        return .dies(chance.pick(Death.allCases))
      }
    }
    guard var fault, fault.call == nil || fault.call == call else { return .works }
    if fault.after > 0 {
      fault.after -= 1
      self.fault = fault
      return .works
    }
    fault.count -= 1
    self.fault = fault.count > 0 ? fault : nil
    note("failed \(call.rawValue)")
    return .fails(fault)
  }

  private func error(_ call: Call, _ path: String, _ number: Int32 = EIO) -> StorageError {
    let isSync = call == .sync || call == .syncDirectory
    return StorageError(
      isSync ? .syncFailed : .callFailed, cannot: call.rawValue, path: path, errno: number)
  }

  private func perform<Result>(
    _ call: Call, _ path: String, _ body: () throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    guard !isDead else { throw error(call, path) }
    switch verdict(call) {
    case .works: return try body()
    case .fails(let fault): throw error(call, path, fault.errno)
    case .dies(.after): _ = try body()
    case .dies: break
    }
    throw error(call, path)
  }

  // MARK: Calls

  func makeDirectory(_ path: String) throws(StorageError) {
    guard !isDead else { throw error(.makeDirectory, path) }
    let (parent, _) = SimulatedDisk.parts(of: path)
    let verdict = verdict(.makeDirectory)
    guard parent.isEmpty || disk.hasFolder(parent) else {
      throw error(.makeDirectory, path, ENOENT)
    }
    switch verdict {
    case .works: return disk.makeFolder(path)
    case .fails(let fault):
      // At the sync of the name.
      if fault.isTearing { disk.makeFolder(path, isSynced: false) }
      throw error(.makeDirectory, path, fault.errno)
    case .dies(let death):
      if death != .before { disk.makeFolder(path, isSynced: death == .after) }
      throw error(.makeDirectory, path)
    }
  }

  func list(_ directory: String) throws(StorageError) -> [String] {
    try perform(.list, directory) { () throws(StorageError) in
      guard let names = disk.list(directory) else { throw error(.list, directory, ENOENT) }
      return names
    }
  }

  func size(_ path: String) throws(StorageError) -> Int {
    try perform(.size, path) { () throws(StorageError) in
      guard let inode = disk.inode(path) else { throw error(.size, path, ENOENT) }
      return inode.bytes.count
    }
  }

  func open(_ path: String, for use: OpenFile.Use) throws(StorageError) -> OpenFile {
    try perform(.open, path) { () throws(StorageError) in
      let inode = use == .creating ? disk.create(path) : disk.inode(path)
      guard let inode else { throw error(.open, path, ENOENT) }
      return opened(inode)
    }
  }

  private func opened(_ inode: SimulatedDisk.Inode) -> OpenFile {
    nextNumber += 1
    let file = OpenFile(number: nextNumber)
    open[file] = inode
    return file
  }

  /// What a file is open for; the storage never uses one that it has closed.
  private func inode(_ file: OpenFile) -> SimulatedDisk.Inode {
    guard let inode = open[file] else { preconditionFailure("file \(file.number) is not open") }
    return inode
  }

  func read(
    _ file: OpenFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int {
    let inode = inode(file)
    return try perform(.read, "file") { () throws(StorageError) in
      inode.bytes.withUnsafeBytes { bytes in
        let count = max(min(bytes.count - offset, buffer.count), 0)
        if count > 0 {
          buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
        }
        return count
      }
    }
  }

  func append(_ file: OpenFile, _ bytes: UnsafeRawBufferPointer) throws(StorageError) -> Int {
    let inode = inode(file)
    guard !isDead else { throw error(.append, "file") }
    let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(chance.below(bytes.count)))
    switch verdict(.append) {
    case .works:
      let taken = disk.append(bytes, to: inode)
      guard taken > 0 || bytes.isEmpty else {
        note("disk was full")
        throw error(.append, "file", ENOSPC)
      }
      if taken < bytes.count { note("disk ran full") }
      return taken
    case .fails(let fault):
      if fault.isShort, bytes.count > 1 {
        note("short write")
        let taken = disk.append(
          UnsafeRawBufferPointer(rebasing: bytes.prefix(max(part.count, 1))), to: inode)
        if taken > 0 { return taken }
      }
      if fault.isTearing { _ = disk.append(part, to: inode) }
      throw error(.append, "file", fault.errno)
    case .dies(let death):
      if death == .during { _ = disk.append(part, to: inode) }
      if death == .after { _ = disk.append(bytes, to: inode) }
      throw error(.append, "file")
    }
  }

  func truncate(_ file: OpenFile, to length: Int) throws(StorageError) {
    let inode = inode(file)
    try perform(.truncate, "file") { () throws(StorageError) in disk.cut(inode, to: length) }
  }

  func sync(_ file: OpenFile) throws(StorageError) {
    let inode = inode(file)
    try sync(inode, upTo: inode.changeCount)
  }

  fileprivate func sync(
    _ inode: SimulatedDisk.Inode, upTo count: Int
  ) throws(StorageError) {
    try perform(.sync, "file") { () throws(StorageError) in inode.sync(upTo: count) }
  }

  func close(_ file: OpenFile) {
    let inode = inode(file)
    if locks.remove(file) != nil, !isDead { disk.lock(inode, false) }
    open[file] = nil
  }

  func rename(_ path: String, to newPath: String) throws(StorageError) {
    try perform(.rename, path) { () throws(StorageError) in
      guard disk.rename(path, to: newPath) else { throw error(.rename, path, ENOENT) }
    }
  }

  func remove(_ path: String) throws(StorageError) {
    try perform(.remove, path) { () throws(StorageError) in disk.remove(path) }
  }

  func syncDirectory(_ path: String) throws(StorageError) {
    try perform(.syncDirectory, path) { () throws(StorageError) in disk.syncFolder(path) }
  }

  func lock(_ path: String, holder: String) throws(StorageError) -> OpenFile {
    try perform(.lock, path) { () throws(StorageError) in
      guard let inode = disk.inode(path) ?? disk.create(path) else {
        throw error(.lock, path, ENOENT)
      }
      guard !inode.isLocked else { throw StorageError(.inUse, path: path, reason: "is in use") }
      disk.lock(inode, true)
      let file = opened(inode)
      locks.insert(file)
      return file
    }
  }

  func startBackgroundSync() throws(StorageError) -> any BackgroundSync {
    try perform(.startBackgroundSync, "thread") { () throws(StorageError) in
      let sync = SimulatedSync(self)
      background = sync
      return sync
    }
  }

  /// How many files are open.
  var openCount: Int { open.count }

  fileprivate func inode(of file: OpenFile) -> SimulatedDisk.Inode { inode(file) }
}

/// Syncs and lists of steps that end when the simulation says so; a request covers what was there
/// when it was made, a step what is there when it is done.
final class SimulatedSync: BackgroundSync {
  private enum Step {
    case sync(SimulatedDisk.Inode)
    case other(DiskStep)
  }

  private unowned let fileSystem: SimulatedFileSystem
  private var waiting: (inode: SimulatedDisk.Inode, changes: Int, ticket: UInt64)?
  private var steps: [Step] = []
  private var listTicket: UInt64 = 0
  private var report = SyncReport()
  private var failure: StorageError?
  /// Whether something has ended that was not drained.
  private(set) var hasNews = false

  init(_ fileSystem: SimulatedFileSystem) { self.fileSystem = fileSystem }

  var descriptor: Int32 { -1 }
  /// Whether something was asked for that has not ended.
  var isWaiting: Bool { waiting != nil || !steps.isEmpty }

  func request(_ file: OpenFile, ticket: UInt64) {
    precondition(ticket >= report.ticket, "tickets grow")
    guard failure == nil, !fileSystem.isDead else { return }
    let inode = fileSystem.inode(of: file)
    waiting = (inode, inode.changeCount, ticket)
  }

  func perform(_ steps: [DiskStep], ticket: UInt64) {
    precondition(self.steps.isEmpty, "one list at a time")
    guard failure == nil, !fileSystem.isDead else { return }
    guard !steps.isEmpty else { return endList(nil, ticket) }
    listTicket = ticket
    self.steps = steps.map { step in
      if case .sync(let file) = step { return .sync(fileSystem.inode(of: file)) }
      return .other(step)
    }
  }

  /// What was requested ends, and one step of a list is made.
  func complete() {
    if let (inode, changes, ticket) = waiting.take(), failure == nil {
      hasNews = true
      do throws(StorageError) {
        try fileSystem.sync(inode, upTo: changes)
        report.ticket = max(report.ticket, ticket)
        report.count += 1
        report.nanoseconds += 1_000
      } catch {
        failure = error
      }
    }
    guard failure == nil else { return steps.removeAll() }
    if !steps.isEmpty { take(steps.removeFirst()) }
  }

  private func take(_ step: Step) {
    hasNews = true
    do throws(StorageError) {
      switch step {
      case .sync(let inode): try fileSystem.sync(inode, upTo: inode.changeCount)
      case .other(.syncDirectory(let path)): try fileSystem.syncDirectory(path)
      case .other(.rename(let path, let newPath)): try fileSystem.rename(path, to: newPath)
      case .other(.remove(let path)): try fileSystem.remove(path)
      case .other(.discard(let path)): try? fileSystem.remove(path)
      case .other(.sync): preconditionFailure("a sync has its file")
      }
      if steps.isEmpty { endList(nil, listTicket) }
    } catch {
      steps = []
      if error.code == .syncFailed {
        failure = error
        hasNews = true
      } else {
        endList(error, listTicket)
      }
    }
  }

  private func endList(_ error: StorageError?, _ ticket: UInt64) {
    hasNews = true
    report.ticket = max(report.ticket, ticket)
    report.lists += 1
    report.listFailure = error
  }

  func drain() throws(StorageError) -> SyncReport {
    hasNews = false
    if let failure { throw failure }
    return report
  }

  func settle() throws(StorageError) -> SyncReport {
    while isWaiting { complete() }
    hasNews = true
    if let failure { throw failure }
    // Whoever waits for a list that a dead process never began would wait for ever.
    guard !fileSystem.isDead else { throw StorageError(.syncFailed, path: "", reason: "is dead") }
    return report
  }

  func stop() {
    while !fileSystem.isDead, isWaiting { complete() }
  }
}
