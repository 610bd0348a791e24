import HTTPServer
import JobCore

@testable import HTTPServer
@testable import JobServer

/// What a client asks for.
enum Wish {
  case submit(Ticket, wait: Bool)
  /// With another payload under the same names.
  case submitOther(Ticket)
  case submitMany([Ticket], wait: Bool)
  case show(Ticket, wait: Bool)
  case showMany([Ticket], wait: Bool)
  case result(Ticket, wait: Bool)
  case cancel(Ticket)
  case drop(Ticket)
  case list
  case metrics
  case map(MapWish)
  case pool(PoolWish)

  /// For the tally.
  var word: String {
    switch self {
    case .submit: "submit"
    case .submitOther: "submit other"
    case .submitMany: "submit many"
    case .show: "show"
    case .showMany: "show many"
    case .result: "result"
    case .cancel: "cancel"
    case .drop: "delete"
    case .list: "list"
    case .metrics: "metrics"
    case .map(let wish): wish.word
    case .pool(let wish): wish.word
    }
  }
}

/// A request that has no answer yet.
struct Outstanding {
  let number: Int
  let wish: Wish
  let response: () -> PendingResponse?
}

/// The clients: they ask at random, again after a crash, and compare what they hear.
extension Simulation {
  // MARK: Wishes

