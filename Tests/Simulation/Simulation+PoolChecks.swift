import JobCore

@testable import JobCore
@testable import JobServer

/// What must always be so of pools.
extension Simulation {
  /// A pool's record says which jobs cannot be its.
  func noteBirths(_ record: Record) {
    switch record {
    case .jobSubmitted(let submitted): newestNumber = submitted.number
    case .mapCreated(let created): newestNumber = created.number
    case .poolCreated(let specification, _):
      firstNumbers[specification.callsPerWorkerMax ?? 0] = newestNumber
    default: break
    }
  }

  // MARK: After every event

  /// What is joined runs nothing, and what is dropped has no worker.
  func checkPools(of server: Server) {
    guard let life else { return }
    for pool in life.pools where pool.workerCount > 0 {
      guard server.engine.isThere(pool.id) else {
        fail("pool '\(pool.name)' is dropped, and has \(pool.workerCount) workers")
        continue
      }
      if server.engine.stage(ofPool: pool.id.index) == .joined {
        fail("pool '\(pool.name)' is joined, and has \(pool.workerCount) workers")
      }
    }
  }

  /// Every pool that was created is that of one ticket, and every ticket's is there and as told.
  func checkPoolTickets(_ store: JobStore) {
    var found: [Int: CreatedPool] = [:]
    for pool in store.createdPools {
      let calls = pool.specification.callsPerWorkerMax ?? 0
      let isOther = calls > PoolTicket.otherCallsBase
      let marker = calls - (isOther ? PoolTicket.otherCallsBase : PoolTicket.callsBase)
      guard poolTickets.indices.contains(marker - 1) else {
        fail("pool '\(pool.name)' is nobody's")
        continue
      }
      if found.updateValue(pool, forKey: marker) != nil { fail("pool \(marker) is there twice") }
      let ticket = poolTickets[marker - 1]
      if isOther != ticket.isContested, isOther { fail("pool \(marker) has another payload") }
      let isAsked = outstanding.contains { $0.wish.creates(ticket) }
      if ticket.standing == .none, !isAsked, !isOther {
        fail("pool \(marker) was refused, and is there")
      }
      if !isOther { check(ticket, pool) }
    }
    for ticket in poolTickets where ticket.mustRun && found[ticket.marker] == nil {
      fail("pool \(ticket.marker), '\(ticket.name ?? "")', is lost")
    }
    checkOwners(store)
  }

  private func check(_ ticket: PoolTicket, _ pool: CreatedPool) {
    if ticket.isNamed, pool.name != ticket.name {
      fail("pool \(ticket.marker) is \(pool.name), not \(ticket.name ?? "")")
    }
    if ticket.mustRun, pool.stage != .running {
      fail("pool \(ticket.marker) is \(pool.stage), and nobody asked for that")
    }
    let isAsked = outstanding.contains { $0.wish.creates(ticket) }
    if ticket.endedAt != nil, pool.stage == .running, !isAsked {
      fail("pool \(ticket.marker) was told to end, and is running")
    }
    if ticket.terminatedAt != nil, pool.stage != .terminating, !isAsked {
      fail("pool \(ticket.marker) was told to be terminated, and is \(pool.stage)")
    }
    guard ticket.mustRun else { return }
    if let told = ticket.toldProcesses, told.count != pool.processes {
      fail("pool \(ticket.marker) keeps \(pool.processes) workers, not \(told.count)")
    }
    if let told = ticket.toldPaused, told.isPaused != pool.isPaused {
      fail("pool \(ticket.marker) is told to be paused or not, and is \(pool.isPaused)")
    }
  }

  /// Open jobs are those of pools that are there.
  private func checkOwners(_ store: JobStore) {
    let names = Set(plan.settings.pools.map(\.name) + store.createdPools.map(\.name))
    store.forEachOpen { job in
      if !names.contains(store.names[job.pool]) {
        fail("job \(job.number) waits for \(store.names[job.pool]), which is gone")
      }
    }
  }

  /// Once nothing is due: who waits for a pool waits for something.
  func checkWait(for wish: PoolWish, _ server: Server) {
    let engine = server.engine
    func stage(_ name: String) -> PoolStage? {
      engine.poolIndex(named: name).map { engine.stage(ofPool: $0) }
    }
    switch wish {
    case .create(let ticket), .createOther(let ticket):
      let isStarting = engine.poolPlaces.contains { pool in
        engine.stage(ofPool: pool) == .starting
          && (!ticket.isNamed || engine.name(ofPool: pool) == ticket.name)
      }
      if !isStarting { fail("somebody waits for pool \(ticket.marker), which does not begin") }
    case .show(let name, wait: true):
      if stage(name) == .joined || stage(name) == nil {
        fail("somebody waits for the end of '\(name)', which is over")
      }
    case .terminate(let name):
      if stage(name) != .terminating && stage(name) != .starting {
        fail("somebody waits for '\(name)' to be terminated, which is not under way")
      }
    case .change, .close: fail("a \(wish.word) is not answered")
    default: break
    }
  }
}

extension Wish {
  /// Whether it creates this pool.
  func creates(_ ticket: PoolTicket) -> Bool {
    switch self {
    case .pool(.create(let other)), .pool(.createOther(let other)): other === ticket
    default: false
    }
  }
}
