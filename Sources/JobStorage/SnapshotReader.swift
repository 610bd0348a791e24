internal import JSON
internal import JobCore

/// Reads a snapshot, twice: once for its checksum, as nothing may be built from damaged bytes, and
/// once for its jobs. The format is specified in `SnapshotCodec.swift`.
struct SnapshotReader {
  /// What a snapshot holds.
  struct Content {
    /// The state.
    var store: JobStore
    /// The sequence number of the last record in it.
    var sequence: UInt64
    /// The size of the file.
    var bytes: Int
  }

  private let path: String
  private let fileSystem: any FileSystem

  /// Reads the snapshot at `path` into a store that is empty.
  ///
  /// - Throws: `damaged`, `unknownVersion`, or `callFailed`.
  static func read(
    _ path: String, into empty: JobStore, _ fileSystem: any FileSystem
  ) throws(StorageError) -> Content {
    let reader = SnapshotReader(path: path, fileSystem: fileSystem)
    let count = try reader.checkedCount()
    return try reader.content(count: count, into: empty)
  }

  private func damaged(_ reason: String, line: Int? = nil) -> StorageError {
    StorageError(.damaged, path: path, line: line, reason: reason)
  }

  // MARK: The first pass

  /// Goes through the whole file and answers how many jobs its last line claims; the checksum is
  /// right then. What the first line says comes after that: a changed digit is no other version.
  private func checkedCount() throws(StorageError) -> Int {
    let lines = try LineReader(path, fileSystem)
    var checksum = Checksum()
    let lineFeed = ("\n" as StaticString).bytes
    while let line = try lines.next() {
      if line.bytes.first == UInt8(ascii: "]") {
        let count = try count(line, checksum)
        guard try lines.next() == nil else {
          throw damaged("something follows the end of the snapshot", line: line.number + 1)
        }
        return count
      }
      checksum.update(UnsafeRawBufferPointer(line.bytes))
      if line.isTerminated { checksum.update(UnsafeRawBufferPointer(lineFeed)) }
    }
    throw damaged("the snapshot ends before its last line")
  }

  /// Checks the last line: `],"count":COUNT,"crc":"DIGITS"}`.
  private func count(
    _ line: LineReader.Line, _ before: Checksum
  ) throws(StorageError) -> Int {
    let bytes = UnsafeRawBufferPointer(line.bytes)
    // The line feed is the reader's to take off.
    let tail = SnapshotCodec.ending.bytes.count - 1
    let opening = SnapshotCodec.countOpening.bytes
    let middle = SnapshotCodec.checksumOpening.bytes
    guard line.isTerminated, bytes.count > opening.count + middle.count + 8 + tail,
      bytes.starts(with: opening), bytes.suffix(tail).elementsEqual("\"}".utf8),
      bytes.dropLast(tail + 8).suffix(middle.count).elementsEqual(middle),
      let count = Int(
        String(
          decoding: bytes.dropFirst(opening.count).dropLast(middle.count + 8 + tail),
          as: UTF8.self)),
      count >= 0
    else { throw damaged("the last line is not as it must be", line: line.number) }
    var checksum = before
    checksum.update(UnsafeRawBufferPointer(rebasing: bytes.dropLast(tail + 8)))
    var claimed: UInt32 = 0
    for byte in bytes.dropLast(tail).suffix(8) {
      guard let digit = RecordCodec.hexadecimal(byte) else {
        throw damaged("the checksum is not a number", line: line.number)
      }
      claimed = claimed << 4 | UInt32(digit)
    }
    guard claimed == checksum.value else { throw damaged("the checksum is wrong") }
    return count
  }

  // MARK: The second pass

  private func content(
    count: Int, into empty: JobStore
  ) throws(StorageError) -> Content {
    let lines = try LineReader(path, fileSystem)
    guard let first = try lines.next() else { throw damaged("the snapshot is empty") }
    let head = try head(first)
    var store = empty
    guard let second = try lines.next() else { throw damaged("the snapshot has one line") }
    store.restore(nextNumber: head.nextNumber, forgotten: try forgotten(second))
    guard let third = try lines.next(),
      third.bytes.elementsEqual(SnapshotCodec.jobsOpening.bytes.dropLast())
    else { throw damaged("no jobs begin here", line: 3) }
    var decoder = RecordDecoder(version: SnapshotCodec.journalVersion(of: head.version))
    for _ in 0..<count {
      guard let line = try lines.next() else { throw damaged("jobs are missing") }
      try restore(line, &decoder, &store)
    }
    guard let last = try lines.next(), last.bytes.first == UInt8(ascii: "]") else {
      throw damaged("there are more jobs than the last line claims")
    }
    store.retireNames()
    return Content(store: store, sequence: head.sequence, bytes: lines.bytesRead)
  }

