import CPlatform
import Glibc
import JSON

/// A pool of programs that stay and speak JSON, one message a line (`LineMessage`), over a socket
/// that each has as descriptor 3: performs what `PoolState` decides, and nothing else.
///
/// It has no thread and no epoll of its own. Its owner watches the descriptors that `watch` names,
/// tells it what happens, and after each of these calls takes its `drainReports`; once a turn it
/// calls `flush`. Everything is non-blocking and belongs to one thread. Times are nanoseconds of
/// one monotonic clock, the owner's.
///
/// A worker runs one call at a time: what it writes to stdout and stderr meanwhile is that call's.
public final class LineWorkerPool {
  /// Watches a descriptor for reading and, if so asked, for writing; called again to change that.
  /// Throws, with stage `watching`, when the system has no watch left for a new one.
  public typealias Watch = (_ descriptor: Int32, _ writable: Bool) throws(StartFailure) -> Void

  var state: PoolState
  let settings: LineWorkerSettings
  let forkServer: ForkServer
  var channels: ChannelTable<LineChannel>
  var reports: [LineWorkerReport] = []
  private var reportsInHand: [LineWorkerReport] = []
  let readBuffer: UnsafeMutableRawBufferPointer
  /// As much as a pipe holds by default, pipe(7).
  let logBuffer: UnsafeMutableRawBufferPointer
  var lineEvents: [LineWorker.Event] = []
  /// The time of the latest call.
  private(set) var now: UInt64 = 0
  /// What the workers said last when they were ready; nil until the first was.
  var announced: LineWorkerReady?

  /// A pool that starts nothing before `start`. `unwatch` is called before a descriptor is closed.
  public init(
    _ pool: PoolSettings, workers: LineWorkerSettings, forkServer: ForkServer,
    watch: @escaping Watch, unwatch: @escaping (_ descriptor: Int32) -> Void
  ) {
    precondition(!workers.arguments.isEmpty, "a program has at least its name as an argument")
    var pool = pool
    // It has no page of claims, so one call at a time: nothing ever has to be taken back.
    pool.hasClaims = false
    pool.creditMax = 1
    pool.hasInitializer = false
    pool.helloMax = workers.readyMax
    state = PoolState(pool)
    settings = workers
    self.forkServer = forkServer
    channels = ChannelTable(watch: watch, unwatch: unwatch)
    readBuffer = .allocate(byteCount: 256 << 10, alignment: 16)
    logBuffer = .allocate(byteCount: 64 << 10, alignment: 16)
  }

  deinit {
    channels.unwatchAll()
    readBuffer.deallocate()
    logBuffer.deallocate()
  }

  // MARK: The owner's wishes

  /// Starts the workers.
  public func start(at now: UInt64) {
    state.begin(at: now)
    perform(at: now)
  }

  /// Puts a call in flight in a slot with room. It is written by the next `flush`.
  public func assign(_ call: LineCall, to slot: Int, at now: UInt64) {
    let (worker, ordinal) = state.assign(call.number, to: slot, at: now)
    guard let channel = channels[worker] else { preconditionFailure("no channel") }
    channel.begin(call.number, ordinal: ordinal)
    channel.state.begin(call, &channel.output, &lineEvents)
    channels.noteDirty(channel)
    takeEvents(of: channel, at: now)
    perform(at: now)
  }

  /// Writes what was assigned: one system call for each worker that has something.
  public func flush() {
    for channel in channels.dirty { flush(channel) }
    channels.forgetDirty()
  }

  /// See `PoolState.end`. The worker is told before its group gets SIGTERM.
  public func end(_ call: UInt64, grace: UInt64, at now: UInt64) {
    state.end(call, grace: grace, at: now)
    perform(at: now)
  }

  /// See `PoolState.resize`.
  public func resize(to processes: Int, at now: UInt64) {
    state.resize(to: processes, at: now)
    perform(at: now)
  }

  /// See `PoolState.close`.
  public func close(at now: UInt64) {
    state.close(at: now)
    perform(at: now)
  }

  /// See `PoolState.terminate`.
  public func terminate(grace: UInt64, at now: UInt64) {
    state.terminate(grace: grace, at: now)
    perform(at: now)
  }

  // MARK: What happens

  /// Something can be read from, or written to, a descriptor. Returns false if it is not one of
  /// this pool's. Takes at most 256 KiB; what is left makes the descriptor ready again.
  @discardableResult
  public func descriptorReady(
    _ descriptor: Int32, readable: Bool, writable: Bool, at now: UInt64
  ) -> Bool {
    guard let channel = channels[descriptor: descriptor] else { return false }
    self.now = now
    if descriptor == channel.socket {
      if writable { flush(channel) }
      if readable { _ = read(channel, at: now) }
    } else {
      _ = readLog(descriptor, of: channel)
    }
    perform(at: now)
    return true
  }

  /// The fork server told something. Returns false if it is about another's process.
  @discardableResult
  public func forkServerEvent(_ event: ForkServerEvent, at now: UInt64) -> Bool {
    switch event {
    case .started(let token, let process, _):
      guard let channel = channels[token] else { return false }
      channel.process = process
      state.started(channel.worker, at: now)
      state.saidHello(channel.worker, at: now)
      if channel.isReadyEarly { state.becameReady(channel.worker, at: now) }
    case .startFailed(let token, let failure):
      guard let channel = channels[token] else { return false }
      if failure.stage == .forkServerLost {
        // It may have got as far as taking calls, before the fork server could tell. The kernel
        // kills it; it is gone when its channel ends.
        channel.isOrphaned = true
        readLast(of: channel, at: now)
        if channel.isEnded { conclude(channel, .unknown, at: now) }
      } else {
        drop(channel)
        state.startFailed(channel.worker, failure, words: words(for: failure), at: now)
      }
    case .exited(let token, let status, _):
      guard let channel = channels[token] else { return false }
      // What it had answered before it died counts, and what it had written.
      readLast(of: channel, at: now)
      readLogs(of: channel)
      conclude(channel, status, at: now)
    case .lost:
      return false
    }
    perform(at: now)
    return true
  }

