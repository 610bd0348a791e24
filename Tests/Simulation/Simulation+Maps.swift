import HTTPServer
import JobCore

@testable import HTTPServer
@testable import JobServer

/// What a client asks for about maps.
enum MapWish {
  case submit(MapTicket, wait: Bool)
  /// With other items under the same names.
  case submitOther(MapTicket)
  /// One item a line.
  case open(MapTicket, wait: Bool)
  case show(MapTicket, wait: Bool)
  case result(MapTicket, wait: Bool)
  case read(MapRead)
  case cancel(MapTicket)
  case drop(MapTicket)
  case list
  case chunks(MapTicket)
  case cancelChunk(MapTicket, JobID)
  case dropChunk(MapTicket, JobID)

  /// For the tally.
  var word: String {
    switch self {
    case .submit: "submit map"
    case .submitOther: "submit other map"
    case .open: "submit lines"
    case .show: "show map"
    case .result: "result of map"
    case .read: "read results"
    case .cancel: "cancel map"
    case .drop: "delete map"
    case .list: "list maps"
    case .chunks: "list chunks"
    case .cancelChunk: "cancel chunk"
    case .dropChunk: "delete chunk"
    }
  }

  /// The map that it submits.
  var submitted: MapTicket? {
    switch self {
    case .submit(let ticket, _), .submitOther(let ticket), .open(let ticket, _): ticket
    default: nil
    }
  }
}

/// The clients of maps: they submit documents and lines, read, leave, and come again.
extension Simulation {
  // MARK: Wishes

  func mapWishes() -> [MapWish] {
    let known = Array(mapTickets.suffix(12).filter { $0.name != nil })
    guard !known.isEmpty, chance.percent(65) else {
      let ticket = MapTicket(
        marker: mapTickets.count + 1, isStreamed: chance.percent(50), pool: poolForSubmission(),
        chance)
      mapTickets.append(ticket)
      return [submission(of: ticket)]
    }
    return (0..<chance.within(1...3)).map { _ in mapWish(chance.pick(known)) }
  }

  private func submission(of ticket: MapTicket) -> MapWish {
    let wait = chance.percent(25)
    return ticket.isStreamed ? .open(ticket, wait: wait) : .submit(ticket, wait: wait)
  }

  private func mapWish(_ ticket: MapTicket) -> MapWish {
    let wait = chance.percent(30)
    switch chance.below(24) {
    case 0...4: return .show(ticket, wait: wait)
    case 5...12: return .read(read(ticket))
    case 13...15: return .result(ticket, wait: wait)
    case 16: return .cancel(ticket)
    case 17: return .drop(ticket)
    case 18: return .chunks(ticket)
    case 19:
      guard let chunk = chunk(of: ticket) else { return .chunks(ticket) }
      return chance.percent(50) ? .cancelChunk(ticket, chunk) : .dropChunk(ticket, chunk)
    case 20 where ticket.isRepeatable && !ticket.isStreamed: return .submitOther(ticket)
    default:
      guard ticket.isRepeatable, ticket.timesSent > 0 else { return .show(ticket, wait: wait) }
      return submission(of: ticket)
    }
  }

  /// From the first line on, from where it was heard, or from some line.
  private func read(_ ticket: MapTicket) -> MapRead {
    let order = chance.pick(MapOrder.allCases)
    let told = ticket.linesTold(in: order)
    return MapRead(ticket, order, after: chance.pick([0, 0, told, told, chance.below(told + 3)]))
  }

  /// One of its chunks, as a list of them shows it.
  private func chunk(of ticket: MapTicket) -> JobID? {
    guard let store = life?.server.engine.store,
      let map = ticket.name.flatMap({ JobID($0) }).flatMap({ store.mapNumber(of: $0) }),
      let chunks = store.map(map)?.chunks.map(\.job), !chunks.isEmpty
    else { return nil }
    return store[chance.pick(chunks)]?.id
  }

  // MARK: Requests

  func request(for wish: MapWish) -> HTTPRequest {
    var query: [String] = []
    var headers: [(name: String, value: String)] = []
    var (method, path, body) = (HTTPMethod.get, "/v1/maps", "")
    func name(_ ticket: MapTicket, _ wait: Bool = false, _ tail: String = "") {
      path += "/\(ticket.name ?? "none")\(tail)"
      if wait { query.append("wait=\(chance.pick([1, 20]))") }
    }
    func submit(_ ticket: MapTicket, _ wait: Bool) {
      method = .post
      ticket.timesSent += 1
      if let key = ticket.key { headers.append(("idempotency-key", key)) }
      if wait { query.append("wait=\(chance.pick([1, 5, 60]))") }
    }
    switch wish {
    case .submit(let ticket, let wait):
      submit(ticket, wait)
      body = ticket.body()
    case .submitOther(let ticket):
      submit(ticket, false)
      ticket.isContested = true
      body = ticket.body(isOther: true)
    case .open(let ticket, let wait):
      query = ticket.query
      submit(ticket, wait)
      headers.append(("content-type", "application/x-ndjson"))
    case .show(let ticket, let wait): name(ticket, wait)
    case .result(let ticket, let wait): name(ticket, wait, "/result")
    case .read(let read):
      name(read.ticket, false, "/results")
      query += ["order=\(read.order.rawValue)", "after=\(read.line)"]
      read.map = number(of: read.ticket)
    case .cancel(let ticket):
      method = .post
      ticket.isCancelAsked = true
      name(ticket, false, "/cancel")
    case .drop(let ticket):
      method = .delete
      ticket.isDropAsked = true
      name(ticket)
    case .list: query = ["limit=1000"]
    case .chunks(let ticket):
      (path, query) = ("/v1/jobs", ["limit=1000", "map=\(ticket.name ?? "")"])
    case .cancelChunk(let ticket, let id):
      ticket.isChunkCancelAsked = true
      (method, path) = (.post, "/v1/jobs/\(id)/cancel")
    case .dropChunk(_, let id): (method, path) = (.delete, "/v1/jobs/\(id)")
    }
    return HTTPRequest(
      method: method, path: path, query: HTTPQuery(query.joined(separator: "&")),
      headers: headers, body: Array(body.utf8))
  }

