import HTTPServer
import JobCore

@testable import JobCore
@testable import JobServer

/// What clients of pools hear.
extension Simulation {
  func hear(_ response: HTTPResponse, _ wish: PoolWish) {
    let code = response.status < 300 ? nil : Handle.problemCode(response.bytes)
    if let code { note("\(wish.word): \(code)") }
    switch wish {
    case .create(let ticket): hearOfCreation(response, ticket, code)
    case .createOther(let ticket):
      switch response.status {
      case 201:
        if ticket.mustRun { fail("pool \(ticket.marker) is created with another payload") }
        ticket.standing = .unsure
      case 422, 409, 410, 503: if response.status == 422 { note("pool mismatch") }
      default: fail("another pool is answered \(response.status)")
      }
    case .createBad:
      if response.status != 400, response.status != 422, code != "draining" {
        fail("a bad pool is answered \(response.status)")
      }
    case .show(let name, let wait): hearHandle(response, name, code, isWait: wait)
    case .change(let name, _): hearOfChange(response, name)
    case .close(let name), .terminate(let name): hearOfEnd(response, name, wish, code)
    case .workers(let name):
      if response.status != 200 { hearOfNone(response, name, code) }
    case .completions(let name, _):
      guard response.status == 200 else { return hearOfNone(response, name, code) }
      hearCompletions(response, name)
    case .list: hearPools(response)
    }
  }

  // MARK: Creation

  private func hearOfCreation(_ response: HTTPResponse, _ ticket: PoolTicket, _ code: String?) {
    switch (response.status, code ?? "") {
    case (201, _):
      guard let handle = PoolHandle.read(response.bytes) else { return fail("no handle of a pool") }
      let isReplay = !response.headers.values(of: "Idempotent-Replayed").isEmpty
      created(ticket, handle, isReplay: isReplay)
    // It is being created, or there, and nobody knows yet whether that is durable.
    case (503, "read_only"): losePool(.create(ticket))
    case (409, "conflict"):
      guard let name = ticket.name else { return fail("a made up name is taken") }
      if ticket.mustRun, ticket.key != nil, ticket.acceptedAfter < heardRequest {
        fail("pool \(ticket.marker) is there, and its client hears that \(name) is taken")
      }
    case (422, "idempotency_mismatch") where ticket.isContested: note("pool mismatch")
    case (503, "draining"), (503, "too_many_pools"), (503, "too_many_names"):
      if ticket.mustRun, ticket.key != nil, ticket.acceptedAfter < heardRequest, code != "draining"
      {
        fail("pool \(ticket.marker) is there, and its client is refused: \(code ?? "")")
      }
    case (503, "pool_not_started"):
      if ticket.mustRun, ticket.acceptedAfter < heardRequest {
        fail("pool \(ticket.marker) is there, and was not started")
      }
    // By the time of the answer it was ended and dropped.
    case (410, _) where ticket.isEndAsked || ticket.endsByItself: note("pool created and gone")
    default: fail("pool \(ticket.marker) is answered \(response.status) \(code ?? "")")
    }
  }

  private func created(_ ticket: PoolTicket, _ handle: PoolHandle, isReplay: Bool) {
    note(isReplay ? "pool replayed" : "pool created")
    if isReplay, ticket.timesSent == 1 { fail("pool \(ticket.marker) is a replay of nothing") }
    if let name = ticket.name, name != handle.name, ticket.isNamed || ticket.mustRun {
      fail("pool \(ticket.marker) is \(name), and told to be \(handle.name)")
    }
    if let marker = handle.marker, marker != ticket.marker {
      return fail("pool \(ticket.marker) is answered with that of \(marker)")
    }
    if ticket.mustRun, !isReplay, ticket.acceptedAfter < heardRequest {
      fail("pool \(ticket.marker) is created twice")
    }
    if ticket.endsByItself { endedNames.insert(handle.name) }
    guard !isReplay || ticket.standing != .accepted else { return }
    let isEndUnderWay =
      ticket.isEndAsked && (isReplay || handle.isEnding)
      || outstanding.contains { request in
        switch request.wish {
        case .pool(.close(handle.name)), .pool(.terminate(handle.name)): true
        default: false
        }
      }
    ticket.begin(
      handle.name, at: sequence, after: lastRequest, isEndUnderWay: isEndUnderWay)
    // Who asked more than once cannot know which of the answers comes first.
    let isSure = !isReplay && ticket.timesSent == 1 && ticket.changesAtSend == ticket.changesSent
    guard !isSure else { return }
    (ticket.toldProcesses, ticket.toldPaused) = (nil, nil)
  }

  // MARK: Changes and ends

  private func hearOfChange(_ response: HTTPResponse, _ name: String) {
    for ticket in poolTickets where ticket.name == name {
      ticket.hears(ofChange: response.status == 200, at: sequence)
    }
    switch response.status {
    case 200:
      note("pool changed")
      guard let handle = PoolHandle.read(response.bytes) else { return fail("no handle of a pool") }
      judge(handle)
    case 409, 503: break
    case 404, 410: hearOfNone(response, name, "not_found")
    default: fail("a change of \(name) is answered \(response.status)")
    }
  }

