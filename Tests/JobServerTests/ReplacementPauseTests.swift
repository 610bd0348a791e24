import JobCore
import Testing

@testable import JobServer

/// How soon a lost fork server is replaced.
@Suite struct ReplacementPauseTests {
  static func at(_ milliseconds: UInt64) -> Instant {
    Instant(nanoseconds: milliseconds * 1_000_000)
  }

  @Test func `one that lived for a second is replaced at once`() {
    var pause = ReplacementPause(startedAt: Self.at(0))
    #expect(pause.lost(at: Self.at(1_000)) == 0)
    pause.replaced(at: Self.at(1_000))
    #expect(pause.lost(at: Self.at(2_000)) == 0)
  }

  @Test func `those that die at once are replaced ever more slowly`() {
    var pause = ReplacementPause(startedAt: Self.at(0))
    var pauses: [Milliseconds] = []
    for number in 0..<9 {
      pauses.append(pause.lost(at: Self.at(999)))
      if number % 2 == 0 { pause.replaced(at: Self.at(999)) }
    }
    #expect(pauses == [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
  }

  @Test func `one that cannot be started counts as one that died at once`() {
    var pause = ReplacementPause(startedAt: Self.at(0))
    #expect(pause.lost(at: Self.at(5_000)) == 0)
    #expect(pause.failed() == 50)
    #expect(pause.failed() == 100)
    pause.replaced(at: Self.at(6_000))
    #expect(pause.lost(at: Self.at(6_500)) == 200)
    pause.replaced(at: Self.at(7_000))
    #expect(pause.lost(at: Self.at(8_000)) == 0)
    #expect(pause.failed() == 50, "it had lived: from the beginning")
  }
}
