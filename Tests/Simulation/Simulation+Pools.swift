import HTTPServer
import JobCore

@testable import JobCore
@testable import JobServer

/// What a client asks for about pools.
enum PoolWish {
  /// A change of a pool; nil: as it is.
  struct Change {
    var processes: Int?
    var isPaused: Bool?
  }

  case create(PoolTicket)
  /// Another payload under the same key.
  case createOther(PoolTicket)
  /// What cannot be created.
  case createBad(String)
  case show(String, wait: Bool)
  case change(String, Change)
  case close(String)
  case terminate(String)
  case workers(String)
  case completions(String, wait: Bool)
  case list

  /// For the tally.
  var word: String {
    switch self {
    case .create: "create pool"
    case .createOther: "create other pool"
    case .createBad: "create bad pool"
    case .show(_, let wait): wait ? "join pool" : "show pool"
    case .change: "change pool"
    case .close: "close pool"
    case .terminate: "terminate pool"
    case .workers: "list workers"
    case .completions: "completions of pool"
    case .list: "list pools"
    }
  }
}

/// The clients of pools: they create some, give them work, change them and end them.
extension Simulation {
  /// A pool for a submission to name; nil: none.
  func poolForSubmission() -> String? {
    let dice = chance.below(100)
    if dice < 20 { return "side" }
    let known = knownPools
    return dice < 45 && !known.isEmpty ? chance.pick(known) : nil
  }

  /// Names of pools, mostly of such as are there.
  private var knownPools: [String] {
    let accepted = poolTickets.suffix(40).filter { $0.standing == .accepted }.suffix(4)
    let recent = accepted.isEmpty || chance.percent(20) ? poolTickets.suffix(5) : accepted
    return recent.compactMap(\.name)
  }

  /// Whether somebody ever asked for the end of a pool. Who names none may have come to `side`,
  /// should that have been ready first.
  func isPoolEnded(_ name: String?) -> Bool {
    endedNames.contains(name ?? "default") || name == nil && endedNames.contains("side")
  }

  // MARK: Wishes

  func poolWishes() -> [PoolWish] {
    let known = knownPools
    guard !known.isEmpty, chance.percent(70) else {
      if chance.percent(6) { return [.createBad(chance.pick(Simulation.badPools))] }
      let ticket = PoolTicket(marker: poolTickets.count + 1, chance)
      poolTickets.append(ticket)
      // Now and then its end is asked for while it is being created.
      guard let name = ticket.name, chance.percent(15) else { return [.create(ticket)] }
      return [.create(ticket), chance.percent(80) ? .terminate(name) : .close(name)]
    }
    return (0..<chance.within(1...2)).map { _ in poolWish(chance.pick(known)) }
  }

  private static let badPools = [
    #"{"processes":0}"#, #"{"processes":99}"#, #"{"name":"a/b"}"#, #"{"template":"none"}"#,
    #"{"idle_timeout":-1}"#, #"{"nothing":1}"#, #"{"name":"p1","name":"p1"}"#, "{",
  ]

  private func poolWish(_ name: String) -> PoolWish {
    switch chance.below(26) {
    case 0...2: return .show(name, wait: false)
    case 3...6: return .show(name, wait: true)
    case 7...11: return .change(name, change())
    case 12...13: return .close(name)
    case 14...16: return .terminate(name)
    case 17...19: return .completions(name, wait: chance.percent(40))
    case 20: return .workers(name)
    case 21: return configuredWish()
    case 22 where poolTickets.suffix(6).contains { $0.key != nil && $0.timesSent > 0 }:
      return .createOther(keyed())
    case 22...25 where poolTickets.suffix(6).contains { $0.key != nil && $0.timesSent > 0 }:
      return .create(keyed())
    default: return .list
    }
  }

  private func keyed() -> PoolTicket {
    chance.pick(poolTickets.suffix(6).filter { $0.key != nil && $0.timesSent > 0 })
  }

  private func change() -> PoolWish.Change {
    PoolWish.Change(
      processes: chance.percent(60) ? chance.within(1...4) : nil,
      isPaused: chance.percent(50) ? chance.percent(50) : nil)
  }

  /// Configured pools can be changed and ended as well, until the service ends.
  private func configuredWish() -> PoolWish {
    switch chance.below(12) {
    case 0: .close("side")
    case 1: .terminate("side")
    case 2...6: .change("default", change())
    default: .change("side", change())
    }
  }

  // MARK: Requests

