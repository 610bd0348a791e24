import Glibc
import JobCore
import JobStorage
import Testing

@testable import HTTPServer
@testable import JobServer

/// The whole service on simulated edges, by seed. `LIDO_SEED=17` runs that one alone and tells what
/// happened in it.
@Suite struct SimulationTests {
  static let events = 1_000

  static let seeds: [UInt64] = {
    if let text = getenv("LIDO_SEED"), let seed = UInt64(String(cString: text)) { return [seed] }
    return Array(1...24)
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

  // MARK: By hand

  /// A service with `--sync always` on a disk that syncs when it is told to, with workers that
  /// return.
  private func service() throws -> (Simulation, Simulation.Life) {
    let simulation = Simulation(seed: 1)
    simulation.plan.settings = Settings()
    simulation.plan.settings.directory = "/data"
    simulation.plan.settings.sync = .always
    simulation.plan.settings.pools = [Settings.Pool(name: "default"), Settings.Pool(name: "side")]
    simulation.disk.makeFolder("")
    simulation.becomeCalm()
    simulation.start()
    let life = try #require(simulation.life)
    run(simulation) { life.server.phase == .ready }
    simulation.becomeCalm()
    return (simulation, life)
  }

  /// Turns, each after a sync, until it is so.
  private func run(_ simulation: Simulation, until isSo: () -> Bool) {
    for _ in 0..<200 where !isSo() {
      simulation.life?.fileSystem.background?.complete()
      simulation.waitForDeadline()
      simulation.takeTurn()
    }
    #expect(isSo())
  }

  /// A map of a document that is asked for, waited for, and read, and has just become final in
  /// memory, while somebody submits a job.
  @Test func `whoever waits for a map is told when it is durable, whatever else is not`() throws {
    let (simulation, life) = try service()
    var ticket = MapTicket(marker: 1, isStreamed: false, simulation.chance)
    while ticket.items.isEmpty || ticket.clientID == nil || ticket.pool != nil {
      ticket = MapTicket(marker: 1, isStreamed: false, simulation.chance)
    }
    simulation.mapTickets = [ticket]
    simulation.wishes = [.map(.submit(ticket, wait: true))]
    run(simulation) { simulation.number(of: ticket) != nil }
    simulation.wishes = [.map(.read(MapRead(ticket, .completion, after: 0)))]
    run(simulation) { simulation.readers.count == 1 }
    let reader = simulation.readers[0]
    let number = try #require(simulation.number(of: ticket))
    run(simulation) { life.server.engine.store.map(number)?.stage == .final }

    simulation.wishes = [.submit(simulation.newTicket(), wait: false)]
    life.fileSystem.background?.complete()
    simulation.takeTurn()
    #expect(!life.server.undurable.isEmpty)
    #expect(reader.body.source.state == .finished)
    #expect(simulation.outstanding.map(\.wish.word) == ["submit"])
    #expect(simulation.world.tally["map accepted"] == 1)
    #expect(simulation.problems + simulation.world.problems == [])
  }

  /// That it ended is not durable yet when it is deleted, and nothing tells of it later.
  @Test func `whoever waits for a job hears that it was deleted`() throws {
    let (simulation, life) = try service()
    let ticket = simulation.newTicket()
    simulation.wishes = [.submit(ticket, wait: false)]
    simulation.takeTurn()
    life.fileSystem.background?.complete()
    simulation.takeTurn()
    simulation.wishes = [.show(ticket, wait: true)]
    run(simulation) { life.server.engine.store.finishedCount == 1 }
    simulation.wishes = [.drop(ticket)]
    simulation.takeTurn()
    #expect(life.server.engine.store.count == 0 && simulation.outstanding.count == 2)
    life.fileSystem.background?.complete()
    simulation.takeTurn()
    #expect(simulation.outstanding.isEmpty)
    #expect(simulation.problems + simulation.world.problems == [])
  }

  @Test func `who sends items hears that their map was cancelled once that is durable`() throws {
    let (simulation, life) = try service()
    let ticket = try sendLines(to: simulation, life)
    let input = try #require(simulation.inputs.first)
    simulation.wishes = [.map(.cancel(ticket))]
    simulation.takeTurn()
    #expect(life.server.engine.store.map(1)?.isCancelRequested == true)
    simulation.takeTurn()
    #expect(input.stream.refusal == nil && simulation.outstanding.count == 2)
    run(simulation) { simulation.outstanding.isEmpty }
    #expect(simulation.problems + simulation.world.problems == [])
  }

  /// A chunk of it ends in the turn in which its cancel becomes durable.
  @Test func `who sends items hears nothing of what is not durable with it`() throws {
    let (simulation, life) = try service()
    let ticket = try sendLines(to: simulation, life)
    run(simulation) { life.server.engine.store.count(of: .running) > 0 }
    simulation.wishes = [.map(.cancel(ticket))]
    simulation.takeTurn()
    simulation.waitForDeadline()
    life.fileSystem.background?.complete()
    simulation.takeTurn()
    #expect(life.server.undurable[1] != nil && simulation.outstanding.count == 2)
    run(simulation) { simulation.outstanding.isEmpty }
    #expect(simulation.problems + simulation.world.problems == [])
  }

  /// Somebody sends the items of a map, and has sent some.
  private func sendLines(
    to simulation: Simulation, _ life: Simulation.Life
  ) throws -> MapTicket {
    var ticket = MapTicket(marker: 1, isStreamed: true, simulation.chance)
    while ticket.items.count < 5 || ticket.clientID == nil || ticket.pool != nil {
      ticket = MapTicket(marker: 1, isStreamed: true, simulation.chance)
    }
    simulation.mapTickets = [ticket]
    simulation.wishes = [.map(.open(ticket, wait: false))]
    run(simulation) { life.server.mapInputs.first?.map != nil }
    return ticket
  }

  /// What the simulation is for happens in it, each in a handful of histories.
  @Test func `every kind of fault occurs`() {
    var tally = Tally()
    for seed in 1_097...1_116 as ClosedRange<UInt64> {
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
    "status 424", "map of a document", "map of lines", "map accepted", "map replayed",
    "map mismatch", "map cancelled", "map dropped", "map withdrawn", "map input: whole",
    "map input: broken_off", "map input: invalid_item", "map input: interrupted",
    "map refused: read_only", "map refused: queue_full",
    "input held back", "input broken off", "inputs lost", "readers lost", "chunk succeeded",
    "chunk failed at an item", "chunk failed as a whole", "chunk timed out", "chunk retried",
    "chunk cancelled", "chunk revoked: interrupted", "chunk revoked: not_started",
    "chunk released", "reader", "reader left", "results read to the end", "results cut",
    "result of map heard", "pool created", "pool replayed", "pool mismatch", "pool changed",
    "created pool not started", "pool grows", "pool shrinks", "pool begins again",
    "create pool: conflict", "create pool: too_many_pools", "create pool: pool_not_started",
    "close pool told: closing", "terminate pool told: terminating", "join told: joined",
    "feed of created pool", "failed pool_terminated",
    "record pool_paused", "record pool_resumed", "record pool_resized", "record pool_removed",
    "submission: unknown_pool",
  ]
}
