import HTTPServer
import JobCore
import JobStorage
import Multiprocessing

/// `GET /v1/jobs/{id}/logs`: what a job wrote.
extension Server {
  /// Bytes of a log that one answer without `follow` holds at most, and that a follower is sent at
  /// a time.
  private static let logPieceMax = 1 << 20
  /// What tells a client where the next piece begins.
  private static let offsetHeader: StaticString = "Lido-Next-Offset"

  /// The operation.
  static var jobLogOperation: Operation {
    Operation(.get, "/v1/jobs/{id}/logs", "get_logs") {
      (server, request, later) throws(Problem) in
      try server.showLog(request, later)
    }
  }

  private func showLog(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, ["stream", "after", "follow"])
    let name = request.query.first("stream") ?? "stderr"
    guard let stream = JobLog.Stream(rawValue: name) else {
      throw Problem.invalid("?stream= is stdout or stderr; it was '\(name)'")
    }
    let offset = try logOffset(request)
    let follows = try isFollowing(request)
    let job = try job(request)
    // First, so that nobody follows whose answer is refused.
    guard isDurable(job.number) || engine.isWritable else { throw JobAnswers.readOnly }
    if follows {
      return try speak(follow(job, stream, from: offset), of: job.number, later)
    }
    let piece = logPiece(of: job.number, stream, from: offset, atMost: Server.logPieceMax).piece
    var headers = Server.logHeaders
    headers.add(Server.offsetHeader, "\(piece.nextOffset)")
    let response = HTTPResponse(
      status: 200, contentType: "text/plain; charset=utf-8", headers: headers, body: piece.bytes)
    return try speak(response, of: job.number, later)
  }

  private func logOffset(_ request: HTTPRequest) throws(Problem) -> Int {
    guard let text = request.query.first("after") else { return 0 }
    guard let offset = Int(digits: text) else {
      throw Problem.invalid("?after= is a byte offset, 0 or more; it was '\(text)'")
    }
    return offset
  }

  private func isFollowing(_ request: HTTPRequest) throws(Problem) -> Bool {
    switch request.query.first("follow") {
    case nil, "false", "0": return false
    case "true", "1", "": return true
    case let text?: throw Problem.invalid("?follow= is true or false; it was '\(text)'")
    }
  }

  /// It may grow until the job is final, and is whatever a program wrote: no browser is to guess at
  /// its type.
  private static var logHeaders: HTTPHeaders {
    var headers: HTTPHeaders = ["Cache-Control": "no-store"]
    headers.add("X-Content-Type-Options", "nosniff")
    return headers
  }

  // MARK: Following

  private func follow(_ job: Job, _ stream: JobLog.Stream, from offset: Int) -> HTTPResponse {
    let body = ResponseStream()
    let follower = LogFollower(job: job.number, stream: stream, offset: offset, body: body)
    // What was written before: that of a run that is over, unless another one is under way.
    if runningLog(of: job.number, stream) == nil, logs.holds(job.number) || job.attempt > 0 {
      follower.ended = .kept
    }
    body.onWritable = { [unowned self, unowned follower] in
      follower.isFull = false
      feed(follower)
    }
    body.onClosed = { [unowned self, unowned follower] in logFollowers.remove(follower) }
    follower.attendance = attendance(of: job.number)
    logFollowers.add(follower)
    feed(follower)
    return HTTPResponse(
      status: 200, contentType: "text/plain; charset=utf-8", headers: Server.logHeaders,
      stream: body)
  }

  /// Sends what there is, as far as the client takes it, and ends if no more can come.
  func feed(_ follower: LogFollower) {
    guard !follower.isFull else { return }
    if let ended = follower.ended {
      let isSent =
        switch ended {
        case .log(let log): follower.send(log)
        case .kept: sendKept(to: follower)
        }
      guard isSent else { return }
      follower.ended = nil
      // The next run's log is another one.
      follower.offset = 0
    }
    if let log = runningLog(of: follower.job, follower.stream) {
      guard follower.send(log) else { return }
    }
    // The end of a log tells the end of its job, which is told once it is durable.
    guard
      isDurable(follower.job), engine.store.brief(of: follower.job)?.state.isFinal ?? true
    else { return }
    logFollowers.remove(follower)
    follower.body.finish()
  }

  /// Sends what a follower has not had of a log that is kept. `false`: it takes no more at present.
  private func sendKept(to follower: LogFollower) -> Bool {
    while true {
      let kept = logs.read(
        of: follower.job, follower.stream, from: follower.offset, atMost: LogFollower.pieceMax)
      guard let kept, follower.offset < kept.count else { return true }
      guard follower.send(ProgramLog.Piece(kept)) else { return false }
    }
  }

  /// A log has grown, or its job has changed.
  func feedFollowers(of job: JobNumber) {
    for follower in logFollowers.all(of: job) { feed(follower) }
  }

  /// A run of a job is over: who follows it gets the rest of its log, whatever becomes of the job
  /// and of the log, and then what the next run writes, from its beginning.
  ///
  /// A client that has not even read the log of the run before is cut: it reads more slowly than
  /// programs end, and what it misses must not be kept without a bound.
  func endFollowing(of job: JobNumber, _ stream: JobLog.Stream, _ log: ProgramLog) {
    for follower in logFollowers.all(of: job) where follower.stream == stream {
      guard follower.ended == nil else {
        logFollowers.remove(follower)
        follower.body.fail()
        continue
      }
      follower.ended = .log(log)
      feed(follower)
    }
  }
}

/// A client that reads a log while it is written.
final class LogFollower {
  /// Bytes that are sent at a time.
  fileprivate static let pieceMax = 64 << 10

  /// Where the log of a run that is over is found.
  enum Ended {
    case log(ProgramLog)
    /// In the folder of logs.
    case kept
  }

  let job: JobNumber
  let stream: JobLog.Stream
  /// Where the next piece begins: in `ended`, or if that is nil in the log of the run that is under
  /// way or comes next. Each run of a job has a log of its own.
  var offset: Int
  /// The log of a run that is over, as long as it is not sent to its end.
  var ended: Ended?
  /// Whether the client has to take something before it is sent more.
  var isFull = false
  let body: ResponseStream
  /// What keeps its pool from being ended meanwhile.
  var attendance: Attendance?

  init(job: JobNumber, stream: JobLog.Stream, offset: Int, body: ResponseStream) {
    self.job = job
    self.stream = stream
    self.offset = offset
    self.body = body
  }

  /// Sends what it has not had of a log. `false`: the client takes no more at present.
  fileprivate func send(_ log: ProgramLog) -> Bool {
    while offset < log.count {
      guard send(log.read(from: offset, atMost: LogFollower.pieceMax)) else { return false }
    }
    return true
  }

  fileprivate func send(_ piece: ProgramLog.Piece) -> Bool {
    offset = piece.nextOffset
    isFull = !body.write(piece.bytes)
    return !isFull
  }
}

/// Who follows which job's logs.
struct LogFollowers {
  private var followers: [JobNumber: [ObjectIdentifier: LogFollower]] = [:]

  var isEmpty: Bool { followers.isEmpty }

  func all(of job: JobNumber) -> [LogFollower] {
    followers.isEmpty ? [] : followers[job].map { Array($0.values) } ?? []
  }

  mutating func add(_ follower: LogFollower) {
    followers[follower.job, default: [:]][ObjectIdentifier(follower)] = follower
  }

  mutating func remove(_ follower: LogFollower) {
    followers[follower.job]?[ObjectIdentifier(follower)] = nil
    if followers[follower.job]?.isEmpty == true { followers[follower.job] = nil }
  }
}
