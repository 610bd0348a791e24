import Glibc
import Testing

/// The whole service on simulated edges, by seed. `LIDO_SEED=17` runs that one alone and tells what
/// happened in it.
@Suite struct SimulationTests {
  static let events = 1_000

  static let seeds: [UInt64] = {
    if let text = getenv("LIDO_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
    return Array(1...100)
  }()

  @Test(arguments: seeds)
  func `whatever happens, what was promised is kept`(seed: UInt64) {
    let isTold = SimulationTests.seeds.count == 1
    let simulation = Simulation(seed: seed, isTold: isTold)
    let problems = simulation.run(events: SimulationTests.events)
    if isTold { print(simulation.story.joined(separator: "\n")) }
    #expect(problems == [], "LIDO_SEED=\(seed)")
  }
}
