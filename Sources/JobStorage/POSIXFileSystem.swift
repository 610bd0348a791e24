internal import CPlatform
internal import Glibc

/// The real file system. The rules of the calls are in `FileSystem`; the man pages named below are
/// where their behaviour comes from.
public final class POSIXFileSystem: FileSystem {
  /// For the sentences of errors; a handful of files is open at a time.
  private var paths: [OpenFile: String] = [:]
  /// Folders that were synced, kept open: a process that is out of descriptors can sync them all
  /// the same. To say `syncFailed` for want of one would end the service for nothing.
  private var folders: [String: OpenFile] = [:]

  /// A door with no file open.
  public init() {}

  deinit {
    for folder in folders.values { _ = Glibc.close(folder.number) }
  }

  /// mkdir(2), then a sync of the parent: also of one that has the folder already, as a process may
  /// have ended between the two. A parent that this user may not read has not got it from him.
  public func makeDirectory(_ path: String) throws(StorageError) {
    let isMade = mkdir(path, 0o700) == 0
    guard isMade || errno == EEXIST else {
      throw StorageError(cannot: "make the folder", path: path, errno: errno)
    }
    do throws(StorageError) {
      try syncDirectory(path + "/..")
    } catch {
      guard isMade || error.errno == EIO else { return }
      throw error
    }
  }

  /// opendir(3) and readdir(3).
  public func list(_ directory: String) throws(StorageError) -> [String] {
    guard let stream = opendir(directory) else {
      throw StorageError(cannot: "list the folder", path: directory, errno: errno)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        guard errno == 0 else {
          throw StorageError(cannot: "list the folder", path: directory, errno: errno)
        }
        return names
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
  }

  /// stat(2).
  public func size(_ path: String) throws(StorageError) -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw StorageError(cannot: "tell the size", path: path, errno: errno)
    }
    return Int(status.st_size)
  }

  /// open(2) with O_CLOEXEC.
  public func open(_ path: String, for use: OpenFile.Use) throws(StorageError) -> OpenFile {
    let flags =
      switch use {
      case .reading: O_RDONLY
      case .appending: O_WRONLY | O_APPEND
      case .creating: O_WRONLY | O_APPEND | O_CREAT | O_TRUNC
      }
    return try open(path, flags | O_CLOEXEC)
  }

  private func open(_ path: String, _ flags: Int32) throws(StorageError) -> OpenFile {
    while true {
      let descriptor = Glibc.open(path, flags, 0o600)
      if descriptor >= 0 {
        let file = OpenFile(number: descriptor)
        paths[file] = path
        return file
      }
      guard errno == EINTR else {
        throw StorageError(cannot: "open", path: path, errno: errno)
      }
    }
  }

  /// pread(2), repeated until the buffer is full or the file ends.
  public func read(
    _ file: OpenFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int {
    var taken = 0
    while taken < buffer.count {
      let count = pread(
        file.number, buffer.baseAddress! + taken, buffer.count - taken, offset + taken)
      if count > 0 {
        taken += count
      } else if count == 0 {
        break
      } else if errno != EINTR {
        throw failure("read", file)
      }
    }
    return taken
  }

  /// write(2) to a descriptor with O_APPEND. EINTR means that nothing was written. The program must
  /// ignore SIGXFSZ, or a limit on the size of files ends it here.
  public func append(
    _ file: OpenFile, _ bytes: UnsafeRawBufferPointer
  ) throws(StorageError) -> Int {
    while true {
      let count = write(file.number, bytes.baseAddress, bytes.count)
      if count > 0 || bytes.isEmpty { return count }
      // Nothing taken and no error: no man page allows it, and it must not become a loop.
      if count == 0 { errno = EIO }
      guard errno == EINTR else { throw failure("append to", file) }
    }
  }

  /// ftruncate(2).
  public func truncate(_ file: OpenFile, to length: Int) throws(StorageError) {
    while ftruncate(file.number, length) != 0 {
      guard errno == EINTR else { throw failure("cut", file) }
    }
  }

  /// fdatasync(2).
  public func sync(_ file: OpenFile) throws(StorageError) {
    while fdatasync(file.number) != 0 {
      guard errno == EINTR else { throw failure("sync", file).recoded(.syncFailed) }
    }
  }

  /// close(2). On Linux the descriptor is gone whatever it answers.
  public func close(_ file: OpenFile) {
    paths[file] = nil
    _ = Glibc.close(file.number)
  }

  /// rename(2).
  public func rename(_ path: String, to newPath: String) throws(StorageError) {
    guard Glibc.rename(path, newPath) == 0 else {
      throw StorageError(cannot: "rename it to \(newPath)", path: path, errno: errno)
    }
  }

  /// unlink(2).
  public func remove(_ path: String) throws(StorageError) {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw StorageError(cannot: "remove", path: path, errno: errno)
    }
  }

  /// fsync(2) of the folder: a file's name is in its folder, not in the file.
  public func syncDirectory(_ path: String) throws(StorageError) {
    let folder: OpenFile
    do throws(StorageError) {
      if let open = folders[path] {
        folder = open
      } else {
        folder = try open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        folders[path] = folder
      }
    } catch {
      // Why it could not be synced makes no difference to what is on the disk.
      throw error.recoded(.syncFailed)
    }
    while fsync(folder.number) != 0 {
      guard errno == EINTR else { throw failure("sync the folder", folder).recoded(.syncFailed) }
    }
  }

  /// flock(2): the lock belongs to the open file, so the kernel gives it back when the process
  /// ends, and a process id that was used again cannot confuse it.
  public func lock(_ path: String, holder: String) throws(StorageError) -> OpenFile {
    let file = try open(path, O_RDWR | O_CREAT | O_CLOEXEC)
    while flock(file.number, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      defer { close(file) }
      guard errno == EWOULDBLOCK else { throw failure("lock", file) }
      throw StorageError(.inUse, path: path, reason: "\(try self.holder(file)) uses this folder")
    }
    do throws(StorageError) {
      try truncate(file, to: 0)
      var text = "\(holder)\n"
      let count = text.withUTF8 { pwrite(file.number, $0.baseAddress, $0.count, 0) }
      guard count > 0 else { throw failure("write", file) }
    } catch {
      close(file)
      throw error
    }
    return file
  }

  private func holder(_ file: OpenFile) throws(StorageError) -> String {
    var text = [UInt8](repeating: 0, count: 64)
    let count: Int
    do {
      count = try text.withUnsafeMutableBytes { try read(file, at: 0, into: $0) }
    } catch {
      throw failure("read", file)
    }
    let line = text[..<count].prefix { $0 != UInt8(ascii: "\n") }
    return line.isEmpty ? "another process" : String(decoding: line, as: UTF8.self)
  }

  /// stat(2) and fstat(2).
  public func isNamed(_ file: OpenFile, _ path: String) throws(StorageError) -> Bool {
    var named = stat()
    var open = stat()
    guard stat(path, &named) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return false }
      throw StorageError(cannot: "find", path: path, errno: errno)
    }
    guard fstat(file.number, &open) == 0 else { throw failure("look at", file) }
    return named.st_ino == open.st_ino && named.st_dev == open.st_dev
  }

  /// A thread of its own; see `sync_thread.h`.
  public func startBackgroundSync() throws(StorageError) -> any BackgroundSync {
    guard let thread = sync_thread_start() else {
      throw StorageError(cannot: "start the thread that syncs", path: "journal", errno: errno)
    }
    return SyncThread(thread) { [folders] in folders[$0] }
  }

  private func failure(_ action: String, _ file: OpenFile) -> StorageError {
    let number = errno
    return StorageError(
      cannot: action, path: paths[file] ?? "descriptor \(file.number)", errno: number)
  }
}

