internal import JSON
internal import JobCore

/// Writes a snapshot in pieces of about 1 MiB, so that its size costs no memory. The format is
/// specified in `SnapshotCodec.swift`.
struct SnapshotWriter {
  /// Bytes that are gathered before they are written.
  private static let pieceBytes = 1 << 20

  private let fileSystem: any FileSystem
  private let file: OpenFile
  private var writer = JSONWriter(capacity: pieceBytes + (64 << 10))
  private var checksum = Checksum()
  private var bytesWritten = 0

  /// Writes the state `store` after record `sequence` into the folder, and answers how many bytes
  /// it takes. Blocks for as long as the disk does: it is for the process that makes snapshots.
  ///
  /// The file has its name when every byte of it is on the disk and not before. On an error nothing
  /// is left of it but, if removing it fails too, the temporary file, which the next start removes;
  /// or, if it is the sync of the folder that fails, the whole snapshot by its name, which a loss
  /// of power may take.
  static func write(
    _ store: JobStore, sequence: UInt64, createdAt: Timestamp, into directory: DataDirectory,
    _ fileSystem: any FileSystem
  ) throws(StorageError) -> Int {
    let path = directory.snapshot(sequence)
    let temporary = DataDirectory.temporary(path)
    let file = try fileSystem.open(temporary, for: .creating)
    var bytes = 0
    do throws(StorageError) {
      defer { fileSystem.close(file) }
      var writer = SnapshotWriter(fileSystem: fileSystem, file: file)
      bytes = try writer.write(store, sequence: sequence, createdAt: createdAt)
      try fileSystem.sync(file)
      try fileSystem.rename(temporary, to: path)
    } catch {
      try? fileSystem.remove(temporary)
      throw error
    }
    try fileSystem.syncDirectory(directory.path)
    return bytes
  }

  private init(fileSystem: any FileSystem, file: OpenFile) {
    self.fileSystem = fileSystem
    self.file = file
  }

  private mutating func write(
    _ store: JobStore, sequence: UInt64, createdAt: Timestamp
  ) throws(StorageError) -> Int {
    writer.beginObject()
    writer.member("snapshot", integer: SnapshotCodec.version)
    writer.member("seq", integer: sequence)
    writer.member("created_at", integer: createdAt)
    writer.member("next_number", integer: store.nextNumber)
    writer.raw(",\n")
    writer.raw(SnapshotCodec.forgottenOpening)
    for hash in store.forgotten.hashes { writer.string(SnapshotWriter.digits(hash)) }
    writer.raw("],\n")
    writer.raw(SnapshotCodec.jobsOpening)
    try append(store)
    let count = store.count + store.mapCount + store.createdPools.count
    writer.raw(count > 0 ? "\n" : "")
    writer.raw(SnapshotCodec.countOpening)
    writer.integer(count)
    writer.raw(SnapshotCodec.checksumOpening)
    writer.bytes.withUnsafeBytes { checksum.update($0) }
    withUnsafeTemporaryAllocation(byteCount: 8, alignment: 1) { digits in
      RecordCodec.write(checksum.value, to: digits.baseAddress!)
      writer.bytes.append(contentsOf: digits)
    }
    writer.raw(SnapshotCodec.ending)
    try flush()
    return bytesWritten
  }

  private mutating func append(_ store: JobStore) throws(StorageError) {
    var failure: StorageError?
    var isFirst = true
    func appendRow(_ write: (inout JSONWriter) -> Void) {
      guard failure == nil else { return }
      if !isFirst { writer.raw(",\n") }
      isFirst = false
      write(&writer)
      guard writer.count >= SnapshotWriter.pieceBytes else { return }
      do throws(StorageError) {
        writer.bytes.withUnsafeBytes { checksum.update($0) }
        try flush()
      } catch {
        failure = error
      }
    }
    for pool in store.createdPools { appendRow { $0.pool(pool) } }
    // Asked for once: it is another module's, so that to ask for it copies the store.
    let names = store.names
    store.forEachInSnapshotOrder { map in
      appendRow { $0.map(RestoredMap(map, names: names)) }
    } jobs: { job, line in
      appendRow { $0.job(job, line, names: names) }
    }
    if let failure { throw failure }
  }