  func newTicket(isInArray: Bool = false, pool: String? = nil) -> Ticket {
    let marker = tickets.count + 1
    var members = ""
    let attemptsMax = chance.pick([1, 1, 1, 2, 3])
    if attemptsMax > 1 { members += #","max_attempts":\#(attemptsMax)"# }
    let canTimeOut = chance.percent(20)
    if canTimeOut { members += #","timeout":0.\#(chance.within(1...3))"# }
    let failsOnInterrupt = chance.percent(15)
    if failsOnInterrupt { members += #","on_interrupt":"fail""# }
    let pool = pool ?? poolForSubmission()
    if let pool { members += #","pool":"\#(pool)""# }
    if chance.percent(10) { members += #","tags":["t\#(marker)"],"kwargs":{"k":"é"}"# }
    let ticket = Ticket(
      marker: marker, key: !isInArray && chance.percent(40) ? "key-\(marker)" : nil,
      clientID: chance.percent(20) ? "id-\(marker)" : nil, members: members,
      canTimeOut: canTimeOut, failsOnInterrupt: failsOnInterrupt, pool: pool)
    tickets.append(ticket)
    return ticket
  }

  func wish() -> Wish {
    let wait = chance.percent(30)
    let known = tickets.suffix(40).filter { $0.id != nil }
    guard !known.isEmpty, chance.percent(60) else {
      if chance.percent(20) { return bulk(wait) }
      return .submit(newTicket(), wait: wait)
    }
    let ticket = chance.pick(Array(known))
    switch chance.below(10) {
    case 0...3: return .show(ticket, wait: wait)
    case 4: return .showMany((0..<chance.within(1...5)).map { _ in chance.pick(known) }, wait: wait)
    case 5...6: return .result(ticket, wait: wait)
    case 7...8: return .cancel(ticket)
    default: return .drop(ticket)
    }
  }

  private func bulk(_ wait: Bool) -> Wish {
    var many = (0..<chance.within(1...8)).map { _ in newTicket(isInArray: true) }
    // In an array a submission is named by an id of its own.
    if let again = many.last(where: { $0.clientID != nil }), chance.percent(50) {
      many.append(again)
    }
    return .submitMany(many, wait: wait)
  }

  /// The same submission once more, as a client does that heard nothing; now and then with another
  /// payload.
  func repetition() -> Wish {
    let named = tickets.suffix(30).filter { $0.isRepeatable && $0.timesSent > 0 }
    guard !named.isEmpty else { return wish() }
    let ticket = chance.pick(Array(named))
    return chance.percent(15) ? .submitOther(ticket) : .submit(ticket, wait: chance.percent(20))
  }

  /// A client that waits closes its connection.
  func leave() {
    guard !outstanding.isEmpty else { return }
    outstanding[chance.below(outstanding.count)].response()?.abandon()
    note("client left")
  }

  // MARK: Requests

  func send(_ wish: Wish) {
    note(wish.word)
    lastRequest += 1
    let number = lastRequest
    var request = HTTPRequest(method: .get, path: "/")
    var query: [String] = []
    var headers: [(name: String, value: String)] = []
    var (method, path, body) = (HTTPMethod.get, "/v1/jobs", "")
    switch wish {
    case .submit(let ticket, let wait):
      (method, body) = (.post, ticket.body())
      if let key = ticket.key { headers.append(("idempotency-key", key)) }
      if wait { headers.append(("prefer", "wait=\(chance.pick([1, 5, 60]))")) }
      ticket.timesSent += 1
    case .submitOther(let ticket):
      (method, body) = (.post, ticket.body(isOther: true))
      ticket.isContested = true
      if let key = ticket.key { headers.append(("idempotency-key", key)) }
    case .submitMany(let many, let wait):
      (method, body) = (.post, "[\(many.map { $0.body() }.joined(separator: ","))]")
      if wait { query.append("wait=\(chance.pick([1, 5, 60]))") }
      for ticket in many { ticket.timesSent += 1 }
    case .show(let ticket, let wait):
      path += "/\(ticket.id ?? "")"
      if wait { query.append("wait=\(chance.pick([1, 20]))") }
    case .showMany(let many, let wait):
      query.append("id=\(many.map { $0.id ?? "" }.joined(separator: ","))")
      if wait { query.append("wait=2") }
    case .result(let ticket, let wait):
      path += "/\(ticket.id ?? "")/result"
      if wait { query.append("wait=\(chance.pick([1, 20]))") }
    case .cancel(let ticket):
      (method, path) = (.post, path + "/\(ticket.id ?? "")/cancel")
      ticket.isCancelAsked = true
    case .drop(let ticket):
      (method, path) = (.delete, path + "/\(ticket.id ?? "")")
      ticket.isDropAsked = true
    case .list: query.append("limit=1000")
    case .metrics: path = "/metrics"
    case .map(let wish):
      request = self.request(for: wish)
      return route(&request, .map(wish), number)
    case .pool(let wish):
      request = self.request(for: wish)
      return route(&request, .pool(wish), number)
    }
    request = HTTPRequest(
      method: method, path: path, query: HTTPQuery(query.joined(separator: "&")),
      headers: headers, body: Array(body.utf8))
    route(&request, wish, number)
  }

  /// What stands before a route in the service: the request finds its operation, and its answer
  /// comes now or later.
  private func route(_ request: inout HTTPRequest, _ wish: Wish, _ number: Int) {
    guard let life,
      case .route(let index, let parameters) = life.router.match(
        request.method, path: request.path)
    else { return fail("there is no route for \(request.method) \(request.path)") }
    request.spans = parameters.spans
    request.parameterNames = parameters.names
    weak var owed: PendingResponse?
    outstanding.append(Outstanding(number: number, wish: wish, response: { nil }))
    if case .map(.open(let ticket, _)) = wish,
      let stream = life.router.routes[index].stream?(request)
    {
      let input = SimulatedInput(ticket, stream, number, isWhole: isCalm, chance)
      return inputs.append(input)
    }
    let answer = life.router.routes[index].action(&request) {
      let pending = PendingResponse { [weak self] in self?.answered(number, $0) }
      owed = pending
      return pending
    }
    settle(answer, number, owed)
  }

  /// An answer that comes now or later.
  func settle(_ answer: HTTPAnswer, _ number: Int, _ owed: PendingResponse?) {
    if case .now(let response) = answer { return answered(number, response) }
    guard let place = outstanding.firstIndex(where: { $0.number == number }) else { return }
    outstanding[place] = Outstanding(
      number: number, wish: outstanding[place].wish, response: { [weak owed] in owed })
  }

  /// An answer leaves the service; not if its process has died meanwhile.
  func answered(_ number: Int, _ response: HTTPResponse?) {
    guard !world.isDead, let place = outstanding.firstIndex(where: { $0.number == number }) else {
      return
    }
    let wish = outstanding.remove(at: place).wish
    guard let response else { return fail("a \(wish.word) was never answered") }
    tell("\(wish.word) → \(response.status)")
    heardRequest = number
    answersHeard += 1
    hear(response, wish)
  }

  /// The connections are gone: who asked does not know what became of it.
  func loseConnections() {
    for ticket in tickets where ticket.wasRefusedUnwritten {
      // It was withdrawn in memory, and perhaps only the submission came to the disk: the write
      // of both was cut off, or the one that failed left it behind. Then it runs.
      loseSubmission(ticket)
      ticket.wasRefusedUnwritten = false
    }
    for request in outstanding {
      switch request.wish {
      case .submit(let ticket, _): loseSubmission(ticket)
      case .submitMany(let many, _): for ticket in many { loseSubmission(ticket) }
      case .map(let wish): loseMap(wish)
      case .pool(let wish): losePool(wish)
      default: break
      }
    }
    loseStreams()
    if !outstanding.isEmpty { note("connections lost") }
    outstanding = []
  }

  private func loseSubmission(_ ticket: Ticket) {
    if ticket.standing == .none || ticket.standing == .dropped { ticket.standing = .unsure }
  }

  // MARK: Answers

  /// The newest record that was decided.
  var sequence: UInt64 { baseSequence + UInt64(tape.count) }

  private func hear(_ response: HTTPResponse, _ wish: Wish) {
    world.note("status \(response.status)")
    switch wish {
    case .submit(let ticket, _): hearOfSubmission(response, ticket)
    case .submitOther(let ticket): hearOfOther(response, ticket)
    case .submitMany(let many, _): hearOfMany(response, many)
    case .show(let ticket, _):
      guard response.status == 200 else { return hearOfNone(response, ticket) }
      hear(of: ticket, response)
    case .showMany(let many, _): hearOfGroup(response, many)
    case .result(let ticket, _): hearResult(response, ticket)
    case .cancel(let ticket):
      switch response.status {
      case 202, 200:
        hear(of: ticket, response)
        ticket.cancelledAt = ticket.cancelledAt ?? sequence
      case 409: break
      default: hearOfNone(response, ticket)
      }
    case .drop(let ticket):
      switch response.status {
      case 204:
        if ticket.standing == .accepted || ticket.standing == .unsure {
          ticket.standing = .dropped
          ticket.droppedAt = sequence
        }
      case 409: break
      default: hearOfNone(response, ticket)
      }
    case .list: hearList(response)
    case .metrics: hearMetrics(response)
    case .map(let wish): hear(response, wish)
    case .pool(let wish): hear(response, wish)
    }
  }

  private func hearOfSubmission(_ response: HTTPResponse, _ ticket: Ticket) {
    switch response.status {
    case 200, 202:
      guard let handle = Handle.read(response.bytes) else { return fail("no handle") }
      let isReplay = !response.headers.values(of: "Idempotent-Replayed").isEmpty
      accepted(ticket, handle, isReplay: isReplay)
      // While the journal takes nothing, who submits may be shown the job as it was accepted.
      if response.tag?.version == 1, life?.server.engine.isWritable == false {
        return note("told as it was accepted")
      }
      hear(of: ticket, response)
    case 503, 409: refused(ticket, Handle.problemCode(response.bytes) ?? "")
    // It was accepted and dropped before its client could be told.
    case 410 where plan.isRetentionTight || ticket.isDropAsked: ticket.standing = .unsure
    case 422 where ticket.isContested: note("mismatch")
    case 422: hearOfUnknownPool(response, ticket.pool)
    case 413 where plan.settings.limits.openBytesMax < 1_000: break
    default: fail("a submission is answered \(response.status)")
    }
  }

  private func accepted(_ ticket: Ticket, _ handle: Handle, isReplay: Bool) {
    let number = JobID(handle.id).flatMap { life?.server.engine.store.number(of: $0) }
    if isReplay {
      note("replayed")
      if ticket.timesSent == 1 { fail("\(ticket.args) is a replay of nothing") }
    }
    if ticket.standing == .accepted {
      if ticket.id == handle.id, number == nil || ticket.number == number { return }
      guard mayBeDropped(ticket) else {
        return fail("\(ticket.args) is accepted twice: \(ticket.id ?? "") and \(handle.id)")
      }
    }
    note("accepted")
    ticket.begin(handle.id, number, at: sequence)
    ticket.acceptedAfter = lastRequest
    if let other = ticketByID[handle.id], other !== ticket {
      fail("\(handle.id) names \(other.args) and \(ticket.args)")
    }
    ticketByID[handle.id] = ticket
  }

  private func refused(_ ticket: Ticket, _ code: String) {
    note("refused: \(code)")
    guard let server = life?.server else { return }
    switch code {
    case "read_only":
      ticket.wasRefusedUnwritten = true
      if server.engine.isWritable, server.undurable.isEmpty, !server.turn.isEmpty {
        fail("\(ticket.args) is refused as read_only, and nothing is wrong")
      }
    case "draining":
      if !server.engine.isDraining { fail("\(ticket.args) is refused as draining") }
    case "queue_full", "pool_not_running": break
    default: fail("\(ticket.args) is refused: \(code)")
    }
  }

  private func hearOfOther(_ response: HTTPResponse, _ ticket: Ticket) {
    guard response.status == 200 || response.status == 202 else {
      if response.status == 422 { note("mismatch") }
      return
    }
    // The first payload may not have been accepted: then this one owns the names now.
    if ticket.standing == .accepted, !mayBeDropped(ticket) {
      return fail("another payload is accepted under the names of \(ticket.args)")
    }
    ticket.standing = .unsure
    ticket.told = nil
  }

  private func hearOfMany(_ response: HTTPResponse, _ many: [Ticket]) {
    guard response.status == 200 else {
      let code = Handle.problemCode(response.bytes) ?? ""
      if response.status != 503 { fail("a bulk submission is answered \(response.status)") }
      for ticket in many { refused(ticket, code) }
      return
    }
    guard let handles = Handle.readMany(response.bytes), handles.count == many.count else {
      return fail("a bulk submission is not answered in full")
    }
    for (ticket, handle) in zip(many, handles) {
      if handle.isProblem {
        if handle.errorCode == "gone" { ticket.standing = .unsure }
        continue
      }
      if ticket.timesSent == 1 || !handle.isReplay {
        accepted(ticket, handle, isReplay: handle.isReplay)
      } else if ticket.standing != .accepted {
        accepted(ticket, handle, isReplay: true)
      }
      hear(of: ticket, handle, version: nil, body: nil)
    }
  }
}
