import JobCore
import Testing

@testable import JobServer

/// What clients can bring about at will costs a bounded number of lines.
@Suite struct EpisodeTests {
  private func at(_ milliseconds: UInt64) -> Instant {
    Instant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
  }

  @Test func `an episode may be over a second after the last time`() {
    var episode = Episode(at: at(0))
    #expect(episode.calmAt == at(1_000) && episode.count == 1)
    episode.again(at: at(900))
    #expect(episode.calmAt == at(1_900) && episode.count == 2)
    #expect(episode.begunAt == at(0))
    #expect(episode.deadline(at: at(1_899)) == at(1_900))
    #expect(episode.deadline(at: at(1_900)) == nil, "what ends it then comes with a turn")
  }

  @Test func `the first time is told at once, the others once a second together`() {
    var throttle = Throttle()
    #expect(throttle.deadline == nil)
    #expect(throttle.note(at: at(0)) == 1)
    for time in 1...500 { #expect(throttle.note(at: at(UInt64(time))) == nil) }
    #expect(throttle.deadline == at(1_000))
    #expect(throttle.timePassed(at: at(999)) == nil)
    #expect(throttle.timePassed(at: at(1_000)) == 500)
    #expect(throttle.note(at: at(1_001)) == nil)
    #expect(throttle.timePassed(at: at(2_000)) == 1)
    #expect(throttle.timePassed(at: at(3_000)) == nil)
    #expect(throttle.deadline == nil, "nothing is left to be told")
    #expect(throttle.note(at: at(3_001)) == 1, "at once again")
  }
}