  func request(for wish: PoolWish) -> HTTPRequest {
    var query: [String] = []
    var headers: [(name: String, value: String)] = []
    var (method, path, body) = (HTTPMethod.get, "/v1/pools", "")
    switch wish {
    case .create(let ticket):
      (method, body) = (.post, ticket.body())
      ticket.timesSent += 1
      ticket.changesAtSend = ticket.changesSent
      if let key = ticket.key { headers.append(("idempotency-key", key)) }
      if let name = ticket.name, ticket.endsByItself { endedNames.insert(name) }
    case .createOther(let ticket):
      (method, body) = (.post, ticket.body(isOther: true))
      ticket.isContested = true
      if let key = ticket.key { headers.append(("idempotency-key", key)) }
      if let name = ticket.name, ticket.endsByItself { endedNames.insert(name) }
    case .createBad(let text): (method, body) = (.post, text)
    case .show(let name, let wait):
      path += "/\(name)"
      if wait { query.append("wait_joined=\(chance.pick([1, 5, 60]))") }
    case .change(let name, let change):
      (method, path) = (.patch, path + "/\(name)")
      var members: [String] = []
      if let processes = change.processes { members.append("\"processes\":\(processes)") }
      if let isPaused = change.isPaused { members.append("\"paused\":\(isPaused)") }
      body = "{\(members.joined(separator: ","))}"
      for ticket in poolTickets where ticket.name == name {
        ticket.asks(for: change)
      }
    case .close(let name):
      (method, path) = (.post, path + "/\(name)/close")
      for ticket in poolTickets where ticket.name == name { ticket.isEndAsked = true }
    case .terminate(let name):
      (method, path) = (.post, path + "/\(name)/terminate")
      endedNames.insert(name)
      for ticket in poolTickets where ticket.name == name { ticket.isEndAsked = true }
    case .workers(let name): path += "/\(name)/workers"
    case .completions(let name, let wait):
      path += "/\(name)/completions"
      query.append("after=0&limit=1000\(wait ? "&wait=1" : "")")
    case .list: break
    }
    if !body.isEmpty { headers.append(("content-type", "application/json")) }
    return HTTPRequest(
      method: method, path: path, query: HTTPQuery(query.joined(separator: "&")),
      headers: headers, body: Array(body.utf8))
  }

  /// A connection is lost: what was asked for may have happened.
  func losePool(_ wish: PoolWish) {
    switch wish {
    case .create(let ticket), .createOther(let ticket): ticket.isAskedForInVain()
    case .change(let name, _):
      for ticket in poolTickets where ticket.name == name {
        ticket.hears(ofChange: false, at: sequence)
      }
    default: break
    }
  }

  // MARK: Edges

  /// What runs the calls of a created pool.
  func makePool(_ id: PoolID, _ configured: Settings.Pool, _ life: Life) -> any PoolDriver {
    let pool = SimulatedPool(id, configured, slots: configured.processes ?? 1, world: world)
    pool.isPrompt = isCalm
    life.pools.append(pool)
    note(configured.startsWhole ? "pool begins" : "pool begins again")
    return pool
  }

  /// Once nothing bad happens any more: pools that are paused go on, and half of the others end.
  func helpPools() {
    guard let server = life?.server, server.phase == .ready, server.engine.isWritable,
      !outstanding.contains(where: { if case .pool = $0.wish { true } else { false } })
    else { return }
    for pool in server.engine.poolPlaces where server.engine.isPaused(pool: pool) {
      let stage = server.engine.stage(ofPool: pool)
      guard stage == .running || stage == .closing else { continue }
      let name = server.engine.name(ofPool: pool)
      let isBroken = server.engine.pools[pool].brokenReason != nil
      wishes.append(
        .pool(isBroken ? .terminate(name) : .change(name, PoolWish.Change(isPaused: false))))
    }
  }

  /// Whether all pools have the workers that they are to have.
  func poolsAreSettled(_ server: Server) -> Bool {
    server.engine.poolPlaces.allSatisfy { isSettled($0, server) }
  }

  private func isSettled(_ pool: Int, _ server: Server) -> Bool {
    let engine = server.engine
    let driver = server.driver(at: pool) as? SimulatedPool
    switch engine.stage(ofPool: pool) {
    case .starting, .closing, .terminating: return false
    case .joined: return driver.map { $0.workerCount == 0 } ?? true
    case .running:
      return engine.pools[pool].brokenReason != nil
        || driver?.workerCount == engine.processes(ofPool: pool)
    }
  }

  func whatPoolsDo(_ server: Server) -> [String] {
    let engine = server.engine
    return engine.poolPlaces.filter { !isSettled($0, server) }.map { pool in
      let driver = server.driver(at: pool) as? SimulatedPool
      return """
        \(engine.name(ofPool: pool)) \(engine.stage(ofPool: pool)) \
        \(driver?.workerCount ?? -1)/\(engine.processes(ofPool: pool)) \
        \(engine.pools[pool].end) ended: \(driver?.isEnded ?? true)
        """
    }
  }
}
