import CPlatform
import Glibc

/// A pool of Swift workers: performs what `PoolState` decides, and nothing else.
///
/// It has no thread and no epoll of its own. Its owner watches the descriptors that `watch` names,
/// tells it what happens, and after each of these calls takes its `drainReports`; once a turn it
/// calls `flush`. Everything is non-blocking and belongs to one thread. Times are nanoseconds of
/// one monotonic clock, the owner's.
public final class WorkerPool {
  /// Watches a descriptor for reading and, if so asked, for writing; called again to change that.
  /// Throws, with stage `watching`, when the system has no watch left for a new one.
  public typealias Watch = (_ descriptor: Int32, _ writable: Bool) throws(StartFailure) -> Void

  var state: PoolState
  let settings: WorkerSettings
  let forkServer: ForkServer
  var channels: ChannelTable<WorkerChannel>
  private var reports: [PoolReport] = []
  private let readBuffer: UnsafeMutableRawBufferPointer
  /// The names of the tasks that the workers announced; nil until the first said hello.
  public var taskNames: [String]?

  /// A pool that starts nothing before `start`. `unwatch` is called before a descriptor is closed.
  ///
  /// `StartMethod.fork` is refused: it would fork the server itself.
  public init(
    _ pool: PoolSettings, workers: WorkerSettings, forkServer: ForkServer,
    watch: @escaping Watch, unwatch: @escaping (_ descriptor: Int32) -> Void
  ) throws(UnsupportedStartMethod) {
    if workers.startMethod == .fork { throw UnsupportedStartMethod(startMethod: .fork) }
    var pool = pool
    pool.hasClaims = true
    pool.hasInitializer = workers.initializer != nil
    state = PoolState(pool)
    settings = workers
    self.forkServer = forkServer
    channels = ChannelTable(watch: watch, unwatch: unwatch)
    readBuffer = .allocate(byteCount: 256 << 10, alignment: 16)
  }

  deinit {
    channels.unwatchAll()
    readBuffer.deallocate()
  }

  // MARK: The owner's wishes

  /// Starts the workers.
  public func start(at now: UInt64) {
    state.begin(at: now)
    perform(at: now)
  }

  /// Puts a call in flight in a slot with credit. It is written by the next `flush`. `args` must be
  /// a JSON array and `kwargs` an object, both valid and minified; the task's name one of
  /// `taskNames`.
  public func assign(
    _ call: UInt64, attempt: UInt32, task: String, args: String, kwargs: String, to slot: Int,
    at now: UInt64
  ) {
    let (worker, _) = state.assign(call, to: slot, at: now)
    guard let channel = channels[worker] else { preconditionFailure("no channel") }
    channel.appendCall(call, attempt: attempt, task: task, args: args, kwargs: kwargs)
    channels.noteDirty(channel)
  }

  /// The same for a call that runs a task on each element of `arguments`, a JSON array, and answers
  /// with an array.
  func assignChunk(
    _ call: UInt64, task: String, arguments: [UInt8], to slot: Int, at now: UInt64
  ) {
    let (worker, _) = state.assign(call, to: slot, at: now)
    guard let channel = channels[worker] else { preconditionFailure("no channel") }
    channel.appendChunk(call, [], task: task, arguments: arguments)
    channels.noteDirty(channel)
  }

  /// Puts a call in flight that runs a task on each element of `items`, in order, and answers with
  /// the array of results; the first that fails ends it, and its error has the members `item`, its
  /// index, and `values`, the array of the results before it. `items` must be a JSON array, valid
  /// and minified; if they are `star`, of arrays of arguments.
  public func assignChunk(
    _ call: UInt64, task: String, items: String, isStar: Bool, to slot: Int, at now: UInt64
  ) {
    let (worker, _) = state.assign(call, to: slot, at: now)
    guard let channel = channels[worker] else { preconditionFailure("no channel") }
    let flags: ChunkFlags = isStar ? [.star, .itemByItem] : .itemByItem
    channel.appendChunk(call, flags, task: task, items: items)
    channels.noteDirty(channel)
  }

  /// Writes what was assigned: one system call for each worker that has something.
  public func flush() {
    for channel in channels.dirty { flush(channel) }
    channels.forgetDirty()
  }

