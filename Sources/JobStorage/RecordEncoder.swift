internal import Glibc
internal import JSON
internal import JobCore

/// Writes lines of the journal into one buffer that is used again and again. The format is
/// specified in `RecordCodec.swift`.
struct RecordEncoder {
  /// The capacity that is kept when the buffer is emptied; a larger one was for a rare large value.
  private static let capacityKept = 4 << 20

  private var writer = JSONWriter(capacity: 64 << 10)

  /// Whole lines, each with its line feed.
  var bytes: [UInt8] {
    mutating get { writer.bytes }
  }

  /// How many bytes were written since the last `removeAll`.
  var count: Int { writer.count }

  /// Forgets the lines.
  mutating func removeAll() {
    if writer.bytes.capacity > RecordEncoder.capacityKept {
      writer = JSONWriter(capacity: 64 << 10)
    } else {
      writer.removeAll()
    }
  }

  /// Appends the line that opens a segment.
  mutating func appendHeader(first: UInt64, createdAt: Timestamp) {
    let start = begin()
    writer.member("journal", integer: RecordCodec.version)
    writer.member("first", integer: first)
    writer.member("created_at", integer: createdAt)
    end(start)
  }

  /// Appends the line of one of `records`. It is looked at where it is: a copy of it would count
  /// references.
  ///
  /// - Parameter synced: the newest record of the segment that is known to be on the disk; 0: the
  ///   line does not tell.
  mutating func append(
    _ records: [Record], at index: Int, sequence: UInt64, synced: UInt64 = 0
  ) {
    let start = begin()
    writer.member("seq", integer: sequence)
    if synced > 0 { writer.member("synced", integer: synced) }
    switch records[index] {
    case .jobSubmitted(let submitted):
      open(#","job_submitted":{"job":"#, submitted.number)
      writer.submission(
        id: submitted.id, task: submitted.task, pool: submitted.pool, at: submitted.at,
        args: submitted.args, options: submitted.options)
    case .attemptStarted(let job, let attempt, let timestamp):
      open(#","attempt_started":{"job":"#, job)
      writer.member("attempt", integer: attempt)
      writer.member("at", integer: timestamp)
    case .attemptRevoked(let job, let revocation):
      open(#","attempt_revoked":{"job":"#, job)
      writer.member("reason", string: revocation.rawValue)
    case .attemptFailed(let job, let error, let retryAt):
      open(#","attempt_failed":{"job":"#, job)
      writer.member(error: error)
      writer.member("retry_at", integer: retryAt)
    case .jobQueued(let job): open(#","job_queued":{"job":"#, job)
    case .cancelRequested(let job): open(#","cancel_requested":{"job":"#, job)
    case .jobEnded(let job, let outcome, let timestamp):
      open(#","job_ended":{"job":"#, job)
      writer.member("at", integer: timestamp)
      append(outcome)
    case .jobForgotten(let job): open(#","job_forgotten":{"job":"#, job)
    case .jobWithdrawn(let job): open(#","job_withdrawn":{"job":"#, job)
    case .mapCreated(let created):
      open(#","map_created":{"map":"#, created.number)
      writer.map(created)
    case .mapInputEnded(let map, let error, let timestamp):
      open(#","map_input_ended":{"map":"#, map)
      writer.member("at", integer: timestamp)
      if let error { writer.member(inputError: error) }
    case .mapCancelRequested(let map): open(#","map_cancel_requested":{"map":"#, map)
    case .chunkReleased(let job): open(#","chunk_released":{"job":"#, job)
    case .mapForgotten(let map): open(#","map_forgotten":{"map":"#, map)
    case .mapWithdrawn(let map): open(#","map_withdrawn":{"map":"#, map)
    case .poolCreated(let specification, let timestamp):
      open("pool_created", specification.name)
      writer.pool(specification, specification.processes, at: timestamp)
    case .poolResized(let pool, let processes):
      open("pool_resized", pool)
      writer.member("processes", integer: processes)
    case .poolPaused(let pool): open("pool_paused", pool)
    case .poolResumed(let pool): open("pool_resumed", pool)
    case .poolClosed(let pool): open("pool_closed", pool)
    case .poolTerminated(let pool, let cause):
      open("pool_terminated", pool)
      writer.memberIfPresent("cause", string: cause)
    case .poolRemoved(let pool): open("pool_removed", pool)
    }
    writer.endObject()
    end(start)
  }

  private mutating func append(_ outcome: Outcome) {
    switch outcome {
    case .succeeded(let text): writer.member("result", text: text)
    case .succeededWithBytes(let bytes): writer.members(bytes)
    case .failed(let error): writer.member(error: error)
    case .cancelled: writer.member("cancelled", bool: true)
    }
  }

  /// Writes how a record begins, a piece that ends where the job's number goes.
  @inline(__always)
  private mutating func open(_ piece: StaticString, _ job: JobNumber) {
    writer.raw(piece)
    writer.integer(job)
  }

  /// Writes how a record of a pool begins: they are rare.
  private mutating func open(_ name: StaticString, _ pool: String) {
    writer.name(name)
    writer.beginObject()
    writer.member("pool", string: pool)
  }

  @inline(__always)
  private mutating func begin() -> Int {
    let start = writer.count
    writer.raw(RecordCodec.prefix)
    return start
  }

  /// Closes the line that begins at `start` and puts the checksum in.
  @inline(__always)
  private mutating func end(_ start: Int) {
    writer.endObject()
    writer.withUnsafeMutableBytes(from: start) { bytes in
      let line = bytes.baseAddress!
      let covered = UnsafeRawBufferPointer(
        start: line + RecordCodec.prefixBytes, count: bytes.count - RecordCodec.prefixBytes)
      // A payload that is not minified would break the file for good; better to stop here.
      precondition(
        memchr(covered.baseAddress!, 0x0A, covered.count) == nil, "a line feed inside of a record")
      RecordCodec.write(Checksum(of: covered).value, to: line + RecordCodec.digitsOffset)
    }
    writer.raw("\n")
  }
}

extension JSONWriter {
  /// The members of a submission after its number, those at their defaults left out.
  mutating func submission(
    id: JobID, task: String, pool: String, at: Timestamp, args: String, options: JobOptions?
  ) {
    name("id")
    plainString(count: id.byteCount) { id.write(to: $0) }
    member("task", string: task)
    member("pool", string: pool)
    member("at", integer: at)
    member("args", text: args)
    if let options { members(options) }
  }

  private mutating func members(_ options: JobOptions) {
    if !options.kwargs.isEmpty { member("kwargs", text: options.kwargs) }
    memberIfPresent("timeout_ms", integer: options.timeout)
    // Options that are all defaults are not the same as none: one member must tell.
    if options.attemptsMax != 1 || options == .defaults {
      member("attempts_max", integer: options.attemptsMax)
    }
    if options.onInterrupt != .requeue {
      member("on_interrupt", string: options.onInterrupt.rawValue)
    }
    if !options.tags.isEmpty {
      name("tags")
      strings(options.tags)
    }
    memberIfPresent("idempotency_key", string: options.idempotencyKey)
    if options.encoding != .json { member("encoding", string: options.encoding.rawValue) }
    memberIfPresent("main", string: options.main)
    guard let chunk = options.chunk else { return }
    member("map", integer: chunk.map)
    member("first", integer: chunk.first)
    member("count", integer: chunk.count)
  }

  /// The members of a map after its number, those at their defaults left out.
  mutating func map(_ created: MapCreated) {
    name("id")
    plainString(count: created.id.byteCount) { created.id.write(to: $0) }
    member("task", string: created.task)
    member("pool", string: created.pool)
    member("at", integer: created.at)
    member("chunk_size", integer: created.chunkSize)
    if created.isStar { member("star", bool: true) }
    memberIfPresent("total", integer: created.total)
    if let options = created.options { members(options) }
  }

  /// The members of a created pool after its name, those at their defaults left out.
  mutating func pool(
    _ specification: PoolSpecification, _ processes: Int, at timestamp: Timestamp
  ) {
    member("at", integer: timestamp)
    member("template", string: specification.template)
    member("processes", integer: processes)
    memberIfPresent("calls_max", integer: specification.callsPerWorkerMax)
    memberIfPresent("start_method", string: specification.startMethod)
    memberIfPresent("initializer", string: specification.initializer)
    if specification.initializerArguments != "[]" {
      member("initargs", text: specification.initializerArguments)
    }
    memberIfPresent("main", string: specification.main)
    if specification.allowsPickle { member("allow_pickle", bool: true) }
    memberIfPresent("idle_timeout_ms", integer: specification.idleTimeout)
    memberIfPresent("idempotency_key", string: specification.idempotencyKey)
  }

  /// The member `input_error`.
  mutating func member(inputError error: InputError) {
    name("input_error")
    beginObject()
    member("code", string: error.code.rawValue)
    member("message", string: error.message)
    endObject()
  }

  /// The members `result` and `content_type` of bytes.
  mutating func members(_ bytes: BytesResult) {
    member("result", string: bytes.base64)
    member("content_type", string: bytes.contentType)
  }

  /// The member `error`.
  mutating func member(error: JobError) {
    name("error")
    beginObject()
    member("code", string: error.code.rawValue)
    member("type", string: error.type)
    member("message", string: error.message)
    memberIfPresent("traceback", string: error.traceback)
    memberIfPresent("args", text: error.args)
    memberIfPresent("module", string: error.module)
    memberIfPresent("pickle", string: error.pickle)
    memberIfPresent("exitcode", integer: error.exitcode)
    member("attempt", integer: error.attempt)
    memberIfPresent("item", integer: error.item)
    if let values = error.values { member("values", text: values) }
    endObject()
  }
}