  /// Writes what was gathered. Its checksum is the caller's, as the last piece's covers less.
  private mutating func flush() throws(StorageError) {
    let result = writer.bytes.withUnsafeBytes { bytes in
      Result { () throws(StorageError) in try fileSystem.appendAll(file, bytes) }
    }
    try result.get()
    bytesWritten += writer.count
    writer.removeAll()
  }

  private static func digits(_ hash: UInt64) -> String {
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}

extension FileSystem {
  /// Appends every byte: with one call, unless it takes only a part.
  ///
  /// - Throws: `appendFailed`; a part of the bytes may then be at the end of the file.
  func appendAll(_ file: OpenFile, _ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    var rest = bytes
    while rest.count > 0 {
      do throws(StorageError) {
        rest = UnsafeRawBufferPointer(rebasing: rest[try append(file, rest)...])
      } catch {
        throw error.recoded(.appendFailed)
      }
    }
  }
}

extension JSONWriter {
  /// A job as a snapshot holds it; see `SnapshotCodec.swift`.
  fileprivate mutating func job(_ job: Job, _ line: Int?, names: NameTable) {
    beginObject()
    member("job", integer: job.number)
    submission(
      id: job.id, task: names[job.task], pool: names[job.pool], at: job.createdAt,
      args: job.args, options: job.options)
    member("state", string: job.state.rawValue)
    member("version", integer: job.version)
    if job.attempt != 0 { member("attempt", integer: job.attempt) }
    if job.losses != 0 { member("losses", integer: job.losses) }
    if job.isCancelRequested { member("cancel_requested", bool: true) }
    if job.startedAt != 0 { member("started_at", integer: job.startedAt) }
    if job.endedOrDueAt != 0 {
      name(job.state.isFinal ? "ended_at" : "due_at")
      integer(job.endedOrDueAt)
    }
    switch job.ending {
    case .none: break
    case .result(let text): member("result", text: text)
    case .bytes(let bytes): members(bytes)
    case .error(let error): member(error: error)
    }
    memberIfPresent("line", integer: line)
    endObject()
  }

  /// A created pool as a snapshot holds it; see `SnapshotCodec.swift`.
  fileprivate mutating func pool(_ pool: CreatedPool) {
    beginObject()
    member("pool", string: pool.name)
    self.pool(pool.specification, pool.processes, at: pool.createdAt)
    if pool.isPaused { member("paused", bool: true) }
    if pool.stage != .running { member("stage", string: pool.stage.rawValue) }
    memberIfPresent("cause", string: pool.cause)
    if pool.processes != pool.specification.processes {
      member("created_processes", integer: pool.specification.processes)
    }
    if pool.firstNumber != 1 { member("first", integer: pool.firstNumber) }
    endObject()
  }

  /// A map as a snapshot holds it, without its chunks; see `SnapshotCodec.swift`.
  fileprivate mutating func map(_ map: RestoredMap) {
    beginObject()
    member("map", integer: map.created.number)
    self.map(map.created)
    member("version", integer: map.version)
    if map.isCancelRequested { member("cancel_requested", bool: true) }
    if map.inputEndedAt != 0 { member("input_ended_at", integer: map.inputEndedAt) }
    if let error = map.inputError { member(inputError: error) }
    if map.finishedAt != 0 { member("ended_at", integer: map.finishedAt) }
    if map.releasedChunks != 0 {
      member("released_chunks", integer: map.releasedChunks)
      member("released_succeeded", integer: map.releasedItems.succeeded)
      member("released_failed", integer: map.releasedItems.failed)
      member("released_skipped", integer: map.releasedItems.skipped)
      if let failed = map.releasedError {
        member(error: failed.error)
        member("first", integer: failed.first)
      }
    }
    endObject()
  }
}
