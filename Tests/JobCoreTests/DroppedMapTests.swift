import DequeModule
import Testing

@testable import JobCore

/// Maps are dropped whole by one record, and what they held is given back in slices.
@Suite struct DroppedMapTests {
  /// A rig with slices of ten, and a map of 25 chunks, all of which have ended.
  private func rig() throws -> (Rig, JobMap) {
    var rig = Rig(limits: Limits { $0.forgottenPerTurnMax = 10 })
    rig.ready(0, credit: 25)
    let map = try rig.acceptMap(MapTests.document(25, chunkSize: 1, id: "m"))
    for place in map.chunks { try rig.succeed(place.job) }
    return (rig, map)
  }

  @Test func `a dropped map leaves nothing to be seen, and its chunks go in slices`() throws {
    var (rig, map) = try rig()
    let last = try #require(map.chunks.last?.job)
    let id = try #require(rig.store[last]?.id)
    let turn = rig.handle(.mapForgetReceived(map.number, request: 8))
    #expect(turn.records == [.mapForgotten(map.number)])
    #expect(rig.store.count == 0 && rig.store.finishedBytes == 0)
    #expect(rig.store.count(of: .succeeded) == 0 && rig.store.droppedCount == 25)
    #expect(rig.store[last] == nil && rig.store.brief(of: last) == nil)
    #expect(rig.store.number(of: id) == nil && !rig.store.isTaken(id))
    var seen = 0
    rig.store.descend(below: .max) { _ in
      seen += 1
      return true
    }
    rig.store.forEachInSnapshotOrder { _ in seen += 1 }
    #expect(seen == 0)
    #expect(rig.store.chunks(ofDropped: map.number) == map.chunks)
    for left in [15, 5, 0] {
      #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
      #expect(rig.pass(0).records.isEmpty)
      #expect(rig.store.droppedCount == left)
    }
    #expect(!rig.store.hasDropped && rig.store.droppedBytes == 0)
    #expect(rig.engine.nextDeadline(at: rig.moment) == nil)
    #expect(rig.store.chunks(ofDropped: map.number) == nil)
  }

  @Test func `whatever is left of a dropped map, the state is that of the journal`() throws {
    var (rig, map) = try rig()
    rig.handle(.mapForgetReceived(map.number, request: 8))
    for _ in 0..<4 {
      var all = JobStore()
      for record in rig.journal { try all.apply(record) }
      #expect(all == rig.store && all.droppedCount == 25)
      all.giveBackDropped()
      #expect(all == rig.store && all.droppedCount == 0)
      rig.pass(0)
    }
  }

  @Test func `the id of a dropped chunk is free, and stays that of whoever takes it`() throws {
    var (rig, map) = try rig()
    let ids = map.chunks.compactMap { rig.store[$0.job]?.id }
    rig.handle(.mapForgetReceived(map.number, request: 8))
    let job = try rig.accept(Submission(task: "square", id: ids[24]))
    for _ in 0..<3 { rig.pass(0) }
    #expect(rig.store.number(of: ids[24]) == job && !rig.store.hasDropped)
    try rig.crash()
  }

  @Test func `large chunks are given back a few at a time`() throws {
    var rig = Rig()
    rig.ready(0, credit: 4)
    let map = try rig.acceptMap(MapTests.document(4, chunkSize: 1))
    let large = String(repeating: "x", count: Engine.bytesGivenBackMax / 2 + 1)
    for place in map.chunks { try rig.succeed(place.job, "[\"\(large)\"]") }
    rig.handle(.mapForgetReceived(map.number, request: 8))
    rig.pass(0)
    #expect(rig.store.droppedCount == 2)
    #expect(rig.store.droppedBytes > Engine.bytesGivenBackMax)
  }

