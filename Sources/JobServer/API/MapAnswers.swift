import DequeModule
import HTTPServer
import JSON
import JobCore

/// How maps look as HTTP responses.
enum MapAnswers {
  /// Bytes of a list of results that is sent as one piece.
  private static let wholeMax = 64 << 10

  /// The strong validator of a handle.
  static func entityTag(of map: JobMap) -> String {
    "\"" + String(map.number) + "-" + String(map.version) + "\""
  }

  /// The handle of a map, as `presentation` wants it.
  static func handle(
    of map: JobMap, in engine: Engine, _ presentation: Presentation
  ) -> HTTPResponse {
    var headers: HTTPHeaders = ["Vary": "Prefer"]
    headers.add("ETag", entityTag(of: map))
    if let applied = presentation.preferenceApplied { headers.add("Preference-Applied", applied) }
    if presentation.isReplay { headers.add("Idempotent-Replayed", "true") }
    let isFinal = map.stage == .final
    if !isFinal { headers.add("Retry-After", "1") }
    if presentation.heldVersion == map.version {
      return HTTPResponse(status: 304, headers: headers)
    }
    var status = 200
    if presentation.isAcceptance {
      headers.add("Location", "/v1/maps/\(map.id)")
      status = isFinal && presentation.isWaited ? 200 : 202
    }
    var writer = JSONWriter(capacity: 768)
    write(map, of: engine, to: &writer)
    return HTTPResponse(
      status: status, contentType: "application/json", headers: headers, body: writer.bytes)
  }

  /// Appends the handle of a map: in every state the same members. An error of more than
  /// `errorBytesMax` is left out, and the handle says so.
  static func write(
    _ map: JobMap, of engine: Engine, errorBytesMax: Int = .max, to writer: inout JSONWriter
  ) {
    writer.beginObject()
    writer.member("id", id: map.id)
    writer.member("task", string: engine.store.names[map.task])
    writer.member("pool", string: engine.store.names[map.pool])
    writer.member("state", string: map.state.rawValue)
    writer.member("ready", bool: map.stage == .final)
    if map.stage == .final {
      writer.member("successful", bool: map.state == .succeeded)
    } else {
      writer.members(#""successful":null"#)
    }
    if let total = map.total {
      writer.member("total", integer: total)
    } else {
      writer.members(#""total":null"#)
    }
    writeItems(map.items, to: &writer)
    writer.member("chunks", integer: map.chunkCount)
    writer.member("chunksize", integer: map.chunkSize)
    if map.isStar { writer.member("star", bool: true) }
    writeOptions(of: map, to: &writer)
    writer.member("created_at", moment: map.createdAt)
    if map.stage == .final {
      writer.member("finished_at", moment: map.finishedAt)
      writer.member("expires_at", moment: map.finishedAt + engine.limits.retentionAge)
    }
    writeError(of: map, in: engine, errorBytesMax, to: &writer)
    writer.member("result_url", string: "/v1/maps/\(map.id)/result")
    writer.member("results_url", string: "/v1/maps/\(map.id)/results")
    writer.endObject()
  }

  private static func writeItems(_ items: ItemCounts, to writer: inout JSONWriter) {
    writer.name("items")
    writer.beginObject()
    writer.member("queued", integer: items.queued)
    writer.member("running", integer: items.running)
    writer.member("done", integer: items.done)
    writer.member("succeeded", integer: items.succeeded)
    writer.member("failed", integer: items.failed)
    writer.member("skipped", integer: items.skipped)
    writer.endObject()
  }

  private static func writeOptions(of map: JobMap, to writer: inout JSONWriter) {
    let options = map.effectiveOptions
    writer.member("max_attempts", integer: options.attemptsMax)
    if map.isCancelRequested, !map.state.isFinal { writer.member("cancel_requested", bool: true) }
    if let timeout = options.timeout { writer.member("timeout", number: Double(timeout) / 1_000) }
    if options.encoding != .json { writer.member("encoding", string: options.encoding.rawValue) }
    writer.memberIfPresent("main", string: options.main)
    guard !options.tags.isEmpty else { return }
    writer.name("tags")
    writer.beginArray()
    for tag in options.tags { writer.string(tag) }
    writer.endArray()
  }

  /// Why items are missing, or the error of the chunk that failed first.
  private static func writeError(
    of map: JobMap, in engine: Engine, _ bytesMax: Int, to writer: inout JSONWriter
  ) {
    if let error = map.inputError {
      writer.name("error")
      write(error, to: &writer)
    } else if let failed = engine.store.firstError(of: map) {
      if failed.error.bytes > bytesMax { return writer.member("outcome_omitted", bool: true) }
      writer.name("error")
      HandleWriter.write(failed.error, to: &writer)
    }
  }

  /// Appends why items are missing.
  static func write(_ error: InputError, to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("code", string: error.code.rawValue)
    writer.member("message", string: error.message)
    writer.endObject()
  }

  // MARK: The result

  /// The list of all results in the order of the items, or why there is none: Python's `get()`.
  ///
  /// - Parameter lists: gets the list of a map of many chunks, whose results are still to be
  ///   gathered.
  static func result(
    of map: JobMap, in engine: Engine, _ preferenceApplied: String?,
    gathering lists: inout [MapResultList]
  ) -> HTTPResponse {
    var headers: HTTPHeaders = ["Vary": "Prefer"]
    if let preferenceApplied { headers.add("Preference-Applied", preferenceApplied) }
    if let refusal = refusal(of: map, in: engine) { return JobAnswers.problem(refusal, headers) }
    let body = ResponseStream(bufferBytesMax: MapResultList.bufferBytes)
    let list = MapResultList(map.chunks, to: body)
    if !list.gather(from: engine.store) {
      lists.append(list)
    } else if let whole = list.whole(atMost: wholeMax) {
      return HTTPResponse(
        status: 200, contentType: "application/json", headers: headers, body: whole)
    }
    list.begin()
    return HTTPResponse(
      status: 200, contentType: "application/json", headers: headers, stream: body)
  }

  private static func refusal(of map: JobMap, in engine: Engine) -> Problem? {
    guard map.stage == .final else {
      return Problem(
        status: 409, code: .notReady,
        detail: "the map is \(map.state.rawValue); ask again, or wait with ?wait=seconds",
        retryAfter: 1)
    }
    if map.state == .succeeded {
      guard map.releasedChunks > 0 else { return nil }
      return Problem(
        status: 410, code: .gone,
        detail: "\(map.releasedItems.done) results were taken by a reader of the stream and are "
          + "dropped; a map of this size is read by /results only")
    }
    var refusal = Problem(
      status: 424, code: .jobFailed, detail: "the map was cancelled and has no result")
    if map.state == .cancelled { return refusal }
    var writer = JSONWriter(capacity: 256)
    if let error = map.inputError {
      refusal.detail = "the map lacks items: \(error.message)"
      write(error, to: &writer)
    } else if let failed = engine.store.firstError(of: map) {
      refusal.detail = "item \(failed.item) failed: \(failed.error.message)"
      HandleWriter.write(failed.error, to: &writer)
    } else {
      refusal.detail = "chunks of the map were cancelled, and it has no result"
      return refusal
    }
    refusal.jobError = String(decoding: writer.bytes, as: UTF8.self)
    return refusal
  }
}
