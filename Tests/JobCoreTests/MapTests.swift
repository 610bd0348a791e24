import DequeModule
import Testing

@testable import JobCore

/// Maps in the engine: what their chunks make of them.
@Suite struct MapTests {
  /// Items 0, 1, 2 … as a document.
  static func items(_ count: Int) -> MapItems {
    var text: [UInt8] = []
    var starts: ContiguousArray<UInt32> = []
    for item in 0..<count {
      if item > 0 { text.append(UInt8(ascii: ",")) }
      starts.append(UInt32(text.count))
      text += Array("\(item)".utf8)
    }
    return MapItems(text: text, starts: starts)
  }

  static func document(
    _ count: Int, chunkSize: Int? = nil, id: String? = nil, _ options: JobOptions? = nil
  ) -> MapSubmission {
    MapSubmission(
      task: "square", items: items(count), id: id.flatMap { JobID($0) }, chunkSize: chunkSize,
      options: options)
  }

  static func stream(chunkSize: Int? = nil, id: String? = nil) -> MapSubmission {
    MapSubmission(
      task: "square", items: nil, id: id.flatMap { JobID($0) }, chunkSize: chunkSize)
  }

  static let failure = RaisedError(
    type: "E", message: "m", item: 1, values: "[0]")

  // MARK: Documents

  @Test func `a document is cut by Python's rule`() throws {
    for (count, workers, size) in [
      (1, 1, 1), (10, 1, 3), (10, 2, 2), (10, 4, 1), (100, 8, 4), (1_000, 2, 125), (0, 3, 0),
    ] {
      var rig = Rig()
      rig.engine.poolSizes = [workers]
      let map = try rig.acceptMap(MapTests.document(count))
      #expect(map.chunkSize == size)
      #expect(map.chunkCount == (size == 0 ? 0 : (count + size - 1) / size))
      #expect(map.total == count)
      let args = map.chunks.map { rig.store[$0.job]?.args ?? "" }
      let joined = args.map { $0.dropFirst().dropLast() }.joined(separator: ",")
      #expect(joined == (0..<count).map(String.init).joined(separator: ","))
    }
  }

