import DequeModule
import Testing

@testable import JobCore

/// Maps next to others: who is told, who makes room, who does not run.
@Suite struct MapRoomTests {
  private func tells(_ turn: Turn, of number: JobNumber) -> Bool {
    turn.effects.contains { effect in
      if case .jobChanged(number) = effect { return true }
      return false
    }
  }

  @Test(arguments: MapOrder.allCases)
  func `what a reader has taken makes room when all that is open holds too much`(
    order: MapOrder
  ) throws {
    var rig = Rig(limits: Limits { $0.openBytesMax = 100 })
    let number = try rig.openMap(MapTests.stream(chunkSize: 1))
    rig.ready(0)
    rig.handle(.itemsReceived(number, [ChunkInput(count: 1, args: "[1]")]))
    let chunk = try #require(rig.map(number)?.chunks.first)
    try rig.succeed(chunk.job, "[\"" + String(repeating: "x", count: 60) + "\"]")
    rig.handle(.resultsTaken(number, order, sent: 1, received: 0))
    #expect(rig.map(number)?.releasedChunks == 0)
    #expect(rig.engine.mayTakeItems(number, bufferSize: 9))

    // Somebody else's items fill what is left: the readers are through, and nobody would come.
    let other = try rig.openMap(MapTests.stream(chunkSize: 1))
    let large = "[\"" + String(repeating: "y", count: 60) + "\"]"
    rig.handle(.itemsReceived(other, [ChunkInput(count: 1, args: large)]))
    #expect(!rig.engine.mayTakeItems(number, bufferSize: 9))
    #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
    rig.pass(0)
    #expect(rig.map(number)?.releasedChunks == 1)
    #expect(rig.engine.mayTakeItems(number, bufferSize: 9))
    #expect(rig.engine.nextDeadline(at: rig.moment) != rig.moment.instant)
  }

  @Test func `a chunk of a cancelled map does not get its last chance`() throws {
    var rig = Rig(limits: Limits { $0.chunksPerTurnMax = 1 })
    rig.ready(0)
    let map = try rig.acceptMap(MapTests.document(1, chunkSize: 1))
    let other = try rig.acceptMap(MapTests.document(1, chunkSize: 1))
    let chunk = try #require(rig.map(other.number)?.chunks.first?.job)
    try rig.succeed(try #require(rig.map(map.number)?.chunks.first?.job))
    for _ in 0..<2 {
      rig.ready(0)
      rig.handle(.slotGone(SlotID(pool: 0, index: 0)))
      try rig.lose(chunk, .interrupted)
    }
    #expect(rig.engine.lastChances == [chunk])

    // Cancelled, and its turn to end its chunks has not come.
    var turn = Turn()
    rig.engine.emit(.mapCancelRequested(other.number), &turn)
    rig.engine.mapWork.cancelled = [(map.number, 0), (other.number, 0)]
    #expect(rig.ready(0).isEmpty)
    #expect(rig.map(other.number)?.state == .cancelled)
    #expect(rig.store[chunk]?.state == .cancelled)
  }

  @Test func `that retention drops a map is told, as it may do so at once`() throws {
    var rig = Rig(limits: Limits { $0.retentionJobsMax = 0 })
    let map = try rig.acceptMap(MapTests.document(1))
    rig.ready(0)
    try rig.succeed(try #require(map.chunks.first?.job))
    let turn = rig.pass(0)
    #expect(turn.records == [.mapForgotten(map.number)])
    #expect(tells(turn, of: map.number))
  }

  @Test func `what a recovery decides is told`() throws {
    var rig = Rig()
    let number = try rig.openMap(MapTests.stream())
    let job = try rig.square(JobOptions(onInterrupt: .fail))
    rig.ready(0)
    var store = JobStore()
    for record in rig.journal { try store.apply(record) }
    var engine = Engine(store: store, pools: ["default"], limits: Limits(), seed: 2)
    var turn = Turn()
    engine.recover(at: rig.moment, &turn)
    #expect(turn.records.map(\.job).sorted() == [number, job])
    #expect(tells(turn, of: number) && tells(turn, of: job))
  }

  @Test func `as it was accepted a map has all its items before it`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(3, chunkSize: 1))
    rig.ready(0, credit: 3)
    try rig.succeed(map.chunks[0].job)
    rig.handle(.mapCancelReceived(map.number, grace: 0, request: 8))
    let accepted = try #require(rig.map(map.number)?.asAccepted)
    #expect(accepted.state == .queued && accepted.version == 1 && accepted.total == 3)
    #expect(accepted.items.queued == 3 && accepted.items.all == 3)
    #expect(!accepted.isCancelRequested)
  }
}
