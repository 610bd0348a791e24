import DequeModule
import Testing

@testable import JobCore

/// Maps after a crash: what recovery builds equals what was live.
@Suite struct MapRecoveryTests {
  /// A store that is built of what a snapshot of `store` holds.
  static func restored(_ store: JobStore) -> JobStore {
    var result = JobStore()
    result.restore(nextNumber: store.nextNumber, forgotten: store.forgotten.hashes)
    var maps: [RestoredMap] = []
    var rows: [(job: RestoredJob?, map: RestoredMap?)] = []
    store.forEachInSnapshotOrder {
      rows.append((nil, RestoredMap($0, names: store.names)))
    } jobs: { job, line in
      var restored = RestoredJob(job, names: store.names)
      restored.line = line
      rows.append((restored, nil))
    }
    for row in rows {
      if let map = row.map {
        maps.append(map)
        result.restore(map)
      }
      if let job = row.job { result.restore(job) }
    }
    return result
  }

  /// A store to which the records were applied.
  private func replayed(_ records: [Record]) throws -> JobStore {
    var store = JobStore()
    for record in records { try store.apply(record) }
    return store
  }

  @Test func `snapshot and journal both restore maps in every stage`() throws {
    var random = TestRandom(seed: 6)
    for _ in 0..<60 {
      var rig = Rig()
      rig.ready(0, credit: 3)
      var streams: [MapNumber] = []
      for step in 0..<60 {
        step % 7 == 0 ? rig.wait(1) : ()
        try act(&rig, &streams, random.below(9), random.below(5))
      }
      #expect(try replayed(rig.journal) == rig.store)
      let aside = MapRecoveryTests.restored(rig.store)
      #expect(aside == rig.store)
      let engine = Rig(store: aside)
      #expect(engine.engine.brokenInvariants() == [])
      #expect(try replayed(rig.journal + engine.journal) == engine.store)
    }
  }

  private func act(
    _ rig: inout Rig, _ streams: inout [MapNumber], _ choice: Int, _ size: Int
  ) throws {
    switch choice {
    case 0: _ = rig.submitMap(MapTests.document(size * 2, chunkSize: 2))
    case 1: streams.append(try rig.openMap(MapTests.stream()))
    case 2:
      guard let map = streams.randomElement else { return }
      rig.handle(.itemsReceived(map, [ChunkInput(count: 2, args: "[1,2]")]))
    case 3, 4, 5:
      guard let running = rig.running.dropFirst(size % 3).first else { return }
      if choice == 3 {
        let call = try #require(rig.call(of: running))
        rig.handle(.callRaised(call, MapTests.failure))
      } else {
        try rig.succeed(running, "[1,4]")
      }
    case 6:
      guard let map = streams.popLast() else { return }
      rig.handle(.inputEnded(map, size == 0 ? InputError(.brokenOff, "x") : nil, request: nil))
    case 7:
      guard size == 0, let map = rig.newestMap else { return }
      rig.handle(.mapCancelReceived(map, grace: 0, request: 3))
    default:
      guard let map = rig.newestMap else { return }
      rig.handle(.mapForgetReceived(map, request: 3))
    }
  }

  @Test func `released chunks are counted by what is restored`() throws {
    var rig = Rig()
    let number = try rig.openMap(MapTests.stream())
    rig.ready(0, credit: 2)
    let large = "[\"" + String(repeating: "x", count: Limits().mapBytesMax) + "\"]"
    rig.handle(
      .itemsReceived(
        number, [ChunkInput(count: 2, args: "[1,2]"), ChunkInput(count: 1, args: "[3]")]))
    let places = try #require(rig.map(number)?.chunks)
    try rig.succeed(places[1].job, large)
    try rig.succeed(places[0].job, "[1,4]")
    // In the order of completion the second chunk comes first, and so goes first.
    rig.handle(.resultsTaken(number, .completion, sent: 1, received: 1))
    let map = try #require(rig.map(number))
    #expect(map.releasedChunks == 1 && map.chunks.count == 2 && map.ended.count == 1)
    #expect(MapRecoveryTests.restored(rig.store) == rig.store)
    #expect(try replayed(rig.journal) == rig.store)
    #expect(MapRecoveryTests.restored(rig.store).map(number)?.ended.first?.first == 1)
  }

