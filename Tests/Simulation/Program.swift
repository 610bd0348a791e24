import Glibc

/// Runs many histories: `Simulation FIRST COUNT EVENTS`. Prints the seeds that fail and what was
/// wrong, and how often what happened; exits 1 if one failed, with `LIDO_FIRST` right after it.
/// With `LIDO_SEED` it runs that one and tells what happens in it.
@main struct Program {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
    let events = arguments.count > 2 ? arguments[2] : 1_000
    if let text = getenv("LIDO_SEED"), let seed = UInt64(String(cString: text)) {
      let simulation = Simulation(seed: seed, isTold: true)
      simulation.whenTold = say
      exit(simulation.run(events: events) == [] ? 0 : 1)
    }
    guard arguments.count >= 2 else {
      say("usage: Simulation FIRST COUNT [EVENTS]")
      exit(64)
    }
    var tally = Tally()
    var failed = 0
    for seed in UInt64(arguments[0])..<UInt64(arguments[0] + arguments[1]) {
      CurrentSeed.note(seed)
      let simulation = Simulation(seed: seed)
      let problems = simulation.run(events: events)
      tally.add(simulation.world.tally)
      guard !problems.isEmpty else { continue }
      failed += 1
      defer { if getenv("LIDO_FIRST") != nil { exit(1) } }
      say("FAILED LIDO_SEED=\(seed): \(problems.prefix(3).joined(separator: "; "))")
    }
    for (word, count) in tally.counts.sorted(by: { $0.key < $1.key }) {
      say("COUNT \(count) \(word)")
    }
    exit(failed == 0 ? 0 : 1)
  }

  /// Writes a line at once: a trap would lose what is in a buffer.
  private static func say(_ line: String) {
    var line = line + "\n"
    line.withUTF8 { _ = write(1, $0.baseAddress, $0.count) }
  }
}

/// Says which seed it was when a trap ends the program.
enum CurrentSeed {
  private nonisolated(unsafe) static var seed: UInt64 = 0

  static func note(_ seed: UInt64) {
    if self.seed == 0 {
      for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGBUS] {
        signal(number) { _ in CurrentSeed.tell() }
      }
    }
    self.seed = seed
  }

  private static func tell() {
    // Only what a signal may do: digits by hand, write(2), and the end.
    var digits: [UInt8] = []
    var rest = seed
    repeat {
      digits.insert(UInt8(ascii: "0") + UInt8(rest % 10), at: 0)
      rest /= 10
    } while rest > 0
    let line = Array("TRAPPED LIDO_SEED=".utf8) + digits + [UInt8(ascii: "\n")]
    _ = write(1, line, line.count)
    _exit(70)
  }
}
