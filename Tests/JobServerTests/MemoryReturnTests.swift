import Testing

@testable import JobServer

@Suite struct MemoryReturnTests {
  @Test func `memory is given back when what is held has fallen by a step, and once for each`() {
    var memory = MemoryReturn()
    var calls = 0
    for count in 0...1_000 {
      if memory.isDue(jobs: count * 1_000, payloadBytes: count * 5_000) { calls += 1 }
    }
    #expect(calls == 0)
    for count in (0...1_000).reversed() {
      if memory.isDue(jobs: count * 1_000, payloadBytes: count * 5_000) { calls += 1 }
    }
    // The last of them in smaller steps, so that little is left.
    #expect(calls >= 155_000_000 / MemoryReturn.step)
    #expect(calls <= 155_000_000 / MemoryReturn.step + 4)
  }

  @Test func `memory is kept while as many jobs come as go`() {
    var memory = MemoryReturn()
    for _ in 0..<10_000 {
      let isDue =
        memory.isDue(jobs: 1_000_000, payloadBytes: 7_000_000)
        || memory.isDue(jobs: 990_000, payloadBytes: 6_900_000)
      #expect(!isDue)
    }
  }

  @Test func `the longest turn is that of this minute and the one before`() {
    let minute: UInt64 = 60_000_000_000
    var longest = LongestTurn()
    func nanoseconds(at instant: UInt64) -> UInt64 { longest.nanoseconds(at: instant) }
    #expect(nanoseconds(at: 5) == 0)
    longest.observe(7, at: 10 * minute)
    longest.observe(3, at: 10 * minute + 1)
    #expect(nanoseconds(at: 11 * minute - 1) == 7)
    longest.observe(4, at: 11 * minute)
    #expect(nanoseconds(at: 12 * minute - 1) == 7)
    #expect(nanoseconds(at: 12 * minute) == 4)
    #expect(nanoseconds(at: 13 * minute) == 0)
    longest.observe(9, at: 20 * minute)
    #expect(nanoseconds(at: 30 * minute) == 0)
  }
}
