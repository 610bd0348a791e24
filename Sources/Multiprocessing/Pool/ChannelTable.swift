/// This side of one worker, as far as the lists of its pool know it.
protocol PoolChannel: AnyObject {
  /// The worker, by its place in the pool.
  var worker: PoolWorkerID { get }
  /// Our end of what the worker reads; open as long as this object is.
  var socket: Int32 { get }
  /// When the worker was asked for, in nanoseconds of the owner's monotonic clock.
  var startedAt: UInt64 { get }
  /// Its process, by the fork server's name; nil: it was not asked for yet.
  var token: ProcessToken? { get set }
  /// The same by the system's; 0: nobody has told it yet.
  var process: Int32 { get }
  /// Whether it is on the pool's list of those to flush.
  var isDirty: Bool { get set }
  /// Whether the pool waits until the socket takes more.
  var isWatchedForWriting: Bool { get set }
}

/// The channels of a pool's workers: found by the worker, by its process and by each descriptor
/// that is watched; those of them that have something to write; the last workers that are gone.
///
/// What the workers are at, `PoolState` knows. Nothing here may be reached again from within the
/// owner's `watch` and `unwatch`.
struct ChannelTable<Channel: PoolChannel> {
  /// By `PoolWorkerID.index`.
  private(set) var places: [Channel?] = []
  private var byDescriptor: [Channel?] = []
  private var byToken: [ProcessToken: Channel] = [:]
  /// Those that have something to write, in the order in which they got it.
  private(set) var dirty: [Channel] = []
  /// The last `goneMax` workers that are gone, the latest last.
  private(set) var gone: [WorkerSummary] = []
  private let watch: WorkerPool.Watch
  private let unwatch: (_ descriptor: Int32) -> Void

  /// Of how many workers that are gone a pool still knows.
  static var goneMax: Int { 16 }

  /// No channels yet. `unwatch` is called before a descriptor is closed.
  init(
    watch: @escaping WorkerPool.Watch, unwatch: @escaping (_ descriptor: Int32) -> Void
  ) {
    self.watch = watch
    self.unwatch = unwatch
  }

  // MARK: Finding

  /// The channel of a worker; nil: it is gone.
  @inline(__always)
  subscript(worker: PoolWorkerID) -> Channel? {
    guard worker.index < places.count, let channel = places[worker.index],
      channel.worker == worker
    else { return nil }
    return channel
  }

  /// The channel whose worker is that process; nil: it is not one of this pool's.
  subscript(token: ProcessToken) -> Channel? { byToken[token] }

  /// The channel that a watched descriptor belongs to; nil: it is not one of this pool's.
  subscript(descriptor descriptor: Int32) -> Channel? {
    descriptor < byDescriptor.count ? byDescriptor[Int(descriptor)] : nil
  }

  /// The workers that live, in the order of their places.
  func summaries(in state: PoolState) -> [WorkerSummary] {
    places.compactMap { channel in channel.flatMap { summary(of: $0, in: state) } }
  }

  private func summary(of channel: Channel, in state: PoolState) -> WorkerSummary? {
    state.summary(of: channel.worker, process: channel.process, startedAt: channel.startedAt)
  }

  // MARK: Coming and going

  /// Watches a descriptor of a channel for reading.
  mutating func watch(_ descriptor: Int32, of channel: Channel) throws(StartFailure) {
    try watch(descriptor, false)
    let place = Int(descriptor)
    while byDescriptor.count <= place { byDescriptor.append(nil) }
    byDescriptor[place] = channel
  }

  /// Ends the watch of a descriptor, if there is one.
  mutating func unwatch(_ descriptor: Int32) {
    let place = Int(descriptor)
    guard place < byDescriptor.count, byDescriptor[place] != nil else { return }
    byDescriptor[place] = nil
    unwatch(descriptor)
  }

  /// Ends every watch: the pool is let go of.
  func unwatchAll() {
    for (descriptor, channel) in byDescriptor.enumerated() where channel != nil {
      unwatch(Int32(descriptor))
    }
  }

  /// Watches for the socket's taking more, or no longer. Only where that is a change: it is not for
  /// every write. One that is not watched any more is not watched again: nobody would end that.
  func watch(_ channel: Channel, forWriting isWaiting: Bool) {
    guard self[descriptor: channel.socket] === channel else { return }
    // A watch that there is can be changed.
    if (try? watch(channel.socket, isWaiting)) != nil { channel.isWatchedForWriting = isWaiting }
  }

  /// Takes in the channel of a worker that the fork server was asked for.
  mutating func insert(_ channel: Channel, as token: ProcessToken) {
    channel.token = token
    byToken[token] = channel
    let index = channel.worker.index
    while places.count <= index { places.append(nil) }
    places[index] = channel
  }

  /// Forgets a channel whose descriptors are not watched any more; it closes with the last
  /// reference.
  mutating func remove(_ channel: Channel) {
    places[channel.worker.index] = nil
    if let token = channel.token { byToken[token] = nil }
    if channel.isDirty { dirty.removeAll { $0 === channel } }
  }

  /// Notes how a worker has ended, before its channel and its state are forgotten.
  ///
  /// - Parameter hadBegun: whether it may have begun the first call that it owes an answer to.
  mutating func noteGone(
    _ channel: Channel, _ status: ExitStatus, hadBegun: Bool, in state: PoolState
  ) {
    guard var summary = summary(of: channel, in: state) else { return }
    if !hadBegun { summary.call = nil }
    summary.state = .gone
    summary.exitStatus = status
    if gone.count == Self.goneMax { gone.removeFirst() }
    gone.append(summary)
  }

  // MARK: Writing

  /// Notes that a channel has something to write.
  @inline(__always)
  mutating func noteDirty(_ channel: Channel) {
    guard !channel.isDirty else { return }
    channel.isDirty = true
    dirty.append(channel)
  }

  /// Each of `dirty` has been told to write.
  mutating func forgetDirty() {
    for channel in dirty { channel.isDirty = false }
    dirty.removeAll(keepingCapacity: true)
  }
}