  /// How often the channel of a worker that is gone is read, 256 KiB each time: more than a socket
  /// ever holds.
  private static let lastReadsMax = 64

  /// Reads what there is. Somebody else who holds the other end could go on for ever.
  private func readLast(of channel: LineChannel, at now: UInt64) {
    for _ in 0..<Self.lastReadsMax where !channel.isEnded {
      if !read(channel, at: now) { return }
    }
  }

  /// It is `now`: what was due is done.
  public func deadlineReached(at now: UInt64) {
    for channel in channels.places {
      guard let channel, let since = channel.stalledSince, since + settings.stallMax <= now else {
        continue
      }
      channel.stalledSince = nil
      state.misbehaved(
        channel.worker, reason: "the worker does not read its channel", at: now)
    }
    state.deadlineReached(at: now)
    perform(at: now)
  }

  /// The earliest time at which `deadlineReached` has something to do; nil: never. 0 while reports
  /// wait to be taken, which nothing else announces.
  public var nextDeadline: UInt64? {
    if hasReports { return 0 }
    var earliest = state.nextDeadline ?? .max
    for channel in channels.places {
      if let since = channel?.stalledSince { earliest = min(earliest, since + settings.stallMax) }
    }
    return earliest == .max ? nil : earliest
  }

  /// Whether `drainReports` has something to hand over.
  public var hasReports: Bool { !reports.isEmpty }

  /// Calls `body` with every report since the last time, in order. It may assign and end calls;
  /// reports that follow from that come with the next call.
  public func drainReports(_ body: (LineWorkerReport) -> Void) {
    guard !reports.isEmpty else { return }
    swap(&reports, &reportsInHand)
    for report in reportsInHand {
      if case .logGrew(let call) = report { channel(running: call)?.isGrowthReported = false }
      body(report)
    }
    reportsInHand.removeAll(keepingCapacity: true)
  }

  // MARK: Performing

  func perform(at now: UInt64) {
    self.now = now
    // What is done may lead to more to do, at the end of the list.
    var next = 0
    while next < state.actions.count {
      switch state.actions[next] {
      case .start(let worker, let slot): startWorker(worker, slot: slot, at: now)
      case .terminate(let worker): terminate(worker)
      case .kill(let worker): signal(worker, SIGKILL)
      case .stop(let worker):
        guard let channel = channels[worker] else { break }
        channel.state.writeStop(&channel.output)
        channels.noteDirty(channel)
      case .revoke, .look: preconditionFailure("line workers have no claims")
      }
      next += 1
    }
    state.actions.removeAll(keepingCapacity: true)
    collectReports()
  }

  /// Takes over what the state reports; before the end of a call comes that of its log.
  private func collectReports() {
    guard !state.reports.isEmpty else { return }
    for report in state.reports {
      switch report {
      case .callEnded(let call, _), .callLost(let call, _, _, _):
        if let channel = channel(running: call) { endLog(of: channel) }
      default: break
      }
      reports.append(.pool(report))
    }
    state.reports.removeAll(keepingCapacity: true)
  }

  private func endLog(of channel: LineChannel) {
    guard let call = channel.logCall else { return }
    let (stdout, stderr) = channel.endLog()
    reports.append(.logEnded(call: call, stdout: stdout, stderr: stderr))
  }

  /// The channel of the worker that has this call in flight.
  func channel(running call: UInt64) -> LineChannel? {
    for channel in channels.places where channel?.logCall == call { return channel }
    return nil
  }

  /// Tells the worker, which may tidy up, and sends SIGTERM.
  private func terminate(_ worker: PoolWorkerID) {
    guard let channel = channels[worker] else { return }
    if channel.state.call != nil, !channel.isEnded {
      channel.state.writeCancel(&channel.output)
      flush(channel)
    }
    signal(worker, SIGTERM)
  }

  private func signal(_ worker: PoolWorkerID, _ number: Int32) {
    if let token = channels[worker]?.token { forkServer.signal(token, number) }
  }

  /// The process behind a channel is gone, and all that it had written has been read.
  func conclude(_ channel: LineChannel, _ status: ExitStatus, at now: UInt64) {
    guard channels[channel.worker] === channel else { return }
    if let line = channel.lastLine {
      state.explained(channel.worker, reason: "a worker ended before it was ready: \(line)")
    }
    channels.noteGone(channel, status, hadBegun: channel.claimed == nil, in: state)
    endLog(of: channel)
    drop(channel)
    state.exited(channel.worker, status, claimed: channel.claimed, at: now)
  }

  // MARK: Writing

  private func flush(_ channel: LineChannel) {
    guard !channel.isEnded, channel.output.count > 0 else { return }
    let isWaiting = !channel.flush(at: now)
    if isWaiting != channel.isWatchedForWriting { channels.watch(channel, forWriting: isWaiting) }
  }

  /// Forgets a channel; it closes with the last reference.
  func drop(_ channel: LineChannel) {
    for descriptor in channel.descriptors { channels.unwatch(descriptor) }
    channel.isEnded = true
    channels.remove(channel)
  }
}