  /// The first line: an object whose brace is not closed yet.
  private func head(
    _ line: LineReader.Line
  ) throws(StorageError) -> (version: Int, sequence: UInt64, nextNumber: JobNumber) {
    var text = [UInt8](line.bytes)
    guard text.popLast() == UInt8(ascii: ",") else {
      throw damaged("it does not begin like a snapshot", line: 1)
    }
    text.append(UInt8(ascii: "}"))
    let values: [String: Int]
    do throws(JSONError) {
      values = try JSONReader.read(text) { (reader) throws(JSONError) in
        try RecordDecoder.integers(&reader)
      }
    } catch {
      throw damaged("it does not begin like a snapshot: \(error)", line: 1)
    }
    guard let version = values["snapshot"] else {
      throw damaged("the first line does not say that this is a snapshot", line: 1)
    }
    guard SnapshotCodec.versions.contains(version) else {
      throw StorageError.unknownVersion(
        version, path: path, known: "1 to \(SnapshotCodec.version)")
    }
    guard let sequence = values["seq"], sequence > 0, let next = values["next_number"], next > 0,
      values["created_at"] != nil
    else {
      throw damaged("the first line lacks \"seq\", \"created_at\" or \"next_number\"", line: 1)
    }
    // Each number that was given away took a record.
    guard next - 1 <= sequence, next <= JobStore.numberLimit else {
      throw damaged("\"next_number\" cannot be \(next) after record \(sequence)", line: 1)
    }
    return (version, UInt64(sequence), JobNumber(next))
  }

  /// The second line: a member whose value is an array of hashes.
  private func forgotten(_ line: LineReader.Line) throws(StorageError) -> [UInt64] {
    let opening = SnapshotCodec.forgottenOpening.bytes
    guard line.bytes.starts(with: opening), line.bytes.last == UInt8(ascii: ",") else {
      throw damaged("no forgotten ids begin here", line: 2)
    }
    let array = UnsafeBufferPointer(
      rebasing: line.bytes.dropFirst(opening.count - 1).dropLast())
    var hashes: [UInt64]? = []
    do throws(JSONError) {
      try JSONReader.read(array) { (reader) throws(JSONError) in
        try reader.beginArray()
        while try reader.nextElement() {
          let digits = try reader.readString()
          if digits.utf8.count == 16, let hash = UInt64(digits, radix: 16) {
            hashes?.append(hash)
          } else {
            hashes = nil
          }
        }
      }
    } catch {
      throw damaged(error.description, line: 2)
    }
    guard let hashes else { throw damaged("a forgotten id is no hash", line: 2) }
    return hashes
  }

  private func restore(
    _ line: LineReader.Line, _ decoder: inout RecordDecoder, _ store: inout JobStore
  ) throws(StorageError) {
    let isFollowed = line.bytes.last == UInt8(ascii: ",")
    let text = UnsafeBufferPointer(rebasing: line.bytes.dropLast(isFollowed ? 1 : 0))
    let number: JobNumber
    do throws(RecordDecoder.Unreadable) {
      if decoder.version >= 3, RecordDecoder.isPool(text) {
        let pool = try decoder.pool(text)
        if store.createdPool(named: pool.name) == nil { return store.restore(pool) }
        throw .content("the pool \"\(pool.name)\" stands twice")
      } else if decoder.version >= 3, RecordDecoder.isMap(text) {
        let map = try decoder.map(text)
        number = map.created.number
        try requirePlace(map.created.task, map.created.pool, in: store)
        if isFree(number, map.created.id, in: store) { return store.restore(map) }
      } else {
        let job = try decoder.job(text)
        number = job.submitted.number
        if let number = job.submitted.options?.chunk?.map {
          let map = store.map(number)
          guard map.map({ store.names[$0.pool] == job.submitted.pool }) ?? false else {
            throw .content(
              "job \(job.submitted.number) is a chunk of map \(number), which is not there, or of"
                + " another pool")
          }
        }
        try requirePlace(job.submitted.task, job.submitted.pool, in: store)
        if isFree(number, job.submitted.id, in: store) { return store.restore(job) }
      }
    } catch {
      throw StorageError(error, path: path, line: line.number)
    }
    throw damaged(
      "number \(number), or its id, stands twice, or the number cannot be", line: line.number)
  }

  private func requirePlace(
    _ task: String, _ pool: String, in store: JobStore
  ) throws(RecordDecoder.Unreadable) {
    guard !store.hasPlace(forTask: task, pool: pool) else { return }
    throw .content("there are more names of tasks and pools than can be")
  }

  private func isFree(_ number: JobNumber, _ id: JobID, in store: JobStore) -> Bool {
    number < store.nextNumber && store.nextNumber - number <= JobStore.numberSpanMax
      && store[number] == nil && store.map(number) == nil && !store.isTaken(id)
  }
}

extension StorageError {
  /// The error for a file of a version that this program does not know.
  static func unknownVersion(_ version: Int, path: String, known: String) -> StorageError {
    StorageError(
      .unknownVersion, path: path, line: 1,
      reason: "it was written in version \(version) of the format; this program reads version"
        + " \(known) only")
  }

  /// The error for a line that cannot be read although its checksum is right.
  init(_ unreadable: RecordDecoder.Unreadable, path: String, line: Int) {
    switch unreadable {
    case .version(let version):
      self = .unknownVersion(version, path: path, known: "1 to \(RecordCodec.version)")
    case .content(let reason):
      self.init(.damaged, path: path, line: line, reason: reason)
    }
  }
}
