import CPlatform
import Glibc
import JSON

/// What workers say, what they write, and what they are.
extension LineWorkerPool {
  // MARK: The channel

  /// Reads once. Returns whether there may be more.
  func read(_ channel: LineChannel, at now: UInt64) -> Bool {
    guard !channel.isEnded else { return false }
    let count = recv(
      channel.socket, readBuffer.baseAddress, readBuffer.count, Int32(MSG_DONTWAIT))
    if count < 0 && errno == EINTR { return true }
    if count < 0 && errno == EAGAIN { return false }
    guard count > 0 else {
      endReading(channel)
      if channel.isOrphaned {
        conclude(channel, .unknown, at: now)
      } else {
        state.channelEnded(channel.worker, at: now)
      }
      return false
    }
    // What it wrote before it answered is the call's that it answers.
    if channel.logCall != nil { readLogs(of: channel) }
    var fault: String?
    let bytes = UnsafeRawBufferPointer(rebasing: readBuffer[..<count])
    let isInBounds = channel.input.take(bytes) { line in
      fault = channel.state.take(line, &channel.output, &lineEvents)
      takeEvents(of: channel, at: now)
      return fault == nil
    }
    if !isInBounds { fault = "a line of more than \(settings.lineBytesMax) bytes" }
    if channel.output.count > 0 { channels.noteDirty(channel) }
    guard let fault else { return true }
    endReading(channel)
    state.misbehaved(channel.worker, reason: "the worker broke the protocol: \(fault)", at: now)
    return false
  }

  /// Nothing more is read, but the socket stays: it closes when the worker is gone.
  private func endReading(_ channel: LineChannel) {
    channel.isEnded = true
    channel.stalledSince = nil
    channels.unwatch(channel.socket)
  }

  /// Does what the lines of a channel have led to.
  func takeEvents(of channel: LineChannel, at now: UInt64) {
    guard !lineEvents.isEmpty else { return }
    for event in lineEvents {
      switch event {
      case .ready(let ready):
        announce(ready)
        channel.isReadyEarly = channel.process == 0
        if !channel.isReadyEarly { state.becameReady(channel.worker, at: now) }
      case .failed(let message):
        // With an initializer it may still be that something else failed; the message says what.
        let what =
          settings.initializer == nil
          ? "a worker failed before it was ready" : "the initializer failed"
        state.cannotBecomeReady(channel.worker, reason: "\(what): \(message)", at: now)
      case .ended(let call, let outcome):
        // How long it took does not matter: there is credit for one call only.
        _ = state.answered(
          channel.worker, call: call, outcome, microseconds: PoolSettings.longCallMicroseconds,
          isRetiring: channel.isRetiring, at: now)
      case .progressed(let call, let value, let message):
        reports.append(.progressed(call: call, value: value, message: message))
      case .item(let call, let value): reports.append(.item(call: call, value: value))
      case .retiring:
        channel.isRetiring = true
        if channel.state.call == nil { state.retires(channel.worker, at: now) }
      }
    }
    lineEvents.removeAll(keepingCapacity: true)
  }

  /// The program may have changed since others were started, and its tasks with it.
  private func announce(_ ready: LineWorkerReady) {
    guard announced != ready else { return }
    announced = ready
    reports.append(.announced(tasks: ready.tasks, isDynamic: ready.isDynamic))
  }

  // MARK: What they write

  /// Reads what is in the pipes, in a few calls: a worker that writes faster than this process
  /// reads is not waited for.
  func readLogs(of channel: LineChannel) {
    for _ in 0..<2 where channel.outputEnd >= 0 {
      if !readLog(channel.outputEnd, of: channel) { break }
    }
    for _ in 0..<2 where channel.errorEnd >= 0 {
      if !readLog(channel.errorEnd, of: channel) { break }
    }
  }

  /// Reads once. Returns whether there may be more.
  func readLog(_ descriptor: Int32, of channel: LineChannel) -> Bool {
    // Of two that are ready in one turn, the first may have led to the end of the other.
    guard descriptor == channel.outputEnd || descriptor == channel.errorEnd else { return false }
    let bytes = logBuffer
    let count = Glibc.read(descriptor, bytes.baseAddress, bytes.count)
    if count < 0 && (errno == EAGAIN || errno == EINTR) { return false }
    guard count > 0 else {
      channels.unwatch(descriptor)
      channel.forget(descriptor)
      Glibc.close(descriptor)
      return false
    }
    let text = UnsafeRawBufferPointer(rebasing: bytes[..<count])
    if channel.note(text, isError: descriptor == channel.errorEnd), let call = channel.logCall {
      if !channel.isGrowthReported {
        channel.isGrowthReported = true
        reports.append(.logGrew(call: call))
      }
    } else {
      reports.append(
        .stray(process: channel.process, text: Array(text.prefix(LineChannel.lastWordsMax))))
    }
    return count == bytes.count
  }

  // MARK: What they are

  /// The workers that live, in the order of their places.
  public var workers: [WorkerSummary] {
    channels.summaries(in: state)
  }

  /// The last 16 workers that are gone, the latest last.
  public var goneWorkers: [WorkerSummary] { channels.gone }

  /// How many further calls, 1 or 0, may be assigned to a slot at this moment.
  public func room(in slot: Int) -> Int { state.room(in: slot) }

  /// The process of a slot's worker; 0 while it has none.
  public func process(of slot: Int) -> Int32 {
    state.worker(of: slot).flatMap { channels[$0]?.process } ?? 0
  }

  /// What a call in flight has written so far; nil if there is no such call. Let go of it before
  /// the pool is told something again: it would have to copy it.
  public func log(of call: UInt64) -> (stdout: ProgramLog, stderr: ProgramLog)? {
    channel(running: call).map { ($0.stdout, $0.stderr) }
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