  private func hearOfEnd(
    _ response: HTTPResponse, _ name: String, _ wish: PoolWish, _ code: String?
  ) {
    guard response.status == 200 else {
      // One that is being created cannot be closed.
      if response.status == 503, code == "pool_not_running" { return }
      return hearOfNone(response, name, code)
    }
    guard let handle = PoolHandle.read(response.bytes) else { return fail("no handle of a pool") }
    note("\(wish.word) told: \(handle.state)")
    if !handle.isEnding { return fail("\(wish.word) \(name) is told, and it is \(handle.state)") }
    guard let marker = handle.marker, poolTickets.indices.contains(marker - 1) else { return }
    let ticket = poolTickets[marker - 1]
    guard ticket.name == name, ticket.isEndAsked else { return }
    ticket.endedAt = ticket.endedAt ?? sequence
    // One that was closed before may have been joined by the time.
    guard case .terminate = wish, handle.state == "terminating" else { return }
    ticket.terminatedAt = ticket.terminatedAt ?? sequence
    guard let engine = life?.server.engine, let place = engine.poolIndex(named: name),
      engine.specification(ofPool: place)?.callsPerWorkerMax == handle.callsPerWorkerMax,
      let stored = engine.store.names.find(name)
    else { return }
    let open = [JobState.queued, .running, .scheduled].map {
      engine.store.count(of: $0, pool: stored)
    }
    if open != [0, 0, 0] || engine.store.openMapCount(pool: stored) > 0 {
      fail("\(name) is told to be terminated, and has open jobs: \(open)")
    }
  }

  // MARK: Reading

  private func hearHandle(
    _ response: HTTPResponse, _ name: String, _ code: String?, isWait: Bool
  ) {
    guard response.status == 200 else { return hearOfNone(response, name, code) }
    guard let handle = PoolHandle.read(response.bytes) else { return fail("no handle of a pool") }
    if handle.name != name { fail("\(handle.name) is shown in the place of \(name)") }
    if isWait { note("join told: \(handle.state)") }
    judge(handle)
  }

  private func judge(_ handle: PoolHandle) {
    guard let marker = handle.marker, poolTickets.indices.contains(marker - 1) else { return }
    let ticket = poolTickets[marker - 1]
    if ticket.mustRun, handle.isEnding, ticket.acceptedAfter < heardRequest {
      fail("pool \(marker) is \(handle.state), and nobody asked for that")
    }
    if handle.callsPerWorkerMax == marker + PoolTicket.callsBase,
      ticket.endedAt != nil, !handle.isEnding,
      !outstanding.contains(where: { $0.wish.creates(ticket) })
    {
      fail("pool \(marker) was told to end, and is \(handle.state)")
    }
  }

  /// There is no such pool to show, or the service cannot say.
  private func hearOfNone(_ response: HTTPResponse, _ name: String, _ code: String?) {
    switch response.status {
    case 404, 410:
      if ["default", "side"].contains(name) { fail("there is no pool \(name)") }
      for ticket in poolTickets
      where ticket.name == name && ticket.mustRun && ticket.acceptedAfter < heardRequest {
        fail("pool \(ticket.marker) is lost: \(response.status)")
      }
    case 503, 409: break
    default: fail("a request for \(name) is answered \(response.status) \(code ?? "")")
    }
  }

  func hearOfUnknownPool(_ response: HTTPResponse, _ name: String?) {
    let code = Handle.problemCode(response.bytes) ?? ""
    note("submission: \(code)")
    guard let name, name != "side", code == "unknown_pool" else {
      return fail("a submission to \(name ?? "no pool") is refused: \(code)")
    }
    hearOfNone(
      HTTPResponse(status: 404, contentType: "", headers: HTTPHeaders(), body: []), name, code)
  }

  private func hearPools(_ response: HTTPResponse) {
    guard response.status == 200 else {
      if response.status != 503 { fail("a list of pools is answered \(response.status)") }
      return
    }
    guard let handles = PoolHandle.readMany(response.bytes) else { return fail("no list of pools") }
    if Set(handles.map(\.name)).count != handles.count { fail("a pool stands in the list twice") }
    for handle in handles { judge(handle) }
    for ticket in poolTickets where ticket.mustRun && ticket.acceptedAfter < heardRequest {
      if !handles.contains(where: { $0.name == ticket.name }) {
        fail("pool \(ticket.marker) is not in the list")
      }
    }
  }

  /// The feed of a pool tells nothing of earlier ones of its name.
  private func hearCompletions(_ response: HTTPResponse, _ name: String) {
    guard let page = FeedAnswer.read(response.bytes) else { return fail("a feed answers nonsense") }
    guard let server = life?.server, let created = server.engine.store.createdPool(named: name),
      let first = firstNumbers[created.specification.callsPerWorkerMax ?? 0]
    else { return }
    note(page.entries.isEmpty ? "feed of created pool: nothing" : "feed of created pool")
    for (_, handle) in page.entries {
      let id = JobID(handle.id)
      let store = server.engine.store
      let number = id.flatMap { store.number(of: $0) ?? store.mapNumber(of: $0) }
      if let number, number <= first {
        fail("the feed of \(name) tells of \(number), which was there before the pool")
      }
    }
  }
}
