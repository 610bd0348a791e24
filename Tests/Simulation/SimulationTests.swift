import Glibc
import Testing

/// The whole service on simulated edges, by seed. `LIDO_SEED=17` runs that one alone and tells what
/// happened in it.
@Suite struct SimulationTests {
  static let events = 1_000

  static let seeds: [UInt64] = {
    if let text = getenv("LIDO_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
    return Array(1...36)
  }()

  @Test(arguments: seeds)
  func `whatever happens, what was promised is kept`(seed: UInt64) {
    let isTold = SimulationTests.seeds.count == 1
    let simulation = Simulation(seed: seed, isTold: isTold)
    let problems = simulation.run(events: SimulationTests.events)
    if isTold { print(simulation.story.joined(separator: "\n")) }
    #expect(problems == [], "LIDO_SEED=\(seed)")
  }

  @Test func `a history is the same for the same seed`() {
    for seed in 1...2 as ClosedRange<UInt64> {
      let one = Simulation(seed: seed, isTold: true)
      let other = Simulation(seed: seed, isTold: true)
      #expect(one.run(events: 300) == other.run(events: 300))
      #expect(one.story == other.story)
      #expect(one.story.count > 300)
    }
  }

  /// What the simulation is for happens in it, each in a handful of histories.
  @Test func `every kind of fault occurs`() {
    var tally = Tally()
    for seed in 1_001...1_020 as ClosedRange<UInt64> {
      let simulation = Simulation(seed: seed)
      #expect(simulation.run(events: 600) == [], "LIDO_SEED=\(seed)")
      tally.add(simulation.world.tally)
    }
    for word in SimulationTests.words {
      #expect(tally[word] >= 1, "\(word)")
    }
  }

  /// Everything that is likely enough to be required of so few histories.
  static let words = [
    "killed", "power lost", "started", "stopped", "signal", "disk ran full", "disk was full",
    "short write", "torn tail", "bytes lost", "bytes kept", "bytes torn", "names lost",
    "names kept", "died at append", "died at sync", "died at open", "died at read",
    "died at truncate", "failed append", "failed sync", "failed truncate", "ended by syncFailed",
    "start failed: callFailed", "snapshot", "snapshot passed over", "compactor killed",
    "compactor not started",
    "fork server lost", "fork server not replaced", "pool breaks", "clock jumped", "client left",
    "feed: completions", "feed: all", "feed: gone",
    "hung", "answered late", "answered twice", "answered while it was ended", "assigned too late",
    "ended on request", "lost: not started", "lost: exited", "lost: signalled",
    "lost: interrupted", "lost: protocol broken", "lost: out of memory", "revoked interrupted",
    "revoked not_started", "retried raised", "retried timed_out", "failed timed_out",
    "failed interrupted", "failed initializer_failed", "cancelled", "cancel of a running job",
    "dropped", "replayed", "mismatch", "refused: read_only", "refused: draining",
    "refused: queue_full", "connections lost", "status 204", "status 410",
    "status 424",
  ]
}
