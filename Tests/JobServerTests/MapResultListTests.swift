import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// The list of a map's results, of which a turn takes some thousands.
@Suite struct MapResultListTests {
  private static let sliceMax = MapResultList.gatheredPerTurnMax

  /// A map of so many chunks, which have all returned one value.
  private func store(chunks: Int) throws -> JobStore {
    var store = JobStore()
    try store.apply(
      .mapCreated(
        MapCreated(
          number: 1, id: try #require(JobID("m")), task: "t", pool: "p", chunkSize: 1,
          total: chunks, at: 5)))
    for index in 0..<chunks {
      let number = JobNumber(index + 2)
      try store.apply(
        .jobSubmitted(
          JobSubmitted(
            number: number, id: JobID(version7At: 5, random: (number, number)), task: "t",
            pool: "p", args: "[1]",
            options: JobOptions(chunk: ChunkPlace(map: 1, first: index, count: 1)), at: 5)))
      try store.apply(.attemptStarted(number, attempt: 1, at: 6))
      try store.apply(.jobEnded(number, .succeeded("[7]"), at: 7))
    }
    try store.apply(.mapInputEnded(1, nil, at: 8))
    return store
  }

  private func list(
    _ store: JobStore, bufferBytesMax: Int = MapResultList.bufferBytes
  ) throws -> (MapResultList, ResponseStream) {
    let body = ResponseStream(bufferBytesMax: bufferBytesMax)
    return (MapResultList(try #require(store.map(1)).chunks, to: body), body)
  }

  @Test func `few chunks are gathered at once`() throws {
    for count in [0, 1, 2, MapResultListTests.sliceMax] {
      let store = try store(chunks: count)
      let (list, _) = try list(store)
      #expect(list.gather(from: store))
      let whole = Array(("[" + repeatElement("7", count: count).joined(separator: ",") + "]").utf8)
      // With the brackets of each text.
      let isWhole = list.whole(atMost: 2 + 3 * count) == whole
      #expect(isWhole, "\(count)")
      let isNone = list.whole(atMost: 1 + 3 * count) == nil
      #expect(isNone, "\(count)")
    }
  }

  @Test func `many chunks are gathered in slices, and sent as they come`() throws {
    let count = 2 * MapResultListTests.sliceMax + 5
    let store = try store(chunks: count)
    let (list, body) = try list(store)
    #expect(!list.gather(from: store))
    list.begin()
    #expect(body.bufferedCount == 2 * MapResultListTests.sliceMax)
    #expect(!list.gather(from: store))
    #expect(body.bufferedCount == 4 * MapResultListTests.sliceMax && body.isOpen)
    #expect(list.gather(from: store))
    // Values, the commas between them, brackets.
    #expect(body.bufferedCount == 2 * count + 1)
    #expect(!body.isOpen)
  }

  @Test func `a list whose client has taken nothing waits, and is gathered all the same`() throws {
    let store = try store(chunks: 2 * MapResultListTests.sliceMax)
    let (list, body) = try list(store, bufferBytesMax: 10)
    #expect(!list.gather(from: store))
    list.begin()
    let buffered = body.bufferedCount
    #expect(list.gather(from: store))
    #expect(body.bufferedCount == buffered && body.isOpen)
  }

  @Test func `a map that is dropped meanwhile cuts its list off`() throws {
    var store = try store(chunks: MapResultListTests.sliceMax + 1)
    let (list, body) = try list(store)
    #expect(!list.gather(from: store))
    list.begin()
    try store.apply(.mapForgotten(1))
    #expect(list.gather(from: store))
    #expect(!body.isOpen)
  }
}