  @Test func `an empty map is final at once`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(0))
    #expect(map.state == .succeeded)
    #expect(map.finishedAt == Rig.start)
    #expect(rig.store.finishedCount == 1)
  }

  @Test func `a map succeeds when its last chunk has`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(5, chunkSize: 2))
    #expect(map.state == .queued)
    #expect(rig.ready(0, credit: 3).count == 3)
    #expect(rig.map(map.number)?.state == .running)
    for place in map.chunks.reversed() { try rig.succeed(place.job) }
    let ended = try #require(rig.map(map.number))
    #expect(ended.state == .succeeded)
    #expect(ended.items.succeeded == 5)
    #expect(ended.ended.map(\.first) == [0, 1, 3])
    #expect(ended.ended.map(\.job) == map.chunks.map(\.job).reversed())
    #expect(rig.store.openBytes == 0)
    #expect(rig.store.oldestFinished == nil && rig.store.finishedCount == 1)
  }

  @Test func `the first failing item ends its chunk, and all other chunks run`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(8, chunkSize: 4))
    rig.ready(0, credit: 2)
    let call = try #require(rig.call(of: map.chunks[0].job))
    rig.handle(.callRaised(call, MapTests.failure))
    #expect(rig.map(map.number)?.state == .running)
    try rig.succeed(map.chunks[1].job)
    let ended = try #require(rig.map(map.number))
    #expect(ended.state == .failed)
    #expect((ended.items.succeeded, ended.items.failed, ended.items.skipped) == (5, 1, 2))
  }

  @Test func `a chunk that is lost with its worker fails with all its items`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(3, chunkSize: 3))
    rig.ready(0)
    let call = try #require(rig.call(of: map.chunks[0].job))
    rig.handle(.callLost(call, .workerExited(exitcode: -9)))
    #expect(rig.map(map.number)?.items.failed == 3)
  }

  @Test func `many chunks are made in slices`() throws {
    var rig = Rig()
    let turn = rig.handle(
      .mapReceived(MapTests.document(2_500, chunkSize: 1), request: 7))
    #expect(turn.answer(to: 7) == nil)
    #expect(turn.records.count == 1 + Limits().chunksPerTurnMax)
    #expect(rig.engine.nextDeadline(at: rig.moment) == rig.moment.instant)
    #expect(rig.pass(0).answer(to: 7) == nil)
    #expect(rig.pass(0).answer(to: 7) == .accepted(1, isReplay: false))
    #expect(rig.map(1)?.chunkCount == 2_500)
  }

  // MARK: Admission

  @Test func `the same document again is the same map`() throws {
    var rig = Rig()
    let options = JobOptions(idempotencyKey: "k")
    let map = try rig.acceptMap(MapTests.document(10, id: "m", options))
    for again in [
      MapTests.document(10, id: "m"), MapTests.document(10, options),
      MapTests.document(10, chunkSize: map.chunkSize, id: "m", options),
    ] {
      #expect(rig.submitMap(again) == .accepted(map.number, isReplay: true))
    }
    var star = MapTests.document(10, id: "m")
    star.isStar = true
    let refused = Answer.refused(.idempotencyMismatch(map.id))
    for other in [
      star, MapTests.document(9, id: "m"), MapTests.stream(id: "m"),
      MapTests.document(10, chunkSize: 1, id: "m"), MapTests.document(10, id: "other", options),
    ] {
      #expect(rig.submitMap(other) == refused)
    }
    var changed = MapTests.document(10, id: "m")
    let items = MapTests.items(10)
    changed.items = MapItems(
      text: items.text.dropLast() + [UInt8(ascii: "8")], starts: items.starts)
    #expect(rig.submitMap(changed) == refused)
  }

  @Test func `jobs and maps share ids and keys`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(1, id: "m", JobOptions(idempotencyKey: "k")))
    let job = try rig.accept(Submission(task: "square", id: JobID("j")))
    let refused = Answer.refused(.idempotencyMismatch(map.id))
    #expect(rig.submit(Submission(task: "square", id: JobID("m"))) == refused)
    let options = JobOptions(idempotencyKey: "k")
    #expect(rig.submit(Submission(task: "square", options: options)) == refused)
    let id = try #require(rig.store[job]?.id)
    #expect(rig.submitMap(MapTests.document(1, id: "j")) == .refused(.idempotencyMismatch(id)))
  }

  @Test func `a map that there is no room for is refused whole`() {
    var limits = Limits()
    limits.openJobsMax = 5
    limits.openBytesMax = 100
    var rig = Rig(limits: limits)
    #expect(
      rig.submitMap(MapTests.document(6, chunkSize: 1)) == .refused(.tooManyChunks(jobsMax: 5)))
    #expect(rig.submitMap(MapTests.document(90)) == .refused(.payloadTooLarge(bytesMax: 100)))
    #expect(rig.submitMap(MapTests.document(4, chunkSize: 1)) == .accepted(1, isReplay: false))
    #expect(
      rig.submitMap(MapTests.document(2, chunkSize: 1)) == .refused(.queueFull(retryAfter: 5)))
    #expect(rig.store.mapCount == 1)
    rig.handle(.storageChanged(isWritable: false))
    #expect(rig.submitMap(MapTests.document(1)) == .refused(.readOnly))
    #expect(rig.submitMap(MapTests.stream()) == .refused(.readOnly))
  }

  // MARK: Items that come one after the other

  @Test func `a stream ends when its input and its chunks have`() throws {
    var rig = Rig()
    let number = try rig.openMap(MapTests.stream(id: "s"))
    rig.ready(0, credit: 2)
    rig.handle(.itemsReceived(number, [ChunkInput(count: 2, args: "[1,2]")]))
    #expect(rig.map(number)?.total == nil)
    let first = try #require(rig.map(number)?.chunks[0].job)
    try rig.succeed(first)
    #expect(rig.map(number)?.stage == .taking)
    rig.handle(.itemsReceived(number, [ChunkInput(count: 1, args: "[3]")]))
    let answer = rig.handle(.inputEnded(number, nil, request: 9)).answer(to: 9)
    #expect(answer == .taken(number))
    let last = try #require(rig.map(number)?.chunks[1].job)
    try rig.succeed(last)
    #expect(rig.map(number)?.state == .succeeded)
    #expect(rig.map(number)?.total == 3)
    rig.handle(.itemsReceived(number, [ChunkInput(count: 1, args: "[4]")]))
    #expect(rig.map(number)?.items.all == 3)
  }

  @Test func `an input that breaks off fails the map, and what came is run`() throws {
    var rig = Rig()
    let number = try rig.openMap(MapTests.stream())
    rig.handle(.itemsReceived(number, [ChunkInput(count: 1, args: "[1]")]))
    rig.handle(.inputEnded(number, InputError(.brokenOff, "gone"), request: nil))
    rig.ready(0)
    let chunk = try #require(rig.map(number)?.chunks[0].job)
    try rig.succeed(chunk)
    #expect(rig.map(number)?.state == .failed)
    #expect(rig.map(number)?.items.succeeded == 1)
  }

  @Test(arguments: MapOrder.allCases)
  func `what a reader has taken is released when the map holds too much`(order: MapOrder) throws {
    var rig = Rig()
    let number = try rig.openMap(MapTests.stream(chunkSize: 1))
    let large = "\"" + String(repeating: "x", count: Limits().mapBytesMax / 4) + "\""
    rig.ready(0)
    for index in 0..<5 {
      #expect(rig.engine.mayTakeItems(number, bufferSize: 4) == (index < 4))
      rig.handle(.itemsReceived(number, [ChunkInput(count: 1, args: "[\(index)]")]))
      let last = try #require(rig.map(number)?.chunks.last)
      try rig.succeed(last.job, "[\(large)]")
    }
    #expect(rig.map(number)?.releasedChunks == 0)
    rig.handle(.resultsTaken(number, order, sent: 3, received: 0))
    #expect(rig.map(number)?.releasedChunks == 0, "what was sent may not have come")
    #expect(rig.engine.mayTakeItems(number, bufferSize: 4))
    rig.handle(.resultsTaken(number, order, sent: 0, received: 1_000))
    let map = try #require(rig.map(number))
    #expect(map.releasedChunks == 2)
    #expect(map.items.succeeded == 5)
    #expect((map.chunks.count, map.ended.count) == (3, 3))
    #expect(JobMap.index(ofItem: 1, in: map.chunks) == nil)
    #expect(JobMap.index(ofItem: 2, in: map.chunks) == 0)
    #expect(rig.engine.mayTakeItems(number, bufferSize: 4))
    rig.handle(.inputEnded(number, nil, request: nil))
    #expect(rig.map(number)?.state == .succeeded)
  }

  @Test(arguments: MapOrder.allCases)
  func `places of released chunks go, although the oldest in the other order stays`(
    order: MapOrder
  ) throws {
    var rig = Rig(limits: Limits { $0.mapBytesMax = 20_000 })
    let number = try rig.openMap(MapTests.stream(chunkSize: 1))
    let count = 500
    for _ in 0..<count {
      rig.handle(.itemsReceived(number, [ChunkInput(count: 1, args: "[1]")]))
    }
    var chunks = try #require(rig.map(number)?.chunks.map(\.job))
    // One stays at the front of the other order: the first, which runs for long, or the last, which
    // ends first.
    let straggler = order == .completion ? chunks.removeFirst() : chunks.removeLast()
    if order == .input { #expect(rig.cancel(straggler) == .cancelled(straggler)) }
    rig.ready(0, credit: 4)
    for chunk in chunks { try rig.succeed(chunk) }
    for line in 1..<count {
      rig.handle(.resultsTaken(number, order, sent: line, received: line))
    }
    let map = try #require(rig.map(number))
    let held = map.chunkCount - map.releasedChunks
    #expect(held < 50 && map.releasedChunks > 400)
    #expect(map.chunks.count <= 2 * held + 16 && map.ended.count <= 2 * held + 16)
    #expect((order == .completion ? map.chunks : map.ended).first?.job == straggler)
    if order == .completion { try rig.succeed(straggler) }
    rig.handle(.inputEnded(number, nil, request: nil))
    #expect(rig.map(number)?.stage == .final)
    #expect(rig.map(number)?.items.done == count)
  }

  // MARK: The end

  @Test func `a cancelled map drops what waits and ends what runs`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(4, chunkSize: 1))
    rig.ready(0, credit: 1)
    let turn = rig.handle(.mapCancelReceived(map.number, grace: 100, request: 8))
    #expect(turn.answer(to: 8) == .cancelled(map.number))
    #expect(turn.inWords.contains("endCall(100)"))
    #expect(rig.map(map.number)?.items.skipped == 3)
    #expect(rig.map(map.number)?.state == .running)
    let call = try #require(rig.call(of: map.chunks[0].job))
    rig.handle(.callLost(call, .workerExited(exitcode: -15)))
    #expect(rig.map(map.number)?.state == .cancelled)
    let again = rig.handle(.mapCancelReceived(map.number, grace: 100, request: 8))
    #expect(again.answer(to: 8) == .refused(.notCancellable(.cancelled)))
  }

  @Test func `chunks of a cancelled map do not start while others are dropped`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(900, chunkSize: 1))
    let other = try rig.acceptMap(MapTests.document(300, chunkSize: 1))
    rig.handle(.mapCancelReceived(map.number, grace: 0, request: 8))
    rig.handle(.mapCancelReceived(other.number, grace: 0, request: 8))
    let third = try rig.acceptMap(MapTests.document(900, chunkSize: 1))
    rig.engine.mapWork.cancelled = [(third.number, 0)]
    var turn = Turn()
    rig.engine.emit(.mapCancelRequested(third.number), &turn)
    #expect(rig.ready(0, credit: 5).isEmpty)
    #expect(rig.map(third.number)?.state == .cancelled)
  }

  @Test func `a cancelled map cannot have an attempt more`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(
      MapTests.document(1, JobOptions(attemptsMax: 3)))
    rig.ready(0)
    rig.handle(.mapCancelReceived(map.number, grace: 0, request: 8))
    let call = try #require(rig.call(of: map.chunks[0].job))
    rig.handle(.callRaised(call, MapTests.failure))
    #expect(rig.map(map.number)?.state == .cancelled)
  }

  @Test func `a map is dropped with its chunks, a chunk not without its map`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(3, chunkSize: 1, id: "m"))
    rig.ready(0, credit: 3)
    let open = rig.handle(.mapForgetReceived(map.number, request: 8))
    #expect(open.answer(to: 8) == .refused(.notFinal(.running)))
    for place in map.chunks { try rig.succeed(place.job) }
    #expect(rig.forget(map.chunks[0].job) == .refused(.chunkOfMap(map.id)))
    let turn = rig.handle(.mapForgetReceived(map.number, request: 8))
    #expect(turn.answer(to: 8) == .forgotten)
    #expect(rig.store.count == 0 && rig.store.mapCount == 0 && rig.store.finishedBytes == 0)
    #expect(rig.store.forgotten.contains(map.id.stableHash))
    #expect(rig.store.finishedCount == 0)
  }

  @Test func `retention counts a map as one and by the bytes of its chunks`() throws {
    var limits = Limits()
    limits.retentionJobsMax = 2
    var rig = Rig(limits: limits)
    rig.ready(0, credit: 3)
    let map = try rig.acceptMap(MapTests.document(3, chunkSize: 1))
    for place in map.chunks { try rig.succeed(place.job) }
    let held = try #require(rig.map(map.number))
    #expect(rig.store.finishedBytes == held.endedBytes && held.endedBytes == 3 * 5)
    rig.pass(0)
    #expect(rig.store.mapCount == 1)
    for _ in 0..<2 { try rig.succeed(try rig.square()) }
    rig.pass(0)
    #expect(rig.store.mapCount == 0 && rig.store.count == 2)
  }

  @Test func `a map whose record could not be written leaves nothing`() throws {
    var rig = Rig()
    let map = try rig.acceptMap(MapTests.document(3, chunkSize: 1, id: "m"))
    rig.ready(0)
    let call = try #require(rig.call(of: map.chunks[0].job))
    let turn = rig.handle(.submissionWithdrawn(map.number))
    // One record: of two a crash could leave the first alone.
    #expect(turn.records == [.mapWithdrawn(map.number)])
    #expect(turn.ended.map(\.call) == [call] && turn.ended.map(\.grace) == [0])
    #expect(rig.store.count == 0 && rig.store.mapCount == 0 && rig.store.openBytes == 0)
    // Its slot is free, and what its worker still says is of nobody.
    #expect(rig.handle(.callReturned(call, result: "[0]")).records.isEmpty)
    let job = try rig.square()
    #expect(rig.call(of: job)?.slot == call.slot)
    let number = try rig.openMap(MapTests.stream(id: "m"))
    #expect(rig.handle(.submissionWithdrawn(number)).records == [.mapWithdrawn(number)])
    #expect(rig.store.mapCount == 0)
    try rig.crash()
  }

  @Test func `who waits for a document hears when it is withdrawn`() throws {
    var rig = Rig()
    let document = MapTests.document(1_500, chunkSize: 1, id: "m")
    rig.handle(.mapReceived(document, request: 1))
    rig.handle(.mapReceived(document, request: 2))
    #expect(rig.engine.unansweredMaps == [1])
    let turn = rig.handle(.submissionWithdrawn(1))
    #expect(turn.records == [.mapWithdrawn(1)])
    #expect(turn.answer(to: 1) == .refused(.readOnly))
    #expect(turn.answer(to: 2) == .refused(.readOnly))
    #expect(rig.engine.unansweredMaps.isEmpty && rig.pass(0).records.isEmpty)
  }

  @Test(arguments: MapStage.allCases)
  func `a withdrawn map leaves nothing, whatever its stage`(stage: MapStage) throws {
    var store = try MapTests.store(in: stage)
    try store.apply(.mapWithdrawn(1))
    #expect(store.count == 0 && store.mapCount == 0 && store.openCount == 0)
    #expect(store.openBytes == 0 && store.finishedBytes == 0 && store.finishedCount == 0)
    #expect(store.forgotten == JobStore().forgotten && store.nextNumber == 4)
    let id = try #require(JobID("m"))
    #expect(!store.isTaken(id))
    #expect(throws: JobStore.Misfit.self) { try store.apply(.jobWithdrawn(3)) }
  }

  @Test func `a chunk is not withdrawn without its map`() throws {
    var store = try MapTests.store(in: .taken)
    #expect(throws: JobStore.Misfit.self) { try store.apply(.jobWithdrawn(3)) }
  }

  @Test func `a repeat is answered when the document is in the journal whole`() throws {
    var rig = Rig()
    let document = MapTests.document(1_500, chunkSize: 1, id: "m")
    rig.handle(.mapReceived(document, request: 1))
    #expect(rig.handle(.mapReceived(document, request: 2)).answer(to: 2) == nil)
    let turn = rig.pass(0)
    let id = try #require(JobID("m"))
    let number = try #require(rig.store.mapNumber(of: id))
    #expect(turn.answer(to: 1) == .accepted(number, isReplay: false))
    #expect(turn.answer(to: 2) == .accepted(number, isReplay: true))
    #expect(rig.submitMap(document) == .accepted(number, isReplay: true))
  }

  // MARK: Moves

  @Test(arguments: MapStage.allCases, MapMove.allCases)
  func `every move from every stage is legal or a misfit`(stage: MapStage, move: MapMove) throws {
    let expected: [MapStage: Set<MapMove>] = [
      .taking: [.chunkSubmitted, .inputEnded, .cancelRequested, .chunkReleased, .withdrawn],
      .taken: [.cancelRequested, .chunkReleased, .withdrawn],
      .final: [.forgotten, .withdrawn],
    ]
    var store = try MapTests.store(in: stage)
    let before = store
    let record: Record =
      switch move {
      case .chunkSubmitted: MapTests.chunk(4, first: 4)
      case .inputEnded: .mapInputEnded(1, nil, at: 9)
      case .cancelRequested: .mapCancelRequested(1)
      case .chunkReleased: .chunkReleased(2)
      case .forgotten: .mapForgotten(1)
      case .withdrawn: .mapWithdrawn(1)
      }
    if try #require(expected[stage]).contains(move) {
      try store.apply(record)
      #expect(store != before)
    } else {
      #expect(throws: JobStore.Misfit.self) { try store.apply(record) }
      #expect(store == before)
    }
  }

  /// A store with map 1, an ended chunk 2 and a chunk 3 of two items each.
  private static func store(in stage: MapStage) throws -> JobStore {
    var store = JobStore()
    try store.apply(
      .mapCreated(
        MapCreated(
          number: 1, id: try #require(JobID("m")), task: "t", pool: "p", chunkSize: 2, total: nil,
          at: 5)))
    for (number, first) in [(JobNumber(2), 0), (3, 2)] {
      try store.apply(chunk(number, first: first))
      try store.apply(.attemptStarted(number, attempt: 1, at: 6))
      if number == 2 || stage == .final {
        try store.apply(.jobEnded(number, .succeeded("[1,2]"), at: 7))
      }
    }
    if stage != .taking { try store.apply(.mapInputEnded(1, nil, at: 8)) }
    return store
  }

  private static func chunk(_ number: JobNumber, first: Int) -> Record {
    .jobSubmitted(
      JobSubmitted(
        number: number, id: JobID("c\(number)") ?? JobID(version7At: 0, random: (0, 0)),
        task: "t", pool: "p", args: "[1,2]",
        options: JobOptions(chunk: ChunkPlace(map: 1, first: first, count: 2)), at: 5))
  }
}

extension Rig {
  /// The map with a number.
  func map(_ number: MapNumber) -> JobMap? { store.map(number) }

  /// Answers what the submission of a map hears.
  mutating func submitMap(_ submission: MapSubmission) -> Answer? {
    handle(.mapReceived(submission, request: 1)).answer(to: 1)
  }

  /// Submits a document that must be accepted as new.
  mutating func acceptMap(_ submission: MapSubmission) throws -> JobMap {
    guard case .accepted(let number, isReplay: false) = submitMap(submission),
      let map = map(number)
    else { throw NotAccepted() }
    return map
  }

  /// Submits a map whose items are to come.
  mutating func openMap(_ submission: MapSubmission) throws -> MapNumber {
    guard case .opened(let number) = submitMap(submission) else { throw NotAccepted() }
    return number
  }
}
