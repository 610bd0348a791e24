import Testing

@testable import Multiprocessing

/// The lists of a pool's channels agree with one another.
struct ChannelTableTests {
  /// A channel without a process behind it.
  private final class Channel: PoolChannel {
    let worker: PoolWorkerID
    let socket: Int32
    let startedAt: UInt64 = 0
    var token: ProcessToken?
    var process: Int32 = 7
    var isDirty = false
    var isWatchedForWriting = false

    init(_ worker: PoolWorkerID, socket: Int32) {
      self.worker = worker
      self.socket = socket
    }
  }

  /// What the owner of a pool watches.
  private final class Watches {
    var writable: [Int32: Bool] = [:]
    var isFull = false

    func table() -> ChannelTable<Channel> {
      ChannelTable(
        watch: { [unowned self] (descriptor, isWritable) throws(StartFailure) in
          if isFull { throw StartFailure(stage: .watching, errorNumber: 28) }
          writable[descriptor] = isWritable
        }, unwatch: { [unowned self] in writable[$0] = nil })
    }
  }

  private let watches = Watches()

  @Test func `a channel is found by its worker, its process and its descriptors`() throws {
    var table = watches.table()
    let worker = PoolWorkerID(generation: 5, index: 2)
    let channel = Channel(worker, socket: 4)
    for descriptor: Int32 in [4, 9] { try table.watch(descriptor, of: channel) }
    table.insert(channel, as: ProcessToken(rawValue: 70))
    #expect(table[worker] === channel && table[ProcessToken(rawValue: 70)] === channel)
    #expect(table[descriptor: 4] === channel && table[descriptor: 9] === channel)
    #expect(table[descriptor: 5] == nil && table[descriptor: 10] == nil)
    #expect(table[ProcessToken(rawValue: 71)] == nil)
    // The worker that was there before, and the one that comes after it.
    for generation: UInt32 in [4, 6] {
      #expect(table[PoolWorkerID(generation: generation, index: 2)] == nil)
    }
    #expect(table[PoolWorkerID(generation: 5, index: 3)] == nil)
    #expect(watches.writable == [4: false, 9: false])
  }

  @Test func `nothing is left of one that is removed`() throws {
    var table = watches.table()
    let channels = (0..<2).map { index in
      Channel(PoolWorkerID(generation: 1, index: index), socket: Int32(index + 3))
    }
    for (number, channel) in channels.enumerated() {
      try table.watch(channel.socket, of: channel)
      table.insert(channel, as: ProcessToken(rawValue: UInt64(number)))
      table.noteDirty(channel)
      table.noteDirty(channel)
    }
    #expect(table.dirty.map(\.socket) == [3, 4])
    table.unwatch(3)
    table.unwatch(3)
    table.remove(channels[0])
    #expect(table[channels[0].worker] == nil && table[ProcessToken(rawValue: 0)] == nil)
    #expect(table[descriptor: 3] == nil && table[descriptor: 4] === channels[1])
    #expect(table.dirty.map(\.socket) == [4] && watches.writable == [4: false])
    table.forgetDirty()
    #expect(table.dirty.isEmpty && !channels[1].isDirty)
    table.noteDirty(channels[1])
    #expect(table.dirty.count == 1)
    table.unwatchAll()
    #expect(watches.writable.isEmpty)
  }

  @Test func `where there is no watch left, nothing is noted`() throws {
    var table = watches.table()
    let channel = Channel(PoolWorkerID(generation: 0, index: 0), socket: 3)
    watches.isFull = true
    #expect(throws: StartFailure.self) { try table.watch(3, of: channel) }
    #expect(table[descriptor: 3] == nil)
    watches.isFull = false
    try table.watch(3, of: channel)
    watches.isFull = true
    table.watch(channel, forWriting: true)
    #expect(!channel.isWatchedForWriting)
    watches.isFull = false
    table.watch(channel, forWriting: true)
    #expect(channel.isWatchedForWriting && watches.writable == [3: true])
  }

  @Test func `what is not watched any more is not watched for writing`() throws {
    let table = watches.table()
    let channel = Channel(PoolWorkerID(generation: 0, index: 0), socket: 3)
    table.watch(channel, forWriting: true)
    #expect(!channel.isWatchedForWriting && watches.writable.isEmpty)
    // Another has the number by now.
    var other = table
    try other.watch(3, of: Channel(PoolWorkerID(generation: 1, index: 0), socket: 3))
    other.watch(channel, forWriting: true)
    #expect(!channel.isWatchedForWriting && watches.writable == [3: false])
  }

  @Test func `the last that are gone are kept`() throws {
    var state = PoolState(PoolSettings(processes: 1))
    state.begin(at: 0)
    let worker = try #require(
      state.actions.compactMap { action -> PoolWorkerID? in
        if case .start(let worker, _) = action { worker } else { nil }
      }.first)
    var table = watches.table()
    for number in 0..<ChannelTable<Channel>.goneMax + 3 {
      let channel = Channel(worker, socket: 3)
      channel.process = Int32(number)
      table.insert(channel, as: ProcessToken(rawValue: UInt64(number)))
      #expect(table.summaries(in: state).map(\.process) == [Int32(number)])
      table.noteGone(channel, .exited(1), hadBegun: true, in: state)
      table.remove(channel)
    }
    #expect(table.gone.map(\.process) == (3..<19).map { Int32($0) })
    #expect(table.gone.allSatisfy { $0.state == .gone && $0.exitStatus == .exited(1) })
    #expect(table.summaries(in: state).isEmpty)
  }
}