  @Test func `a withdrawn map leaves neither line nor deadline, while nothing is written`() throws {
    var rig = Rig(limits: Limits { $0.forgottenPerTurnMax = 10 })
    let options = JobOptions(attemptsMax: 2)
    let map = try rig.acceptMap(MapTests.document(200, chunkSize: 1, options))
    let retried = map.chunks[0].job
    rig.ready(0)
    try rig.raise(retried)
    #expect(rig.store[retried]?.state == .scheduled)
    let running = try #require(rig.call(of: map.chunks[1].job))
    rig.handle(.storageChanged(isWritable: false))
    rig.handle(.submissionWithdrawn(map.number))
    #expect(rig.engine.queuedCount(pool: 0) == 0 && rig.store.openCount == 0)
    var told: Set<JobNumber> = []
    for _ in 0..<21 {
      for effect in rig.pass(100_000).effects {
        if case .jobChanged(let number) = effect { told.insert(number) }
      }
    }
    #expect(!rig.store.hasDropped && told == Set(map.chunks.map(\.job)))
    #expect(rig.engine.ready.allSatisfy { $0.entries.underestimatedCount < 200 })
    rig.handle(.storageChanged(isWritable: true))
    #expect(rig.pass(0).isEmpty)
    rig.handle(.callLost(running, .workerExited(exitcode: -9)))
    let job = try rig.square()
    #expect(rig.call(of: job) != nil)
    try rig.crash()
  }

  @Test func `the calls of a withdrawn map keep their places until the pool is done with them`()
    throws
  {
    var rig = Rig()
    rig.ready(0, credit: 2)
    let long = try rig.square()
    let map = try rig.acceptMap(MapTests.document(1, chunkSize: 1))
    let chunk = try #require(rig.call(of: map.chunks[0].job))
    let turn = rig.handle(.submissionWithdrawn(map.number))
    #expect(!turn.effects.contains(.endCall(chunk, grace: 0)), "another's call runs there")
    let next = try rig.square()
    #expect(rig.store[next]?.state == .queued)
    #expect(try rig.succeed(long).effects.contains(.endCall(chunk, grace: 0)))
    #expect(rig.store[next]?.state == .running)
    #expect(rig.handle(.callLost(chunk, .workerExited(exitcode: -9))).records.isEmpty)
    try rig.succeed(next)
    #expect(rig.store.openCount == 0 && rig.engine.busySlots(pool: 0) == 0)
  }

  @Test func `a chunk that runs is ended when its map is withdrawn, and no other starts before`()
    throws
  {
    var rig = Rig()
    rig.ready(0)
    let map = try rig.acceptMap(MapTests.document(1, chunkSize: 1, JobOptions(timeout: 50)))
    let chunk = try #require(rig.call(of: map.chunks[0].job))
    let turn = rig.handle(.submissionWithdrawn(map.number))
    #expect(turn.effects.contains(.endCall(chunk, grace: 0)))
    let next = try rig.square()
    #expect(rig.pass(100).records.isEmpty && rig.store[next]?.state == .queued)
    #expect(rig.handle(.callReturned(chunk, result: "[49]")).dispatched.count == 1)
    #expect(rig.store[next]?.state == .running)
  }

  @Test func `the deadline of a withdrawn chunk leads nowhere`() throws {
    var rig = Rig(limits: Limits { $0.forgottenPerTurnMax = 1 })
    let options = JobOptions(attemptsMax: 2)
    let map = try rig.acceptMap(MapTests.document(3, chunkSize: 1, options))
    rig.ready(0)
    for place in map.chunks { try rig.raise(place.job) }
    rig.handle(.submissionWithdrawn(map.number))
    for _ in 0..<5 { #expect(rig.pass(100_000).records.isEmpty) }
    #expect(!rig.store.hasDropped)
  }

  @Test func `a chunk of another pool than its map's does not fit`() throws {
    var store = JobStore()
    try store.apply(
      .mapCreated(
        MapCreated(
          number: 1, id: try #require(JobID("m")), task: "t", pool: "p", chunkSize: 1, total: nil,
          at: 5)))
    let chunk = JobSubmitted(
      number: 2, id: try #require(JobID("c")), task: "t", pool: "q", args: "[1]",
      options: JobOptions(chunk: ChunkPlace(map: 1, first: 0, count: 1)), at: 5)
    #expect(throws: JobStore.Misfit.self) { try store.apply(.jobSubmitted(chunk)) }
  }
}