  /// See `PoolState.end`.
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
    if descriptor == channel.socket {
      if readable { lookForEnd(of: channel, at: now) }
      if writable { flush(channel) }
    } else if readable {
      _ = read(channel, at: now)
    }
    if !state.actions.isEmpty { perform(at: now) }
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
    case .startFailed(let token, let failure):
      guard let channel = channels[token] else { return false }
      if failure.stage == .forkServerLost {
        // It may have got as far as taking calls, before the fork server could tell. The kernel
        // kills it; it is gone when its channel ends.
        channel.isOrphaned = true
        while !channel.isEnded, read(channel, at: now) {}
        if channel.isEnded { conclude(channel, .unknown, at: now) }
      } else {
        drop(channel)
        state.startFailed(channel.worker, failure, at: now)
      }
    case .exited(let token, let status, _):
      guard let channel = channels[token] else { return false }
      // What it had answered before it died counts.
      while !channel.isEnded, read(channel, at: now) {}
      conclude(channel, status, at: now)
    case .lost:
      return false
    }
    perform(at: now)
    return true
  }

  /// It is `now`: what was due is done.
  public func deadlineReached(at now: UInt64) {
    state.deadlineReached(at: now)
    perform(at: now)
  }

  /// The earliest time at which `deadlineReached` has something to do; nil: never.
  public var nextDeadline: UInt64? { state.nextDeadline }

  /// Calls `body` with every report since the last time, in order. It may assign and end calls;
  /// reports that follow from that come with the next call.
  public func drainReports(_ body: (PoolReport) -> Void) {
    guard !state.reports.isEmpty else { return }
    swap(&reports, &state.reports)
    for report in reports { body(report) }
    reports.removeAll(keepingCapacity: true)
  }

  // MARK: Performing

  private func perform(at now: UInt64) {
    // What is done may lead to more to do, at the end of the list.
    var next = 0
    while next < state.actions.count {
      switch state.actions[next] {
      case .start(let worker, let slot): startWorker(worker, slot: slot, at: now)
      case .terminate(let worker): signal(worker, SIGTERM)
      case .kill(let worker): signal(worker, SIGKILL)
      case .stop(let worker):
        guard let channel = channels[worker] else { break }
        channel.appendStop()
        channels.noteDirty(channel)
      case .revoke(let worker, let last):
        guard let channel = channels[worker] else { break }
        state.revoked(worker, claimed: lido_claims_revoke(channel.claims, last), at: now)
      case .look(let worker):
        guard let channel = channels[worker] else { break }
        state.claimsSeen(worker, claimed: lido_claims_last(channel.claims), at: now)
      }
      next += 1
    }
    state.actions.removeAll(keepingCapacity: true)
  }

  private func signal(_ worker: PoolWorkerID, _ number: Int32) {
    if let token = channels[worker]?.token { forkServer.signal(token, number) }
  }

  private func startWorker(_ worker: PoolWorkerID, slot: Int, at now: UInt64) {
    do throws(StartFailure) {
      let (channel, theirs) = try openChannel(worker, slot: slot, at: now)
      defer { theirs.close() }
      var specification = ProcessSpecification(
        settings.startMethod == .spawn
          ? Bootstrap.spawned("worker") : .fork(EntryPoint(code: EntryPoint.worker)))
      specification.descriptors = [
        .init(theirs.socket, as: Bootstrap.channelDescriptor),
        .init(theirs.page, as: Bootstrap.claimsDescriptor),
        .init(theirs.answers, as: Bootstrap.answersDescriptor),
      ]
      if let owner = settings.owner {
        specification.descriptors.append(
          .init(owner.sentinel.number, as: Bootstrap.parentDescriptor))
      }
      for (place, descriptor) in settings.initializerDescriptors.enumerated() {
        specification.descriptors.append(
          .init(descriptor, as: Bootstrap.firstInitializerDescriptor + Int32(place)))
      }
      specification.nice = settings.nice
      // Who gives it its calls is not to be stopped for each: that would cost a switch and back.
      specification.isBatch = true
      specification.outOfMemoryAdjustment = settings.outOfMemoryAdjustment
      do throws(StartFailure) {
        try channels.watch(channel.answers, of: channel)
        try channels.watch(channel.socket, of: channel)
        channels.insert(channel, as: try forkServer.startProcess(specification))
      } catch {
        channels.unwatch(channel.answers)
        channels.unwatch(channel.socket)
        throw error
      }
      channel.appendSetup(settings, callsMax: state.settings.callsPerWorkerMax)
      channels.noteDirty(channel)
    } catch {
      state.startFailed(worker, error, at: now)
    }
  }

  /// The worker's ends of a channel.
  private struct WorkerEnds {
    var socket: Int32 = -1
    var answers: Int32 = -1
    var page: Int32 = -1

    func close() {
      for end in [socket, answers, page] where end >= 0 { Glibc.close(end) }
    }
  }

  /// A socket pair, a pipe and a page of claims; the worker's ends are the caller's to close.
  private func openChannel(
    _ worker: PoolWorkerID, slot: Int, at now: UInt64
  ) throws(StartFailure) -> (WorkerChannel, WorkerEnds) {
    var theirs = WorkerEnds()
    var sockets: [Int32] = [-1, -1]
    var answers: Int32 = -1
    if lido_socket_pair(Int32(SOCK_STREAM.rawValue), &sockets) == 0 {
      theirs.socket = sockets[1]
      if lido_make_pipe(0, &answers, &theirs.answers) == 0,
        let claims = lido_claims_create(&theirs.page)
      {
        let channel = WorkerChannel(
          worker: worker, slot: slot, socket: sockets[0], answers: answers, claims: claims,
          startedAt: now, frameBytesMax: settings.resultBytesMax + Frame.overheadBytesMax)
        return (channel, theirs)
      }
    }
    let number = errno
    for end in [sockets[0], answers] where end >= 0 { Glibc.close(end) }
    theirs.close()
    throw StartFailure(stage: .descriptors, errorNumber: number)
  }

  /// Forgets a channel; it closes with the last reference.
  private func drop(_ channel: WorkerChannel) {
    endReading(channel)
    channels.remove(channel)
  }

  private func endReading(_ channel: WorkerChannel) {
    channel.isEnded = true
    channels.unwatch(channel.answers)
    endWriting(channel)
  }

  /// Nothing more goes to the worker, which hears of that when it has nothing more to do.
  private func endWriting(_ channel: WorkerChannel) {
    channels.unwatch(channel.socket)
    channel.isWatchedForWriting = false
    channel.endWriting()
  }

  /// The process behind a channel is gone, and all that it had written has been read.
  private func conclude(_ channel: WorkerChannel, _ status: ExitStatus, at now: UInt64) {
    guard channels[channel.worker] === channel else { return }
    let claimed = lido_claims_last(channel.claims)
    let first = state.place(of: channel.worker).flatMap { state.workers[$0]?.inFlight.first }
    channels.noteGone(
      channel, status, hadBegun: first.map { $0.ordinal <= claimed } ?? true, in: state)
    drop(channel)
    state.exited(channel.worker, status, claimed: claimed, at: now)
  }

  // MARK: Writing and reading

  private func flush(_ channel: WorkerChannel) {
    guard !channel.output.isEmpty else { return }
    let isWaiting = !channel.flush()
    if isWaiting != channel.isWatchedForWriting { channels.watch(channel, forWriting: isWaiting) }
  }

  /// Nothing is to come from the socket but its end, by which the worker is as good as gone: no
  /// call would reach it. It may still answer the one that it runs.
  private func lookForEnd(of channel: WorkerChannel, at now: UInt64) {
    var byte: UInt8 = 0
    // Taken, as it is of no use: an urgent one that was only looked at would be told of for ever.
    let count = recv(channel.socket, &byte, 1, Int32(MSG_DONTWAIT))
    if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
    endWriting(channel)
    // What it had answered before counts; it may be the end of the pipe, too.
    while !channel.isEnded, read(channel, at: now) {}
    if count > 0 {
      if !channel.isEnded { endReading(channel) }
      let fault = "the worker broke the protocol: it wrote where its calls come from"
      return state.misbehaved(channel.worker, reason: fault, at: now)
    }
    if !channel.isEnded { hungUp(channel, at: now) }
  }

  /// One of the two ends of the worker is closed: its socket's, or its pipe's.
  private func hungUp(_ channel: WorkerChannel, at now: UInt64) {
    if channel.isOrphaned {
      conclude(channel, .unknown, at: now)
    } else {
      state.channelEnded(channel.worker, at: now)
    }
  }

  /// Reads once. Returns whether there may be more.
  private func read(_ channel: WorkerChannel, at now: UInt64) -> Bool {
    guard !channel.isEnded else { return false }
    let count = Glibc.read(channel.answers, readBuffer.baseAddress, readBuffer.count)
    if count < 0 && errno == EINTR { return true }
    if count < 0 && errno == EAGAIN { return false }
    guard count > 0 else {
      endReading(channel)
      hungUp(channel, at: now)
      return false
    }
    let bytes = UnsafeRawBufferPointer(rebasing: readBuffer[..<count])
    var fault: String?
    do throws(FrameError) {
      try channel.input.take(bytes) { frame in
        fault = take(frame, from: channel, at: now)
        return fault == nil
      }
    } catch {
      fault = error.reason
    }
    guard let fault else { return true }
    endReading(channel)
    state.misbehaved(channel.worker, reason: "the worker broke the protocol: \(fault)", at: now)
    return false
  }
}
