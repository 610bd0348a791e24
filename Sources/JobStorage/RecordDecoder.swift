internal import JSON
internal import JobCore

/// Reads lines of the journal, and jobs and maps of a snapshot. The formats are specified in
/// `RecordCodec.swift` and `SnapshotCodec.swift`. Lines come without their line feed.
struct RecordDecoder {
  /// A line whose checksum is right and whose content is not.
  enum Unreadable: Error, Equatable {
    /// It was written in a version that this program does not know.
    case version(Int)
    /// Anything else, in words.
    case content(String)
  }

  /// What the line that opens a segment tells.
  struct Header: Equatable {
    /// The sequence number of the first record to come.
    var first: UInt64
    /// When the segment was begun.
    var createdAt: Timestamp
  }

  private var fields = RecordFields()
  /// The version of the format that the lines are read in: that of the last header.
  private(set) var version = RecordCodec.version
  /// The newest record of the segment that was known to be on the disk when the last line was
  /// written; 0: it does not tell.
  private(set) var synced: UInt64 = 0

  /// A decoder of lines of the newest version until a header says another, or of the rows of a
  /// snapshot whose members are those of this version of the journal.
  init(version: Int = RecordCodec.version) {
    self.version = version
  }

  /// Reads the line that opens a segment, and with it how the lines after it are to be read.
  mutating func header(_ line: UnsafeBufferPointer<UInt8>) throws(Unreadable) -> Header {
    let values: [String: Int]
    do throws(JSONError) {
      values = try JSONReader.read(line) { (reader) throws(JSONError) in
        try RecordDecoder.integers(&reader)
      }
    } catch {
      throw .content(error.description)
    }
    // The version comes first: other versions may have other members.
    guard let version = values["journal"] else {
      throw .content("the first line does not say that this is a journal")
    }
    guard RecordCodec.versions.contains(version) else { throw .version(version) }
    guard let first = values["first"], first > 0, let createdAt = values["created_at"] else {
      throw .content("the first line lacks \"first\" or \"created_at\"")
    }
    self.version = version
    return Header(first: UInt64(first), createdAt: Timestamp(createdAt))
  }

  /// The members of an object that are numbers, which must be integers.
  static func integers(_ reader: inout JSONReader) throws(JSONError) -> [String: Int] {
    var values: [String: Int] = [:]
    try reader.beginObject()
    while let name = try reader.nextMember() {
      if try reader.kind() == .number { values[name] = try reader.readInt() }
    }
    return values
  }

  /// Reads the line of a record.
  mutating func record(
    _ line: UnsafeBufferPointer<UInt8>
  ) throws(Unreadable) -> (sequence: UInt64, record: Record) {
    var sequence = 0
    synced = 0
    var shape: RecordShape?
    var stranger: String?
    do throws(JSONError) {
      var reader = JSONReader(line, depthMax: RecordCodec.depthMax)
      try reader.beginObject()
      while let name = try reader.nextMember() {
        if name == "crc" {
          try reader.skipValue()
        } else if name == "seq" {
          sequence = try reader.readInt()
        } else if shape == nil, let found = RecordShape.record(named: name, version: version) {
          shape = found
          try fields.read(&reader, found, version)
        } else if name == "synced", version >= 3, synced == 0 {
          let number = try reader.readInt()
          if number > 0 { synced = UInt64(number) } else { stranger = name }
        } else {
          stranger = name
        }
      }
      try reader.end()
    } catch {
      throw .content(error.description)
    }
    if let stranger { throw .content("\"\(stranger)\" has no place in this line") }
    guard sequence > 0, let shape else { throw .content("the line holds no record") }
    guard synced < UInt64(sequence) else { throw .content("\"synced\" cannot be \(synced)") }
    if let fault = fields.fault { throw .content(fault) }
    return (UInt64(sequence), try record(shape.kind))
  }

  private func record(_ kind: RecordShape.Kind) throws(Unreadable) -> Record {
    switch kind {
    case .jobSubmitted: .jobSubmitted(fields.submission)
    case .attemptStarted: .attemptStarted(fields.job, attempt: fields.attempt, at: fields.at)
    case .attemptRevoked: .attemptRevoked(fields.job, fields.reason)
    case .attemptFailed: .attemptFailed(fields.job, fields.error, retryAt: fields.retryAt)
    case .jobQueued: .jobQueued(fields.job)
    case .cancelRequested: .cancelRequested(fields.job)
    case .jobEnded: .jobEnded(fields.job, try outcome(), at: fields.at)
    case .jobForgotten: .jobForgotten(fields.job)
    case .jobWithdrawn: .jobWithdrawn(fields.job)
    case .mapCreated: .mapCreated(fields.mapCreated)
    case .mapInputEnded: .mapInputEnded(fields.map, fields.endOfInput, at: fields.at)
    case .mapCancelRequested: .mapCancelRequested(fields.map)
    case .chunkReleased: .chunkReleased(fields.job)
    case .mapForgotten: .mapForgotten(fields.map)
    case .mapWithdrawn: .mapWithdrawn(fields.map)
    case .poolCreated: .poolCreated(fields.poolSpecification, at: fields.at)
    case .poolResized: .poolResized(fields.pool, processes: fields.processes)
    case .poolPaused: .poolPaused(fields.pool)
    case .poolResumed: .poolResumed(fields.pool)
    case .poolClosed: .poolClosed(fields.pool)
    case .poolTerminated: .poolTerminated(fields.pool, cause: fields.poolCause)
    case .poolRemoved: .poolRemoved(fields.pool)
    case .snapshotJob, .snapshotMap, .snapshotPool:
      preconditionFailure("a row of a snapshot is no record")
    }
  }

