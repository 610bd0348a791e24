import Glibc
import JobCore
import Testing

@testable import JobStorage

/// The real disk, the real lock, the real thread.
struct JobStorageTests {
  /// Makes a folder, hands a path in it that is not there yet to `body`, and removes everything.
  private func inFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/lido-storage-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let parent = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
      for folder in [parent + "/data", parent] {
        if let names = try? POSIXFileSystem().list(folder) {
          for name in names { unlink("\(folder)/\(name)") }
        }
        rmdir(folder)
      }
    }
    try body(parent + "/data")
  }

  private func open(_ path: String, _ sync: SyncPolicy = .always) throws(StorageError) -> JobStorage
  {
    try JobStorage.open(path, sync: sync, processID: getpid(), at: .at(0)).storage
  }

  private func mode(_ path: String) -> UInt32 {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
  }

  /// Waits for the descriptor; false after ten seconds.
  private func isReadable(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 10_000) == 1
  }

  @Test func `jobs are there after a restart, on a disk`() throws {
    let story = Story(seed: 20, count: 400)
    try inFolder { path in
      for part in 0..<4 {
        let (storage, store, report) = try JobStorage.open(
          path, sync: .every(milliseconds: 50), segmentBytesMax: 4_000, processID: getpid(),
          at: .at(0))
        #expect(store == story.states[part * 100])
        #expect(report.lastSequence == UInt64(part * 100))
        for begin in stride(from: part * 100, to: part * 100 + 100, by: 10) {
          try storage.append(Array(story.records[begin..<begin + 10]), at: .at(1))
        }
        if part % 2 == 1 {
          let sequence = try #require(try storage.sealForSnapshot(at: .at(2)))
          let bytes = try Compaction.run(path, through: sequence, at: 2)
          try storage.snapshotFinished(used: 5, at: Moment.at(2).instant)
          #expect(storage.snapshotBytes == bytes && storage.journalBytes == 0)
        }
        try storage.close(at: .at(3))
      }
      #expect(try Recovery.read(path).store == story.states[400])
    }
  }

  @Test func `nobody but the owner may look into the folder`() throws {
    try inFolder { path in
      let storage = try open(path)
      try storage.append([.jobForgotten(1)], at: .at(1))
      #expect(mode(path) == 0o700)
      #expect(mode(path + "/lock") == 0o600)
      #expect(mode(DataDirectory(path: path).segment(1)) == 0o600)
      try storage.close(at: .at(2))
    }
  }

  @Test func `no descriptor is inherited by a program`() throws {
    try inFolder { path in
      let storage = try open(path)
      for descriptor in 3..<1024 as Range<Int32> {
        var target = [CChar](repeating: 0, count: 4096)
        guard readlink("/proc/self/fd/\(descriptor)", &target, 4095) > 0 else { continue }
        let name = String(decoding: target.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard name.hasPrefix(path) || descriptor == storage.syncDescriptor else { continue }
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0, "\(descriptor)")
      }
      try storage.close(at: .at(2))
    }
  }

  @Test func `nothing is written into a folder that is not in its place, and all of it when it is`()
    throws
  {
    let story = Story(seed: 21, count: 40)
    try inFolder { path in
      let storage = try open(path)
      try storage.append(Array(story.records[..<10]), at: .at(1))
      #expect(rename(path, path + "-aside") == 0)
      // One look is good for a while.
      try storage.append(Array(story.records[10..<20]), at: .at(99))
      #expect(mkdir(path, 0o700) == 0)
      do throws(StorageError) {
        try storage.append(Array(story.records[20..<30]), at: .at(100))
        Issue.record("records were written into a folder that has gone")
      } catch {
        #expect(error.code == .callFailed)
      }
      #expect(throws: StorageError.self) { try storage.retryPending(at: .at(101)) }
      #expect(throws: StorageError.self) { try storage.sealForSnapshot(at: .at(101)) }
      #expect(storage.pendingCount == 10)
      #expect(rmdir(path) == 0, "something was written into the other folder")
      #expect(rename(path + "-aside", path) == 0)
      try storage.retryPending(at: .at(102))
      #expect(storage.pendingCount == 0)
      #expect(try storage.sealForSnapshot(at: .at(103)) == 30)
      try storage.close(at: .at(104))
      #expect(try Recovery.read(path).store == story.states[30])
    }
  }

  @Test func `a service that ends does so with an error once its folder has gone`() throws {
    try inFolder { path in
      let storage = try open(path)
      try storage.append([.jobForgotten(1)], at: .at(1))
      #expect(rename(path, path + "-aside") == 0)
      #expect(throws: StorageError.self) { try storage.close(at: .at(2)) }
      #expect(rename(path + "-aside", path) == 0)
    }
  }

  @Test func `who holds a folder is not taken for a leftover of somebody`() throws {
    try inFolder { path in
      #expect(FolderHolder.leftovers(of: path)?.isEmpty == true)
      let storage = try open(path)
      // This process asks for itself, which it never counts.
      #expect(FolderHolder.leftovers(of: path)?.isEmpty == true)
      try storage.close(at: .at(1))
    }
  }

  @Test func `a second server is refused and told who holds the folder`() throws {
    try inFolder { path in
      let storage = try open(path)
      do throws(StorageError) {
        _ = try open(path)
        Issue.record("two servers use one folder")
      } catch {
        #expect(error.code == .inUse)
        #expect(error.description == "\(path)/lock: process \(getpid()) uses this folder")
      }
      try storage.close(at: .at(1))
      try open(path).close(at: .at(2))
    }
  }

  @Test func `files that were never finished are removed, others are left alone`() throws {
    try inFolder { path in
      try open(path).close(at: .at(1))
      let temporary = DataDirectory(path: path).snapshot(7) + ".tmp"
      for name in [temporary, path + "/notes.txt.tmp", path + "/journal-1.jsonl.tmp"] {
        let descriptor = Glibc.open(name, O_CREAT | O_WRONLY, 0o600)
        try #require(descriptor >= 0)
        close(descriptor)
      }
      try open(path).close(at: .at(1))
      #expect(access(temporary, F_OK) != 0)
      #expect(access(path + "/notes.txt.tmp", F_OK) == 0)
      #expect(access(path + "/journal-1.jsonl.tmp", F_OK) == 0)
    }
  }

  @Test func `with always, each append is synced and the descriptor says so`() throws {
    let story = Story(seed: 21, count: 50)
    try inFolder { path in
      let storage = try open(path, .always)
      for (index, record) in story.records.enumerated() {
        try storage.append([record], at: .at(1))
        #expect(storage.appendedSequence == UInt64(index + 1))
        while try storage.drainSyncs() < storage.appendedSequence {
          try #require(isReadable(storage.syncDescriptor), "no sync has ended in ten seconds")
        }
      }
      #expect(storage.syncedSequence == 50)
      #expect(storage.syncsDone.count == 50, "each append waited for its sync")
      #expect(storage.syncsDone.nanoseconds > 0)
      #expect(
        storage.nextDeadline == storage.nextDeadline.map { max($0, Moment.at(60_000).instant) })
      try storage.close(at: .at(2))
    }
  }

  @Test func `with an interval, a sync is asked for once in it and only when there is cause`()
    throws
  {
    let story = Story(seed: 22, count: 30)
    try inFolder { path in
      let storage = try open(path, .every(milliseconds: 50))
      #expect(storage.nextDeadline == nil)
      try storage.append(Array(story.records[..<10]), at: .at(1_000))
      #expect(storage.nextDeadline == Moment.at(1_050).instant)
      try storage.append(Array(story.records[10..<20]), at: .at(1_030))
      #expect(storage.nextDeadline == Moment.at(1_050).instant)
      storage.deadlineReached(at: Moment.at(1_049).instant)
      #expect(storage.nextDeadline == Moment.at(1_050).instant)
      storage.deadlineReached(at: Moment.at(1_050).instant)
      #expect(storage.nextDeadline == Moment.at(60_000).instant, "only a snapshot is left to do")
      try #require(isReadable(storage.syncDescriptor))
      #expect(try storage.drainSyncs() == 20)
      storage.deadlineReached(at: Moment.at(1_200).instant)
      try storage.append(Array(story.records[20...]), at: .at(1_300))
      #expect(storage.nextDeadline == Moment.at(1_350).instant)
      #expect(try storage.drainSyncs() == 20)
      try storage.close(at: .at(1_301))
    }
  }

  @Test func `with never, only a seal syncs, and the descriptor tells of it`() throws {
    let story = Story(seed: 23, count: 10)
    try inFolder { path in
      let storage = try open(path, .never)
      try storage.append(story.records, at: .at(1))
      storage.deadlineReached(at: Moment.at(100_000).instant)
      #expect(try storage.drainSyncs() == 0)
      #expect(try storage.sealForSnapshot(at: .at(2)) == 10)
      #expect(isReadable(storage.syncDescriptor))
      #expect(try storage.drainSyncs() == 10)
      storage.snapshotFailed(used: 1, at: Moment.at(2).instant)
      try storage.close(at: .at(3))
    }
  }

  @Test func `a storage that is dropped without a close is as one that was killed`() throws {
    let story = Story(seed: 24, count: 30)
    try inFolder { path in
      do {
        let storage = try open(path, .never)
        try storage.append(story.records, at: .at(1))
      }
      let (again, store, _) = try JobStorage.open(
        path, sync: .never, processID: getpid(), at: .at(2))
      #expect(store == story.states[30])
      #expect(again.syncedSequence == 30)
      try again.close(at: .at(3))
    }
  }

  @Test func `folders above that are missing are made too, for the owner only`() throws {
    try inFolder { path in
      for (below, parents) in [("a/b/c", ["a", "a/b"]), ("d//e/", ["d"]), ("a/f", ["a"])] {
        let storage = try open("\(path)/\(below)")
        try storage.append([.jobForgotten(1)], at: .at(1))
        try storage.close(at: .at(2))
        for folder in parents + [below] { #expect(mode("\(path)/\(folder)") == 0o700) }
      }
    }
  }

  @Test func `what cannot be discarded does not keep what comes after it, unlike a removal`() throws
  {
    try inFolder { path in
      let disk = POSIXFileSystem()
      try disk.makeDirectory(path)
      try disk.makeDirectory(path + "/folder")
      let background = try disk.startBackgroundSync()
      defer { background.stop() }
      for isKept in [true, false] {
        disk.close(try disk.open(path + "/file", for: .creating))
        let paths = [path + "/none", path + "/folder", path + "/file"]
        background.perform(paths.map { isKept ? .remove($0) : .discard($0) }, ticket: 0)
        let report = try background.settle()
        #expect(report.listFailure?.path == path + "/folder")
        #expect(try disk.list(path).contains("file") == isKept)
      }
      background.perform([.discard(path + "/none")], ticket: 0)
      #expect(try background.settle().listFailure == nil)
      _ = rmdir(path + "/folder")
    }
  }

  /// The descriptor of each folder that was synced stays open, which tells.
  @Test func `the name of a folder that is there is synced as well, and of the one above it`()
    throws
  {
    try inFolder { path in
      #expect(mkdir(path, 0o700) == 0)
      let disk = POSIXFileSystem()
      try DataDirectory(path: path).make(disk)
      var synced: Set<String> = []
      for descriptor in 3..<1024 as Range<Int32> {
        var target = [CChar](repeating: 0, count: 4096)
        guard readlink("/proc/self/fd/\(descriptor)", &target, 4095) > 0 else { continue }
        synced.insert(
          String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
      }
      let parent = String(path.dropLast("/data".count))
      #expect(synced.isSuperset(of: [parent, "/tmp"]), "\(synced)")
      withExtendedLifetime(disk) {}
    }
  }

  @Test func `each missing folder is made once, from the top on, and a failure ends it`() throws {
    for failAt in [nil, 1, 2, 3, 4] {
      let disk = MemoryFileSystem()
      disk.failAt = failAt
      let directory = DataDirectory(path: "a/b/c")
      if failAt == nil {
        try directory.make(disk)
        #expect(disk.folders == ["a", "a/b", "a/b/c"])
      } else {
        #expect(throws: StorageError.self) { try directory.make(disk) }
        #expect(!disk.folders.contains("a/b/c"))
      }
    }
  }

  @Test func `a folder that cannot be made is an error with the path and the number`() {
    do throws(StorageError) {
      _ = try open("/proc/nothing/here")
      Issue.record("it opened what is not there")
    } catch {
      #expect(error.code == .callFailed && error.errno == ENOENT)
      #expect(
        error.description
          == "/proc/nothing: cannot make the folder: No such file or directory (errno 2)")
    }
  }
}