/// The C thread that calls fdatasync, as a `BackgroundSync`.
private final class SyncThread: BackgroundSync {
  private let thread: OpaquePointer
  private let folder: (String) -> OpenFile?
  /// The paths of the list that was begun last, for the sentence of an error.
  private var stepPaths: [String] = []
  private var failure: StorageError?
  private var isStopped = false

  /// - Parameter folder: the open folder of a path that was synced before.
  init(_ thread: OpaquePointer, folder: @escaping (String) -> OpenFile?) {
    self.thread = thread
    self.folder = folder
  }

  deinit { stop() }

  var descriptor: Int32 { sync_thread_descriptor(thread) }

  func request(_ file: OpenFile, ticket: UInt64) {
    sync_thread_request(thread, file.number, ticket)
  }

  func perform(_ steps: [DiskStep], ticket: UInt64) {
    var paths: [(String, String?)] = []
    var calls = steps.map { step in
      var call = sync_step()
      switch step {
      case .sync(let file):
        call.kind = SYNC_STEP_FILE
        call.file = file.number
        paths.append(("journal", nil))
      case .syncDirectory(let path):
        call.kind = SYNC_STEP_FOLDER
        // The sync of a folder that is not open fails.
        call.file = folder(path)?.number ?? -1
        paths.append((path, nil))
      case .rename(let path, let newPath):
        call.kind = SYNC_STEP_RENAME
        paths.append((path, newPath))
      case .remove(let path):
        call.kind = SYNC_STEP_REMOVE
        paths.append((path, nil))
      case .discard(let path):
        call.kind = SYNC_STEP_DISCARD
        paths.append((path, nil))
      }
      return call
    }
    stepPaths = paths.map(\.0)
    for index in calls.indices {
      calls[index].path = strdup(paths[index].0)
      calls[index].target = paths[index].1.flatMap { strdup($0) }
    }
    defer {
      for call in calls {
        free(call.path)
        free(call.target)
      }
    }
    if sync_thread_perform(thread, calls, Int32(calls.count), ticket) == 0 {
      failure = StorageError(.syncFailed, cannot: "begin to sync", path: "journal", errno: errno)
    }
  }

  func drain() throws(StorageError) -> SyncReport {
    try checked(sync_thread_drain(thread))
  }

  func settle() throws(StorageError) -> SyncReport {
    try checked(sync_thread_settle(thread))
  }

  func stop() {
    guard !isStopped else { return }
    isStopped = true
    sync_thread_stop(thread)
  }

  private func checked(_ report: sync_report) throws(StorageError) -> SyncReport {
    if let failure { throw failure }
    guard report.error == 0 else {
      throw StorageError(.syncFailed, cannot: "sync", path: "journal", errno: report.error)
    }
    var done = SyncReport()
    done.ticket = report.ticket
    done.count = Int(report.count)
    done.nanoseconds = report.nanoseconds
    done.lists = Int(report.lists)
    if report.list_error != 0 {
      done.listFailure = StorageError(
        cannot: "rename or remove", path: stepPaths[Int(report.list_step)],
        errno: report.list_error)
    }
    return done
  }
}
