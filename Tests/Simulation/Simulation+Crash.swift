import JobStorage
import Logging

@testable import JobCore
@testable import JobServer

/// Ends and starts, and what must have survived.
extension Simulation {
  /// The process is gone, and all that it has started; with a loss of power, what was not synced.
  func die(_ death: Death) {
    if let life {
      appendedFloor = max(appendedFloor, life.server.storage.appendedSequence)
      syncedFloor = max(syncedFloor, life.server.storage.syncedSequence)
      life.fileSystem.die()
    }
    world.isDead = true
    loseConnections()
    life = nil
    world.everythingDied()
    wishes = []
    note(death == .killed ? "killed" : "power lost")
    if death == .powerLost {
      for word in disk.losePower() { note(word) }
      appendedFloor = syncedFloor
      hasLostPower = true
    } else {
      disk.processDied()
    }
    if !isCalm, chance.percent(5) { damageSnapshot() }
  }

  /// Damages the newest snapshot, if the one before it, or none, and the segments since are there:
  /// that is to cost nothing.
  private func damageSnapshot() {
    let names = disk.list(plan.settings.directory) ?? []
    func sequences(_ prefix: String, _ suffix: String) -> [UInt64] {
      names.filter { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) }
        .compactMap { UInt64($0.dropFirst(prefix.count).dropLast(suffix.count)) }.sorted()
    }
    let snapshots = sequences("snapshot-", ".json")
    guard let newest = snapshots.last,
      let name = names.last(where: { $0.hasPrefix("snapshot-") && $0.hasSuffix("\(newest).json") }),
      isWhole(sequences("journal-", ".jsonl"), from: (snapshots.dropLast().last ?? 0) + 1),
      disk.damage("\(plan.settings.directory)/\(name)")
    else { return }
    note("snapshot damaged")
  }

  /// Whether these segments go on from one to the next from a record on. A loss of power can bring
  /// back the name of one that was removed, without those after it.
  private func isWhole(_ segments: [UInt64], from first: UInt64) -> Bool {
    var next = first
    for segment in segments.drop(while: { $0 < first }) {
      guard segment == next else { return false }
      let digits = String(segment)
      let name = String(repeating: "0", count: 20 - digits.count) + digits
      let lines = disk.inode("\(plan.settings.directory)/journal-\(name).jsonl")?.bytes ?? []
      next += UInt64(max(lines.count { $0 == UInt8(ascii: "\n") } - 1, 0))
    }
    return segments.contains(first)
  }

  /// Starts the service on what is there.
  func start() {
    let fileSystem = SimulatedFileSystem(disk, chance) { [weak self] in self?.note($0) }
    if !isCalm, chance.percent(15) {
      fileSystem.callsToLive = chance.below(40)
      armedDeath = chance.percent(50) ? .killed : .powerLost
    } else if !isCalm, chance.percent(15) {
      fileSystem.fault = fault()
    }
    fileSystem.whenDead = { [world] in world.isDead = true }
    world.isDead = false
    do {
      let life = try open(fileSystem)
      if fileSystem.isDead { return die(armedDeath) }
      note("started")
      check(life.server)
      checkRetries(of: life.server)
    } catch {
      if fileSystem.isDead { return die(armedDeath) }
      fileSystem.die()
      let code = (error as? StorageError)?.code
      if code == .damaged || code == .gap || code == .unknownVersion {
        fail("the service refuses to start: \(error)")
      }
      note("start failed: \(code.map { "\($0)" } ?? "\(error)")")
      die(.killed)
    }
  }

  private func open(_ fileSystem: SimulatedFileSystem) throws -> Life {
    let settings = plan.settings
    let (storage, store, report) = try JobStorage.open(
      settings.directory, into: JobStore(), sync: settings.sync,
      segmentBytesMax: plan.segmentBytesMax, snapshotInterval: settings.snapshotInterval,
      processID: 1, at: moment, fileSystem: fileSystem)
    if !fileSystem.isDead { recovered(store, report) }
    let logs = try LogFolder(
      "\(settings.directory)/logs", bytesMax: settings.limits.retentionBytesMax,
      isHeld: { store[$0] != nil }, fileSystem: fileSystem)
    world.brokenPool = nil
    let pools = settings.pools.indices.map { index in
      SimulatedPool(
        PoolID(index), settings.pools[index], slots: plan.slots[index], world: world)
    }
    let forkServer = SimulatedForkServer(disk, chance) { [weak self] in self?.note($0) }
    let log = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    let server = Server(
      settings: settings, workerTasks: ["work"], door: Door(.anybody), log: log,
      forkServer: forkServer, pools: pools, logs: logs, storage: storage, store: store,
      seed: chance.next(), now: moment)
    let life = Life(server, fileSystem, forkServer, pools)
    self.life = life
    server.makePool = { [unowned self, unowned life] in makePool($0, $1, life) }
    server.observeRecords = { [weak self] records in
      guard let self else { return }
      mapsOfEvent = []
      for record in records {
        tape.append(record)
        tell("  \(record.job) \(World.word(for: record))")
        world.decided(record)
        noteBirths(record)
      }
    }
    try server.recover()
    server.startPools()
    return life
  }

  /// A start has recovered a state: it must be that after some of the records on the tape, and at
  /// least after those that had to survive.
  private func recovered(_ store: JobStore, _ report: RecoveryReport) {
    let last = report.lastSequence
    tell("recovered up to \(last) of \(baseSequence + UInt64(tape.count))")
    guard last >= appendedFloor, last >= baseSequence else {
      return fail("recovered up to \(last), although \(appendedFloor) had to survive")
    }
    guard last <= baseSequence + UInt64(tape.count) else {
      return fail("recovered up to \(last), which was never decided")
    }
    if report.tornBytes > 0 { note("torn tail") }
    if !report.notes.isEmpty, report.tornBytes == 0 { note("snapshot passed over") }
    for record in tape.prefix(Int(last - baseSequence)) {
      do {
        try base.apply(record)
      } catch {
        return fail("the tape does not fit: \(error)")
      }
      _ = baseBooks.note(record)
    }
    for wrong in baseBooks.differences(from: store) { fail("recovered: \(wrong)") }
    if base != store { fail("the recovered state is not that after record \(last)") }
    if hasLostPower, plan.settings.sync != .always {
      for ticket in tickets { ticket.rollBack(to: last) }
      for ticket in mapTickets { ticket.rollBack(to: last) }
      for ticket in poolTickets { ticket.rollBack(to: last) }
    }
    hasLostPower = false
    base = store
    baseSequence = last
    tape = []
    (appendedFloor, syncedFloor) = (last, last)
    _ = baseBooks.takeTouched()
    world.recovered(store, baseBooks)
    newestNumber = store.nextNumber - 1
    checkTickets(store)
    checkMapTickets(store, isStart: true)
    checkPoolTickets(store)
  }

  // MARK: The end of a history

  /// Lets everything come to its end: no more faults, and whatever was accepted must become final.
  /// Then stops the service in order, and starts it once more.
  func finish() {
    becomeCalm()
    var turns = 0
    while problems.isEmpty, world.problems.isEmpty, !isQuiet {
      turns += 1
      if turns > 4_000 { return fail("does not come to rest: \(whatIsOpen)") }
      becomeCalm()
      helpInputs()
      helpPools()
      life?.fileSystem.background?.complete()
      life?.forkServer.compact(at: moment.timestamp)
      waitForDeadline()
      takeTurn()
    }
    guard problems.isEmpty, world.problems.isEmpty, let life else { return }
    life.signals.append(15)
    turns = 0
    while self.life === life {
      turns += 1
      if turns > 4_000 { return fail("does not stop: it is \(life.server.phase)") }
      life.fileSystem.background?.complete()
      life.forkServer.compact(at: moment.timestamp)
      waitForDeadline()
      takeTurn()
    }
    if life.server.phase != .stopped { fail("a stop in order was none") }
    start()
    guard problems.isEmpty, let again = self.life else { return fail("does not start again") }
    if again.server.engine.store != life.server.engine.store {
      fail("a stop in order has changed the state")
    }
    die(.killed)
  }

  func becomeCalm() {
    isCalm = true
    disk.capacity = .max
    world.brokenPool = nil
    guard let life else { return }
    life.fileSystem.fault = nil
    life.fileSystem.callsToLive = nil
    life.forkServer.replacementsToFail = 0
    life.forkServer.compactorFault = nil
    life.forkServer.compactorCallsToLive = nil
    for pool in life.pools where !pool.isPrompt { pool.becomePrompt(at: moment.instant) }
  }

  private var isQuiet: Bool {
    guard let server = life?.server else { return false }
    return server.phase == .ready && server.engine.store.openCount == 0
      && server.heldBack.isEmpty && outstanding.isEmpty && server.engine.isWritable
      && server.engine.store.openMapCount == 0 && inputs.isEmpty && readers.isEmpty
      && poolsAreSettled(server)
  }

  private var whatIsOpen: String {
    guard let server = life?.server else { return "there is no service" }
    var jobs: [String] = []
    server.engine.store.forEachOpen { jobs.append("\($0.number) \($0.state)") }
    let readers = readers.map { "\($0.ticket.tag)/\($0.map) by \($0.order) at \($0.line)" }
    return """
      phase \(server.phase), jobs \(jobs.prefix(5)), \(server.heldBack.count) held back, \
      \(outstanding.count) requests, writable: \(server.engine.isWritable), \
      \(server.engine.store.openMapCount) maps, \(inputs.count) inputs, \(readers) read, \
      pools \(whatPoolsDo(server))
      """
  }
}
