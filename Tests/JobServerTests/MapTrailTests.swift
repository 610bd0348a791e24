import Testing

@testable import JobServer

/// When a line that was sent counts as received.
@Suite struct MapTrailTests {
  @Test func `a line counts as received when much was sent after it`() {
    var trail = MapTrail(sentMax: 6_400, heldMax: 1 << 40, received: 3)
    #expect(trail.received == 3)
    for chunk in 1...1_000 {
      trail.send(60)
      trail.send(40)
      trail.end(before: 3 + chunk * 10, costing: 1)
      // 64 chunks are behind, and the marks are as far apart as a chunk.
      #expect(trail.received == 3 + max(0, chunk - 64) * 10)
    }
  }

  @Test func `so it does when the chunks after it cost much`() {
    var trail = MapTrail(sentMax: 1 << 40, heldMax: 6_400, received: 0)
    for chunk in 1...1_000 {
      trail.send(1)
      trail.end(before: chunk, costing: 100)
      #expect(trail.received == max(0, chunk - 64))
    }
  }

  @Test func `a large chunk counts as received when as much follows it`() {
    var trail = MapTrail(sentMax: 1_000, heldMax: 1 << 40, received: 0)
    trail.send(5_000)
    trail.end(before: 10, costing: 1)
    #expect(trail.received == 0)
    trail.send(999)
    trail.end(before: 20, costing: 1)
    #expect(trail.received == 0)
    trail.send(1)
    trail.end(before: 30, costing: 1)
    #expect(trail.received == 10)
  }

  @Test func `small chunks cost few marks`() {
    var trail = MapTrail(sentMax: 64_000, heldMax: 1 << 40, received: 0)
    for chunk in 1...100_000 {
      trail.send(1)
      trail.end(before: chunk, costing: 1)
      #expect(trail.markCount <= 66)
    }
    #expect((35_000...36_000).contains(trail.received))
  }
}
