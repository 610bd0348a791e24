import JSON

/// What workers say, and what they are.
///
/// A worker runs other people's code, which can reach its channel: nothing that comes from it is
/// trusted. What it says out of turn, what it does not owe and what is not JSON ends it.
extension WorkerPool {
  /// Takes one frame. Returns what is wrong with it, nil if nothing is.
  func take(_ frame: Frame, from channel: WorkerChannel, at now: UInt64) -> String? {
    switch (FrameKind(rawValue: frame.kind), channel.stage) {
    case (.returned, _): return takeAnswer(frame, from: channel, isError: false, at: now)
    case (.raised, _): return takeAnswer(frame, from: channel, isError: true, at: now)
    case (.hello, .silent):
      channel.stage = .greeted
      return takeHello(frame, from: channel, at: now)
    case (.ready, .greeted):
      channel.stage = .settled
      state.becameReady(channel.worker, at: now)
      return nil
    case (.initializerFailed, .greeted):
      channel.stage = .settled
      let message = String(decoding: frame.payload.prefix(Frame.messageBytesMax), as: UTF8.self)
      state.initializerFailed(channel.worker, message: message, at: now)
      return nil
    case (.hello, _), (.ready, _), (.initializerFailed, _):
      return "a frame of kind \(frame.kind) out of turn"
    default:
      return "a frame of kind \(frame.kind)"
    }
  }

  private func takeAnswer(
    _ frame: Frame, from channel: WorkerChannel, isError: Bool, at now: UInt64
  ) -> String? {
    var reader = PayloadReader(frame.payload)
    guard let flags = reader.number(UInt8.self), let microseconds = reader.number(UInt32.self)
    else { return "an answer without its header" }
    // Spliced unseen into the journal and into answers from here on: a line feed in it would end
    // the service, and what is no JSON would keep it from starting again.
    let json = reader.rest()
    guard isMinifiedJSON(json) else { return "an answer that is not JSON, minified" }
    if !isError && json.count > settings.resultBytesMax {
      return "a result of \(json.count) bytes, where \(settings.resultBytesMax) are allowed"
    }
    if isError && json.first != UInt8(ascii: "{") { return "an error that is no object" }
    let text = String(decoding: json, as: UTF8.self)
    let isOwed = state.answered(
      channel.worker, call: frame.call, isError ? .raised(text) : .returned(text),
      microseconds: microseconds, isRetiring: flags & 1 != 0, at: now)
    return isOwed ? nil : "an answer to call \(frame.call), which it does not owe"
  }

  private func takeHello(
    _ frame: Frame, from channel: WorkerChannel, at now: UInt64
  ) -> String? {
    var reader = PayloadReader(frame.payload)
    guard let version = reader.number(UInt32.self), let process = reader.number(UInt32.self) else {
      return "a hello without its header"
    }
    guard version == FrameKind.protocolVersion else {
      return "protocol version \(version) instead of \(FrameKind.protocolVersion)"
    }
    var names: [String] = []
    while !reader.isAtEnd {
      guard let name = reader.name() else { return "a hello that is cut off" }
      names.append(name)
    }
    if let known = taskNames {
      if let fault = WorkerPool.difference(of: names, from: known) { return fault }
    } else {
      taskNames = names
    }
    // The fork server tells it too, but on another socket: this may come first, and a slot is not
    // to be ready with a worker that has no number.
    if channel.process == 0 { channel.process = Int32(truncatingIfNeeded: process) }
    state.saidHello(channel.worker, at: now)
    return nil
  }

  /// What is wrong with the names of a worker's tasks where others have told `known`: jobs were
  /// accepted for those, and any worker may get them. Nil for the same names in any order.
  static func difference(of names: [String], from known: [String]) -> String? {
    guard names != known else { return nil }
    let lacking = Set(known).subtracting(names).sorted()
    let strange = Set(names).subtracting(known).sorted()
    if lacking.isEmpty && strange.isEmpty { return nil }
    return "other tasks than those of the workers before: it lacks \(list(lacking)) and has "
      + "\(list(strange)) besides"
  }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "none" : names.map { "'\($0)'" }.joined(separator: ", ")
  }

  /// The workers that live, in the order of their places.
  public var workers: [WorkerSummary] {
    channels.summaries(in: state)
  }

  /// The last 16 workers that are gone, the latest last.
  public var goneWorkers: [WorkerSummary] { channels.gone }

  /// Whether `drainReports` has something to hand over.
  public var hasReports: Bool { !state.reports.isEmpty }

  /// How many workers take calls.
  public var readyWorkers: Int { state.readyWorkers }

  /// How many further calls may be assigned to a slot at this moment. A driver that decides on
  /// reports and assigns later asks first: the slot's worker may have ended in between.
  public func room(in slot: Int) -> Int { state.room(in: slot) }

  /// The process of a slot's worker; 0 while it has none.
  public func process(of slot: Int) -> Int32 {
    state.worker(of: slot).flatMap { channels[$0]?.process } ?? 0
  }

  /// Why the pool broke; nil if it did not.
  public var brokenReason: String? { state.brokenReason }

  /// Why the last start of a worker failed; nil once one is ready again. It is tried again until
  /// the pool breaks.
  public var startTrouble: String? { state.startTrouble }

  /// Whether the last worker of a pool that takes no more calls is gone.
  public var isEnded: Bool { state.isEnded }

  /// How many processes it is to have.
  public var processes: Int { state.settings.processes }
}