  @Test func `the first error of a map is known, also when its chunk was released`() throws {
    var rig = Rig(limits: Limits { $0.mapBytesMax = 1 })
    let number = try rig.openMap(MapTests.stream())
    rig.ready(0, credit: 4)
    let input = ChunkInput(count: 2, args: "[1,2]")
    rig.handle(.itemsReceived(number, [input, input, input]))
    let jobs = try #require(rig.map(number)?.chunks.map(\.job))
    func error() -> ChunkError? { rig.map(number).flatMap { rig.store.firstError(of: $0) } }
    try rig.succeed(jobs[0], "[1,4]")
    #expect(error() == nil)
    // What ends first counts, not what comes first.
    let last = try #require(rig.call(of: jobs[2]))
    rig.handle(.callRaised(last, MapTests.failure))
    let first = try #require(error())
    #expect((first.item, first.first, first.error.message) == (5, 4, "m"))
    #expect(first.error.values == nil)
    try rig.raise(jobs[1])
    #expect(error() == first)
    #expect(Self.restored(rig.store) == rig.store)
    // In the order of completion the failed chunk is the second.
    rig.handle(.resultsTaken(number, .completion, sent: 4, received: 4))
    #expect(rig.store[jobs[2]] == nil && rig.store[jobs[1]] != nil)
    #expect(error() == first)
    #expect(Self.restored(rig.store) == rig.store)
    #expect(try replayed(rig.journal) == rig.store)
    rig.handle(.inputEnded(number, nil, request: nil))
    #expect(rig.map(number)?.state == .failed)
    #expect(Self.restored(rig.store) == rig.store)
    #expect(Self.restored(rig.store).finishedBytes == rig.store.finishedBytes)
  }

  @Test func `a document that was not taken whole is gone after a crash`() throws {
    var rig = Rig()
    rig.handle(.mapReceived(MapTests.document(1_500, chunkSize: 1, id: "m"), request: 1))
    rig.ready(0, credit: 2)
    let after = Rig(store: try replayed(rig.journal))
    #expect(after.store.mapCount == 0 && after.store.count == 0)
  }

  @Test func `the input of a stream has ended after a crash, and what came runs on`() throws {
    var rig = Rig()
    let number = try rig.openMap(MapTests.stream())
    rig.handle(.itemsReceived(number, [ChunkInput(count: 1, args: "[1]")]))
    rig.ready(0)
    var after = Rig(store: try replayed(rig.journal))
    #expect(after.map(number)?.inputError?.code == .interrupted)
    #expect(after.ready(0).count == 1)
    let chunk = try #require(after.map(number)?.chunks[0].job)
    #expect(after.store[chunk]?.losses == 1)
  }

  @Test func `a cancelled map is final after a crash`() throws {
    var rig = Rig()
    rig.handle(.mapReceived(MapTests.document(1_200, chunkSize: 1), request: 1))
    rig.pass(0)
    let map = try #require(rig.map(1))
    rig.ready(0)
    rig.handle(.mapCancelReceived(map.number, grace: 0, request: 1))
    #expect(rig.map(map.number)?.stage == .taken)
    let after = Rig(store: try replayed(rig.journal))
    #expect(after.map(map.number)?.state == .cancelled)
    #expect(after.map(map.number)?.items.skipped == 1_200)
  }
}

extension Rig {
  /// The jobs that slots hold.
  fileprivate var running: [JobNumber] { engine.pools.flatMap(\.slots).flatMap(\.calls).map(\.job) }

  fileprivate var newestMap: MapNumber? {
    var newest: MapNumber?
    store.descendMaps(below: .max) { map in
      newest = map.number
      return false
    }
    return newest
  }
}

extension [MapNumber] {
  /// One of them; always the same, for histories that can be told again.
  fileprivate var randomElement: MapNumber? { isEmpty ? nil : self[count / 2] }
}
