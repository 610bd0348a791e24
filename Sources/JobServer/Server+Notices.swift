import HTTPServer
import JobCore
import Logging

/// What clients can bring about as often as they like is told to the operator in a bounded number
/// of lines: its beginning and its end, or at most a line a second.
extension Server {
  /// What is going on of that kind.
  struct Notices {
    /// Submissions are refused because the queue is full.
    var fullQueue: Episode?
    /// All connections are taken.
    var fullConnections: Episode?
    /// Nobody is accepted, since there is no descriptor, or no memory, for a connection.
    var noDescriptors: Episode?
    /// Requests that were not let in.
    var denials = Throttle()
    /// Whether any of it is to be looked at in this turn.
    var isActive = false

    func deadline(at instant: Instant) -> Instant? {
      guard isActive else { return nil }
      return [
        fullQueue?.deadline(at: instant), fullConnections?.deadline(at: instant),
        noDescriptors?.deadline(at: instant), denials.deadline,
      ].compactMap { $0 }.min()
    }

    /// Nothing is left of it.
    var isOver: Bool {
      fullQueue == nil && fullConnections == nil && noDescriptors == nil
        && denials.deadline == nil
    }
  }

  /// How much of the connections must be free again before all are not taken any more: with one
  /// alone it would begin and end with every client.
  private static let connectionsFreeShare = 10

  // MARK: What happens

  /// The engine refused a wish.
  func noteRefusal(_ problem: Problem) {
    metrics.noteRefusal(problem.code)
    guard problem.code == .queueFull else { return }
    guard !Server.isGoingOn(&notices.fullQueue, at: now.instant) else { return }
    notices.isActive = true
    let store = engine.store
    log.warning(
      "the queue is full; submissions are refused",
      metadata: [
        "jobs": .count(store.openCount), "jobs_max": .count(settings.limits.openJobsMax),
        "bytes": .count(store.openBytes), "bytes_max": .count(settings.limits.openBytesMax),
      ])
  }

  /// Whether a request is let in.
  func admit(_ arrival: HTTPArrival) -> HTTPDenial? {
    guard let denial = door.judge(arrival) else { return nil }
    notices.isActive = true
    if let count = notices.denials.note(at: now.instant) { tellDenials(count) }
    return denial
  }

  private func tellDenials(_ count: Int) {
    log.warning(
      "requests were not let in",
      metadata: ["requests": .count(count), "authentication": "\(door.authentication)"])
  }

  /// Looks whether further clients can connect, after those that are there were served.
  func noteConnections() {
    guard let http else { return }
    if http.connectionCount >= http.connectionsMax {
      guard !Server.isGoingOn(&notices.fullConnections, at: now.instant) else { return }
      notices.isActive = true
      log.warning(
        "all connections are taken; further clients wait until one is free or has long been idle",
        metadata: ["connections_max": .count(http.connectionsMax)])
    } else if http.isAcceptingHeld {
      guard !Server.isGoingOn(&notices.noDescriptors, at: now.instant) else { return }
      notices.isActive = true
      log.warning(
        "no descriptor, or no memory, is left for a connection; further clients wait",
        metadata: [
          "connections": .count(http.connectionCount),
          "open_files": .count(ProcessUsage.descriptorCount ?? 0),
          "open_files_max": .count(ProcessUsage.descriptorsMax ?? 0),
        ])
    }
  }

  /// Whether it was told already; it was once more, or begins now.
  private static func isGoingOn(_ episode: inout Episode?, at instant: Instant) -> Bool {
    guard episode != nil else {
      episode = Episode(at: instant)
      return false
    }
    episode?.again(at: instant)
    return true
  }

  // MARK: What is over

  /// Tells what is over, and what was held back to tell it together.
  func passNotices() {
    guard notices.isActive else { return }
    endFullQueue()
    endFullConnections()
    endNoDescriptors()
    if let count = notices.denials.timePassed(at: now.instant) { tellDenials(count) }
    if notices.isOver { notices.isActive = false }
  }

  private func endFullQueue() {
    guard let episode = notices.fullQueue, episode.calmAt <= now.instant,
      engine.store.openCount < settings.limits.openJobsMax,
      engine.store.openBytes < settings.limits.openBytesMax
    else { return }
    notices.fullQueue = nil
    log.notice(
      "the queue has room again",
      metadata: [
        "refused": .count(episode.count), "jobs": .count(engine.store.openCount),
        "seconds": .seconds(from: episode.begunAt, to: now.instant),
      ])
  }

  private func endFullConnections() {
    guard let episode = notices.fullConnections, episode.calmAt <= now.instant, let http,
      http.connectionCount <= http.connectionsMax - http.connectionsMax
        / Server.connectionsFreeShare
    else { return }
    notices.fullConnections = nil
    log.notice(
      "connections are free again",
      metadata: [
        "connections": .count(http.connectionCount),
        "seconds": .seconds(from: episode.begunAt, to: now.instant),
      ])
  }

  private func endNoDescriptors() {
    guard let episode = notices.noDescriptors, episode.calmAt <= now.instant, let http,
      !http.isAcceptingHeld
    else { return }
    notices.noDescriptors = nil
    log.notice(
      "there are descriptors for connections again",
      metadata: [
        "connections": .count(http.connectionCount),
        "seconds": .seconds(from: episode.begunAt, to: now.instant),
      ])
  }

  // MARK: Each job and each request

  /// Tells a line for each job that ended, by the records from `first` on. At `debug` only.
  func tellEnds(from first: Int) {
    for case .jobEnded(let number, let outcome, _) in turn.records[first...] {
      guard let job = engine.store[number] else { continue }
      var metadata: Logger.Metadata = [
        "job": "\(job.id)", "task": "\(engine.store.names[job.task])",
        "pool": "\(engine.store.names[job.pool])", "state": "\(job.state.rawValue)",
        "attempt": .count(Int(job.attempt)),
        "seconds": .seconds(milliseconds: now.timestamp - job.createdAt),
      ]
      if case .failed(let error) = outcome {
        metadata["code"] = "\(error.code.rawValue)"
        metadata["error"] = "\(error.message)"
      }
      log.debug("job ended", metadata: metadata)
    }
  }

  /// A request is over: it is counted and, at `debug`, told.
  func note(_ observation: HTTPObservation) {
    metrics.noteRequest(
      route: observation.routeIndex, method: observation.method, status: observation.status,
      nanoseconds: observation.nanoseconds)
    guard tellsEach else { return }
    var metadata: Logger.Metadata = [
      "route": "\(observation.route ?? "none")",
      "method": "\(observation.method?.rawValue ?? "other")",
      "status": .count(observation.status),
      "ms": .stringConvertible(Double(observation.nanoseconds / 1_000) / 1_000),
    ]
    if !observation.isDelivered { metadata["delivered"] = .stringConvertible(false) }
    if !observation.requestID.isEmpty {
      metadata["request_id"] = "\(String(decoding: observation.requestID, as: UTF8.self))"
    }
    log.debug("request", metadata: metadata)
  }
}