  private func outcome() throws(Unreadable) -> Outcome {
    switch fields.seen.intersection([.result, .error, .cancelled]) {
    case .result where fields.seen.contains(.contentType):
      .succeededWithBytes(try bytesResult())
    case .result: .succeeded(fields.result)
    case .error: .failed(fields.error)
    case .cancelled: .cancelled
    default: throw .content("job_ended needs one of \"result\", \"error\", \"cancelled\"")
    }
  }

  /// The result that has a content type: base64 in a string.
  private func bytesResult() throws(Unreadable) -> BytesResult {
    let text = fields.result.utf8
    let quote = UInt8(ascii: "\"")
    let isBase64 = text.dropFirst().dropLast().allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"),
        UInt8(ascii: "="):
        true
      default: false
      }
    }
    guard text.count >= 2, text.first == quote, isBase64, (text.count - 2).isMultiple(of: 4) else {
      throw .content("a \"result\" with a \"content_type\" is a string of base64")
    }
    return BytesResult(
      contentType: fields.contentType, base64: String(fields.result.dropFirst().dropLast()))
  }

  /// Whether a row of a snapshot is a map.
  static func isMap(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    let opening: StaticString = "{\"map\":"
    return text.starts(with: opening.bytes)
  }

  /// Whether a row of a snapshot is a pool.
  static func isPool(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    let opening: StaticString = "{\"pool\":"
    return text.starts(with: opening.bytes)
  }

  /// Reads a pool of a snapshot: one JSON object.
  mutating func pool(_ text: UnsafeBufferPointer<UInt8>) throws(Unreadable) -> CreatedPool {
    do throws(JSONError) {
      var reader = JSONReader(text, depthMax: RecordCodec.depthMax)
      try fields.read(&reader, .snapshotPool, version)
      try reader.end()
    } catch {
      throw .content(error.description)
    }
    if let fault = fields.fault { throw .content(fault) }
    return fields.createdPool
  }

  /// Reads a map of a snapshot: one JSON object.
  mutating func map(_ text: UnsafeBufferPointer<UInt8>) throws(Unreadable) -> RestoredMap {
    do throws(JSONError) {
      var reader = JSONReader(text, depthMax: RecordCodec.depthMax)
      try fields.read(&reader, .snapshotMap, version)
      try reader.end()
    } catch {
      throw .content(error.description)
    }
    if let fault = fields.fault { throw .content(fault) }
    return fields.restoredMap
  }

  /// Reads a job of a snapshot: one JSON object.
  mutating func job(_ text: UnsafeBufferPointer<UInt8>) throws(Unreadable) -> RestoredJob {
    do throws(JSONError) {
      var reader = JSONReader(text, depthMax: RecordCodec.depthMax)
      try fields.read(&reader, .snapshotJob(version: version), version)
      try reader.end()
    } catch {
      throw .content(error.description)
    }
    if let fault = fields.fault { throw .content(fault) }
    return try restored()
  }

  private func restored() throws(Unreadable) -> RestoredJob {
    let seen = fields.seen
    var job = RestoredJob(submitted: fields.submission, state: fields.state)
    job.isCancelRequested = seen.contains(.cancelRequested)
    job.losses = seen.contains(.losses) ? fields.losses : 0
    job.attempt = seen.contains(.attempt) ? fields.attempt : 0
    job.version = fields.version
    job.line = seen.contains(.line) ? fields.line : nil
    job.startedAt = seen.contains(.startedAt) ? fields.startedAt : 0
    if seen.contains(.endedAt) { job.endedOrDueAt = fields.endedAt }
    if seen.contains(.dueAt) { job.endedOrDueAt = fields.dueAt }
    switch seen.intersection([.result, .error]) {
    case []: job.ending = .none
    case .result where seen.contains(.contentType): job.ending = .bytes(try bytesResult())
    case .result: job.ending = .result(fields.result)
    case .error: job.ending = .error(fields.error)
    default: throw .content("a job has either a \"result\" or an \"error\"")
    }
    try check(job)
    return job
  }

  /// Refuses what no sequence of records can lead to and what `JobStore` relies on.
  private func check(_ job: RestoredJob) throws(Unreadable) {
    let isWhole =
      switch (job.state, job.ending) {
      case (.succeeded, .result), (.succeeded, .bytes), (.failed, .error), (.cancelled, .none): true
      case (.queued, .none), (.queued, .error), (.scheduled, .error): true
      case (.running, .none), (.running, .error): job.attempt > 0
      default: false
      }
    let isEndedChunk = job.state.isFinal && job.submitted.options?.chunk != nil
    guard isWhole, isEndedChunk == (job.line != nil) else {
      throw .content("job \(job.submitted.number) cannot be \(job.state) with what it holds")
    }
  }
}
