import JSON
import JobCore

/// Writes a job's handle: what the client holds, in every state the same members.
enum HandleWriter {
  /// Appends the handle of a job that `engine` holds.
  ///
  /// - Parameters:
  ///   - isReplay: whether it answers a submission, one of several, that repeats an earlier one.
  ///   - omitsOutcome: whether result or error are left out, since the answer is full; the handle
  ///     says so.
  static func write(
    _ job: Job, of engine: Engine, includeArguments: Bool = false, isReplay: Bool = false,
    omitsOutcome: Bool = false, to writer: inout JSONWriter
  ) {
    let path = JobPath(id: job.id)
    writer.beginObject()
    writer.name("id")
    writer.plainString(count: path.idByteCount) { path.writeID(to: $0) }
    writer.member("task", string: engine.store.text(of: job.task))
    writer.member("pool", string: engine.store.text(of: job.pool))
    writer.members(members(of: job.state))
    writer.member("attempt", integer: Int(job.attempt))
    let options = job.effectiveOptions
    writer.member("max_attempts", integer: options.attemptsMax)
    writeOptions(options, of: job, includeArguments, to: &writer)
    if job.state == .running, let progress = engine.progress(ofJob: job.number) {
      writer.name("progress")
      write(progress, to: &writer)
    }
    writeMoments(job, retentionAge: engine.limits.retentionAge, to: &writer)
    if job.state == .running, let pid = engine.workerPID(ofJob: job.number) {
      writer.name("worker")
      writer.beginObject()
      writer.member("pid", integer: Int(pid))
      writer.endObject()
    }
    switch job.ending {
    case .none: break
    case .result where omitsOutcome, .error where omitsOutcome:
      writer.member("outcome_omitted", bool: true)
    case .result(let text): writer.member("result", text: text)
    case .bytes(let bytes):
      writer.member("result_content_type", string: bytes.contentType)
      writer.member("result_size", integer: bytes.count)
    case .error(let error):
      writer.name("error")
      write(error, ofChunk: job.options?.chunk != nil, to: &writer)
    }
    if let chunk = job.options?.chunk, let map = engine.store.map(chunk.map) {
      writer.member("map", id: map.id)
      writer.member("first", integer: chunk.first)
      writer.member("count", integer: chunk.count)
    }
    writer.name("result_url")
    writer.plainString(count: path.byteCount(with: "/result")) { path.write(to: $0, "/result") }
    writer.name("events_url")
    writer.plainString(count: path.byteCount(with: "/events")) { path.write(to: $0, "/events") }
    if isReplay { writer.member("idempotent_replayed", bool: true) }
    writer.endObject()
  }

  /// What a state means to a client, as Python's `ready()` and `successful()` do.
  private static func members(of state: JobState) -> StaticString {
    switch state {
    case .scheduled: #""state":"scheduled","ready":false,"successful":null"#
    case .queued: #""state":"queued","ready":false,"successful":null"#
    case .running: #""state":"running","ready":false,"successful":null"#
    case .succeeded: #""state":"succeeded","ready":true,"successful":true"#
    case .failed: #""state":"failed","ready":true,"successful":false"#
    case .cancelled: #""state":"cancelled","ready":true,"successful":false"#
    }
  }

  private static func writeOptions(
    _ options: JobOptions, of job: Job, _ includeArguments: Bool, to writer: inout JSONWriter
  ) {
    if job.isCancelRequested { writer.member("cancel_requested", bool: true) }
    if job.losses > 0 { writer.member("interruptions", integer: Int(job.losses)) }
    if let timeout = options.timeout {
      writer.member("timeout", number: Double(timeout) / 1_000)
    }
    if !options.tags.isEmpty {
      writer.name("tags")
      writer.beginArray()
      for tag in options.tags { writer.string(tag) }
      writer.endArray()
    }
    if options.encoding != .json { writer.member("encoding", string: options.encoding.rawValue) }
    writer.memberIfPresent("main", string: options.main)
    guard includeArguments else { return }
    writer.member("args", text: job.args)
    writer.member("kwargs", text: options.kwargs.isEmpty ? "{}" : options.kwargs)
  }

  private static func writeMoments(
    _ job: Job, retentionAge: Milliseconds, to writer: inout JSONWriter
  ) {
    let second = RFC3339.Second(of: job.createdAt)
    writer.member("created_at", moment: job.createdAt, near: second)
    if let runAt = job.runAt { writer.member("run_at", moment: runAt) }
    if job.startedAt != 0 {
      writer.member("started_at", moment: job.startedAt, near: second)
    }
    if let finishedAt = job.finishedAt {
      writer.member("finished_at", moment: finishedAt, near: second)
      writer.member("expires_at", moment: finishedAt + retentionAge)
    }
  }

  /// Appends how far a call says that it is.
  static func write(_ progress: Progress, to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("value", text: progress.value)
    writer.memberIfPresent("message", string: progress.message)
    writer.endObject()
  }

  /// Appends a job's error; that of a chunk with the item in it that failed, and the values before.
  static func write(
    _ error: JobError, ofChunk isOfChunk: Bool = false, to writer: inout JSONWriter
  ) {
    writer.beginObject()
    writer.member("code", string: error.code.rawValue)
    writer.member("type", string: error.type)
    writer.member("message", string: error.message)
    if let traceback = error.traceback { writer.member("traceback", string: traceback) }
    writer.memberIfPresent("args", text: error.args)
    writer.memberIfPresent("module", string: error.module)
    writer.memberIfPresent("pickle", string: error.pickle)
    if let exitcode = error.exitcode { writer.member("exitcode", integer: Int(exitcode)) }
    if let signal = error.signal { writer.member("signal", integer: Int(signal)) }
    writer.member("attempt", integer: error.attempt)
    if isOfChunk {
      writer.memberIfPresent("item", integer: error.item)
      writer.memberIfPresent("values", text: error.values)
    }
    writer.endObject()
  }
}
