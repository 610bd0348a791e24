import Glibc
import Testing

@testable import JobCore

/// Random histories by seed. `LIDO_SEED=17` runs that one alone.
@Suite struct HistoryTests {
  static let seeds: [UInt64] = {
    if let text = getenv("LIDO_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
    return Array(1...300)
  }()

  @Test(arguments: seeds)
  func `after every event of a random history the books are right`(seed: UInt64) {
    var history = History(seed: seed)
    #expect(history.run(events: 400) == [], "LIDO_SEED=\(seed)")
  }

  @Test func `a history is the same for the same seed`() {
    for seed in 1...3 as ClosedRange<UInt64> {
      var one = History(seed: seed)
      var other = History(seed: seed)
      #expect(one.run(events: 200) == other.run(events: 200))
      #expect(one.journal == other.journal)
      #expect(one.engine.store == other.engine.store)
    }
  }

  @Test func `the histories come to everything that can happen`() {
    var events: [String: Int] = [:]
    var records: [String: Int] = [:]
    for seed in 1...20 as ClosedRange<UInt64> {
      var history = History(seed: seed)
      _ = history.run(events: 400)
      events.merge(history.eventCounts, uniquingKeysWith: +)
      for record in history.journal { records[record.word, default: 0] += 1 }
    }
    for event in [
      "submissionReceived", "cancelReceived", "forgetReceived", "poolAnnounced", "poolBroke",
      "slotReady", "slotGone", "callReturned", "callRaised", "callLost", "timePassed",
      "storageChanged", "drainRequested", "drainGraceEnded", "crash",
    ] {
      #expect(events[event, default: 0] >= 5, "\(event)")
    }
    for record in [
      "submitted", "started", "revoked(not_started)", "revoked(interrupted)", "revoked(shutdown)",
      "attemptFailed(raised)", "attemptFailed(exited)", "attemptFailed(signalled)",
      "attemptFailed(timed_out)", "attemptFailed(worker_lost)", "queued", "cancelRequested",
      "ended(succeeded)", "ended(cancelled)", "ended(raised)", "ended(timed_out)",
      "ended(interrupted)", "ended(initializer_failed)", "ended(argument_decoding)", "forgotten",
    ] {
      #expect(records[record, default: 0] >= 2, "\(record)")
    }
  }
}