  /// The map that has a ticket's name now.
  func number(of ticket: MapTicket) -> MapNumber? {
    ticket.name.flatMap { JobID($0) }.flatMap { life?.server.engine.store.mapNumber(of: $0) }
  }

  // MARK: Streams

  /// Who sends lines sends some, and who reads takes some.
  func moveStreams() {
    for input in inputs where !world.isDead && !input.isOver { move(input) }
    inputs.removeAll { $0.isOver }
    for reader in readers where !world.isDead && !reader.isOver { move(reader) }
    readers.removeAll { $0.isOver }
  }

  private func move(_ input: SimulatedInput) {
    if let refusal = input.stream.refusal {
      input.isOver = true
      return answered(input.number, refusal)
    }
    guard isCalm || chance.percent(60) else { return }
    if input.stream.isHeld {
      if !input.wasHeld { note("input held back") }
      input.wasHeld = true
      if !isCalm, chance.percent(4) { breakOff(input) }
    } else if !input.isAtEnd {
      input.send(isCalm ? 200 : chance.pick([3, 20, 100, 400]))
    } else if input.breaksOff {
      breakOff(input)
    } else {
      input.isOver = true
      weak var owed: PendingResponse?
      let number = input.number
      let answer = input.stream.finish {
        let pending = PendingResponse { [weak self] in self?.answered(number, $0) }
        owed = pending
        return pending
      }
      settle(answer, number, owed)
    }
  }

  /// A client leaves in the midst of its items.
  private func breakOff(_ input: SimulatedInput) {
    note("input broken off")
    input.isOver = true
    input.stream.close()
    input.ticket.mayCome = true
    if let place = outstanding.firstIndex(where: { $0.number == input.number }) {
      loseMap(.open(input.ticket, wait: false))
      outstanding.remove(at: place)
    }
  }

  private func move(_ reader: SimulatedReader) {
    guard isCalm || chance.percent(50) else { return }
    if !isCalm, chance.percent(4) {
      noteWrittenLines()
      note("reader left")
      return reader.leave()
    }
    let countMax = isCalm ? .max : chance.pick([1, 30, 300, 100_000])
    reader.take(countMax) { hear($0, reader) }
    guard let end = reader.end else { return }
    reader.isOver = true
    hearEnd(of: reader, isWhole: end.isWhole, isTorn: end.isTorn)
  }

  /// Once nothing bad happens any more: who is held back gets a reader, or leaves if nobody knows
  /// its map.
  func helpInputs() {
    for input in inputs where input.stream.isHeld && !input.isOver && !help(input.ticket) {
      breakOff(input)
    }
    inputs.removeAll { $0.isOver }
    for request in outstanding {
      if case .map(.open(let ticket, _)) = request.wish,
        !inputs.contains(where: { $0.number == request.number })
      {
        _ = help(ticket)
      }
    }
  }

  /// Reads the results of a map if nobody does; false if nobody can.
  private func help(_ ticket: MapTicket) -> Bool {
    guard let server = life?.server else { return true }
    if readers.contains(where: { $0.ticket === ticket && $0.map == number(of: ticket) }) {
      return true
    }
    // By its tag, should it have no name that the client knows.
    var found: JobMap?
    server.engine.store.descendMaps(below: .max) { map in
      if map.options?.tags.first == ticket.tag { found = map }
      return found == nil
    }
    guard let map = found else { return server.phase != .ready }
    if ticket.name == nil { ticket.id = "\(map.id)" }
    let line = map.firstLine(in: .completion)
    wishes.append(.map(.read(MapRead(ticket, .completion, after: line))))
    return true
  }

  /// The connections of streams are gone.
  func loseStreams() {
    for ticket in mapTickets where ticket.wasRefusedUnwritten {
      loseSubmission(of: ticket)
      ticket.wasRefusedUnwritten = false
    }
    for ticket in mapTickets { ticket.mayCome = false }
    if !inputs.isEmpty { note("inputs lost") }
    if !readers.isEmpty { note("readers lost") }
    inputs = []
    readers = []
    linesWritten = [:]
  }

  func loseMap(_ wish: MapWish) {
    if let ticket = wish.submitted { loseSubmission(of: ticket) }
  }

  private func loseSubmission(of ticket: MapTicket) {
    if ticket.standing == .none || ticket.standing == .dropped { ticket.standing = .unsure }
  }

  /// How far readers were written to, those included that are gone.
  func noteWrittenLines() {
    for reader in readers where !reader.isOver {
      let place = reader.order == .input ? 0 : 1
      let lines = reader.linesWritten
      if lines > linesWritten[reader.map, default: [0, 0]][place] {
        linesWritten[reader.map, default: [0, 0]][place] = lines
      }
    }
  }
}
