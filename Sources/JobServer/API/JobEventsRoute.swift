import DequeModule
import HTTPServer
import JSON
import JobCore
import JobStorage
import Multiprocessing

/// `GET /v1/jobs/{id}/events`: what happens to a job, as it happens: Server-Sent Events (WHATWG
/// HTML, section 9.2).
///
/// State, progress, items and log, each with an `id:` from which a client goes on that comes back.
/// Nothing is kept for a slow reader but what is kept anyway: the job, its log, and the latest news
/// of its run; what it has missed of those it is told in numbers.
extension Server {
  /// Bytes of a log that one event holds at most.
  private static let logPieceMax = 16 << 10
  /// Bytes of a result, or of an error, that an event holds at most; a larger one is left out.
  private static let outcomeBytesMax = 64 << 10

  /// The operation.
  static var jobEventsOperation: Operation {
    Operation(.get, "/v1/jobs/{id}/events", "get_events") {
      (server, request, later) throws(Problem) in
      try server.showEvents(request, later)
    }
  }

  private func showEvents(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, [])
    let cursor = request.header("last-event-id").flatMap(EventCursor.init) ?? EventCursor()
    let job = try job(request)
    guard isDurable(job.number) || engine.isWritable else { throw JobAnswers.readOnly }
    // Who has had the last event is told not to come back: section 9.2.3.
    if job.state.isFinal, isDurable(job.number), cursor.version == job.version {
      return .now(.empty())
    }
    return try speak(followEvents(of: job, from: cursor), of: job.number, later)
  }

  private func followEvents(of job: Job, from cursor: EventCursor) -> HTTPResponse {
    let body = ResponseStream()
    let follower = EventFollower(job: job.number, cursor: cursor, body: body)
    body.onWritable = { [unowned self, unowned follower] in
      follower.isFull = false
      feed(follower)
    }
    body.onClosed = { [unowned self, unowned follower] in leave(follower) }
    follower.attendance = attendance(of: job.number)
    eventFollowers.add(follower, at: now.instant)
    // So that the header goes out, and who waits for it knows that it is let in.
    follower.write(": events of a job\n\n")
    feed(follower)
    var headers: HTTPHeaders = ["Cache-Control": "no-store"]
    headers.add("X-Content-Type-Options", "nosniff")
    return HTTPResponse(
      status: 200, contentType: "text/event-stream", headers: headers, stream: body)
  }

  private func leave(_ follower: EventFollower) {
    eventFollowers.remove(follower)
    dropNews(of: follower.job)
  }

  // MARK: What happens

  /// A call has said something while it runs.
  func noteNews(of call: CallID, _ name: StaticString, _ text: String) {
    guard let number = engine.job(of: call), let job = engine.store[number] else { return }
    if callNews[number]?.run != job.startedAt {
      callNews[number] = CallNews(run: job.startedAt)
    }
    callNews[number]?.append(name, text)
    feedEvents(of: number)
  }

  /// The news of a run go with it, once all who wait for them have had them.
  func dropNews(of number: JobNumber) {
    guard !callNews.isEmpty, callNews[number] != nil, !eventFollowers.has(number),
      engine.store.brief(of: number)?.state != .running
    else { return }
    callNews[number] = nil
  }

  /// Sends what there is to all who read a job's events. With `isRunOver` its call has ended and
  /// its logs are kept, while the engine does not know yet.
  func feedEvents(of number: JobNumber, isRunOver: Bool = false) {
    guard !eventFollowers.isEmpty else { return }
    for follower in eventFollowers.all(of: number) { feed(follower, isRunOver: isRunOver) }
  }

  /// Tells those who read events that the service is there.
  func passEventTime() {
    for follower in eventFollowers.popDue(at: now.instant) where !follower.isFull {
      follower.write(": keep-alive\n\n")
    }
  }

  /// Sends what there is, as far as the client takes it, and ends if no more can come.
  private func feed(_ follower: EventFollower, isRunOver: Bool = false) {
    guard !follower.isFull else { return }
    guard let job = engine.store[follower.job] else { return end(follower) }
    let isFinal = job.state.isFinal
    if !isFinal, job.version != follower.cursor.version, isDurable(job.number) {
      follower.cursor.version = job.version
      guard send(state: job, to: follower) else { return }
    }
    follower.cursor.begin(run: job.startedAt)
    guard sendNews(of: job, to: follower) else { return }
    for stream in [JobLog.Stream.stderr, .stdout] {
      guard sendLog(of: job, stream, isRunOver: isRunOver, to: follower) else { return }
    }
    guard isFinal, isDurable(job.number) else { return }
    follower.cursor.version = job.version
    _ = send(state: job, to: follower)
    end(follower)
  }

  private func end(_ follower: EventFollower) {
    follower.body.finish()
    leave(follower)
  }

  // MARK: Events

  private func send(state job: Job, to follower: EventFollower) -> Bool {
    var writer = JSONWriter(capacity: 512)
    let outcomeBytes = job.retainedBytes - job.submittedBytes
    HandleWriter.write(
      job, of: engine, omitsOutcome: outcomeBytes > Server.outcomeBytesMax, to: &writer)
    return follower.send("state", writer.bytes)
  }

  private func sendNews(of job: Job, to follower: EventFollower) -> Bool {
    guard let news = callNews[job.number], news.run == follower.cursor.run,
      follower.cursor.serial < news.last
    else { return true }
    let (missed, entries) = news.entries(after: follower.cursor.serial)
    if missed > 0 {
      follower.cursor.serial += missed
      guard follower.send("missed", Array(#"{"events":\#(missed)}"#.utf8)) else { return false }
    }
    for entry in entries {
      follower.cursor.serial = entry.serial
      guard follower.send(entry.name, Array(entry.text.utf8)) else { return false }
    }
    return true
  }

  /// Sends what the client has not had of a log: of the run that is under way, or of the one before
  /// as it was kept.
  private func sendLog(
    of job: Job, _ stream: JobLog.Stream, isRunOver: Bool, to follower: EventFollower
  ) -> Bool {
    let isLive = job.state == .running && !isRunOver
    guard isLive || logs.holds(job.number) else { return true }
    while true {
      let offset = stream == .stderr ? follower.cursor.stderr : follower.cursor.stdout
      let (piece, count) =
        isLive
        ? logPiece(of: job.number, stream, from: offset, atMost: Server.logPieceMax)
        : keptPiece(of: job.number, stream, from: offset, atMost: Server.logPieceMax)
      guard offset < count else { return true }
      // A character may be half written.
      let held = isLive || piece.nextOffset < count ? UTF8Ends.unfinished(piece.bytes) : 0
      let next = piece.nextOffset - held
      guard next > offset else { return true }
      if stream == .stderr { follower.cursor.stderr = next } else { follower.cursor.stdout = next }
      var writer = JSONWriter(capacity: piece.bytes.count + 64)
      writer.beginObject()
      writer.member("stream", string: stream.rawValue)
      writer.member("offset", integer: offset)
      writer.member("text", string: String(decoding: piece.bytes.dropLast(held), as: UTF8.self))
      writer.endObject()
      guard follower.send("log", writer.bytes) else { return false }
    }
  }
}

/// A client that reads a job's events.
final class EventFollower {
  let job: JobNumber
  var cursor: EventCursor
  /// Whether the client has to take something before it is sent more.
  var isFull = false
  /// Whether it is gone, or has had everything.
  var isOver = false
  let body: ResponseStream
  /// What keeps its pool from being ended meanwhile.
  var attendance: Attendance?

  init(job: JobNumber, cursor: EventCursor, body: ResponseStream) {
    self.job = job
    self.cursor = cursor
    self.body = body
  }

  /// Sends one event; its text is one line. `false`: the client takes no more at present.
  func send(_ name: StaticString, _ text: [UInt8]) -> Bool {
    var bytes = Array("id: \(cursor.text)\nevent: \(name)\ndata: ".utf8)
    bytes += text
    bytes += Array("\n\n".utf8)
    isFull = !body.write(bytes)
    return !isFull
  }

  /// Sends what is no event.
  func write(_ text: String) {
    isFull = !body.write(Array(text.utf8)) || isFull
  }
}

/// Who reads which job's events.
struct EventFollowers {
  /// How often one is told that the service is there, in milliseconds.
  static let keepAlive: Milliseconds = 15_000

  private var followers: [JobNumber: [ObjectIdentifier: EventFollower]] = [:]
  /// In the order of what is due.
  private var due: Deque<(at: Instant, follower: EventFollower)> = []

  var isEmpty: Bool { followers.isEmpty }

  /// When somebody is to be told.
  var nextDeadline: UInt64? { due.first?.at.nanoseconds }

  func has(_ job: JobNumber) -> Bool { followers[job] != nil }

  func all(of job: JobNumber) -> [EventFollower] {
    followers[job].map { Array($0.values) } ?? []
  }

  mutating func add(_ follower: EventFollower, at instant: Instant) {
    followers[follower.job, default: [:]][ObjectIdentifier(follower)] = follower
    due.append((instant.advanced(byMilliseconds: Self.keepAlive), follower))
  }

  mutating func remove(_ follower: EventFollower) {
    follower.isOver = true
    followers[follower.job]?[ObjectIdentifier(follower)] = nil
    if followers[follower.job]?.isEmpty == true { followers[follower.job] = nil }
    while due.first?.follower.isOver == true { due.removeFirst() }
  }

  /// Those whose time has come; it comes again.
  mutating func popDue(at instant: Instant) -> [EventFollower] {
    var found: [EventFollower] = []
    while let first = due.first, first.at <= instant || first.follower.isOver {
      due.removeFirst()
      guard !first.follower.isOver else { continue }
      found.append(first.follower)
      due.append((instant.advanced(byMilliseconds: Self.keepAlive), first.follower))
    }
    return found
  }
}

/// Where a text in UTF-8 may be cut.
enum UTF8Ends {
  /// How many bytes at the end are the beginning of a character that is not all there.
  static func unfinished(_ bytes: [UInt8]) -> Int {
    for back in 1...3 where back <= bytes.count {
      let byte = bytes[bytes.count - back]
      if byte & 0xC0 == 0x80 { continue }
      let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return length > back ? back : 0
    }
    return 0
  }
}
