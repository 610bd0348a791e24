import JobCore

@testable import HTTPServer
@testable import JobCore
@testable import JobServer

/// What must always be so of maps.
extension Simulation {
  // MARK: Whenever something happens

  /// A worker begins with a chunk: nobody was told that it has ended.
  func chunkBegan(_ job: JobNumber) {
    guard let (map, chunk) = world.books.chunk(job),
      let ticket = mapTickets.last(where: { $0.number == map && $0.standing == .accepted })
    else { return }
    let told = (chunk.first..<chunk.first + chunk.count).filter { ticket.lines[$0] != nil }
    if !told.isEmpty { fail("items \(told) of \(ticket.tag) have ended, and run again") }
  }

  /// A record about maps comes; the books do not have it yet.
  func mapRecordComes(_ record: Record) {
    guard !world.isDead else { return }
    switch record {
    case .jobSubmitted(let submitted):
      guard let map = submitted.options?.chunk?.map, mapsOfEvent.insert(map).inserted else {
        return
      }
      checkRoom(of: map)
    case .chunkReleased(let job): checkRelease(of: job)
    default: break
    }
  }

  /// Items come only while the map does not hold too much, or few of its chunks are out.
  private func checkRoom(of number: MapNumber) {
    guard let life, let book = world.books[number], book.created.total == nil,
      let input = life.server.mapInputs[number]
    else { return }
    let engine = life.server.engine
    // Who sends no more items gets rid of what it has.
    if input.error != nil || engine.isDraining { return }
    if engine.mayTakeItems(number, bufferSize: .max), book.heldBytes < engine.limits.mapBytesMax {
      return
    }
    let taken = engine.mapWork.taken[number] ?? Engine.MapWork.Taken()
    // What was sent in neither order.
    var line = 0
    let sent = Set(
      book.ended.prefix { place in
        line += book.chunks[place].count
        return line <= taken.completion.sent
      })
    let out = book.chunks.indices.count { place in
      book.chunks[place].first + book.chunks[place].count > taken.input.sent
        && !sent.contains(place)
    }
    if book.heldBytes >= engine.limits.mapBytesMax { note("lines taken for their buffer") }
    if book.heldBytes >= engine.limits.mapBytesMax, out >= input.bufferSize {
      fail("map \(number) holds \(book.heldBytes) bytes, \(out) chunks are out, and it takes more")
    }
  }

  /// A chunk is dropped only when all of it was written for somebody, in one of the orders.
  private func checkRelease(of job: JobNumber) {
    noteWrittenLines()
    guard let (number, chunk) = world.books.chunk(job), let book = world.books[number] else {
      return fail("a chunk is dropped that is not there")
    }
    var written = linesWritten[number] ?? [0, 0]
    // Whose answer waits for the journal was not heard of here, and has its lines all the same.
    for reader in life?.server.mapReaders.all(of: number) ?? []
    where !readers.contains(where: { $0.body === reader.body }) {
      note("lines written before their answer")
      let place = reader.order == .input ? 0 : 1
      written[place] = max(written[place], reader.line)
    }
    if chunk.first + chunk.count <= written[0] { return }
    var line = 0
    for place in book.ended {
      line += book.chunks[place].count
      if book.chunks[place].job == job, line <= written[1] { return }
    }
    fail("chunk \(job) is dropped, and nobody has read it")
  }

  // MARK: After every event

  /// What is written for a client it may read at once: it must be durable by then.
  func checkWritten(by server: Server) {
    guard !server.undurable.isEmpty else { return }
    for input in inputs where !input.isOver {
      guard let told = input.stream.refusal?.tag, !server.isDurable(told.number) else { continue }
      // An answer that was kept is of a version before.
      if server.engine.store.map(told.number)?.version == told.version {
        fail("\(input.ticket.tag) is answered before its end is durable")
      }
    }
    for reader in readers where !reader.isOver {
      guard let book = world.books[reader.map] else { continue }
      var line = reader.linesWritten - 1
      while line >= reader.firstLine, let found = book.chunk(ofLine: line, in: reader.order) {
        if !found.chunk.isReleased, !server.isDurable(found.chunk.job) {
          return fail("\(reader.ticket.tag), line \(line): it is written, and not durable")
        }
        line = found.first - 1
      }
    }
  }

  /// Every map is that of one ticket, and every ticket's is there and as it was told.
  ///
  /// - Parameter isStart: whether the service has just recovered it.
  func checkMapTickets(_ store: JobStore, isStart: Bool = false) {
    var seen: Set<Int> = []
    store.descendMaps(below: .max) { map in
      guard let tag = map.options?.tags.first, let marker = Int(tag.dropFirst()),
        mapTickets.indices.contains(marker - 1)
      else {
        fail("map \(map.id) is nobody's")
        return true
      }
      if !seen.insert(marker).inserted { fail("\(tag) has two maps") }
      let ticket = mapTickets[marker - 1]
      let isAsked = outstanding.contains { $0.wish.submits(ticket) }
      if ticket.standing == .none, !isAsked { fail("\(tag) was refused, and has a map") }
      if ticket.standing == .dropped, !isAsked { fail("\(tag) was dropped, and is there") }
      checkItems(of: map, ticket)
      return true
    }
    for ticket in mapTickets where ticket.standing == .accepted {
      guard let id = ticket.id.flatMap({ JobID($0) }), let number = store.mapNumber(of: id),
        let map = store.map(number)
      else {
        if !mayBeDropped(ticket) { fail("map \(ticket.id ?? "") of \(ticket.tag) is lost") }
        continue
      }
      check(ticket, map)
      if isStart { checkLines(of: ticket) }
    }
  }

  /// The items that its chunks have are those that were sent, in their order.
  private func checkItems(of map: JobMap, _ ticket: MapTicket) {
    guard let items = world.books[map.number]?.items else { return }
    let isOther = items.first?.hasPrefix("[-") ?? false
    let sent = isOther ? ticket.otherItems : ticket.items
    if isOther, !ticket.isContested { fail("\(ticket.tag) has other items than it had") }
    guard sent.starts(with: items) else { return fail("\(ticket.tag) has the items \(items)") }
    if ticket.isStreamed, items.count > ticket.linesSent {
      fail("\(ticket.tag) has \(items.count) items of \(ticket.linesSent)")
    }
    if ticket.wholeAt != nil, ticket.number == map.number, items.count != sent.count, !isOther {
      fail("\(ticket.tag) has \(items.count) of \(sent.count) items")
    }
  }

  private func check(_ ticket: MapTicket, _ map: JobMap) {
    if map.number != ticket.number {
      guard ticket.number == nil || mayBeDropped(ticket) else {
        return fail("\(ticket.tag) was \(ticket.number ?? 0), and is \(map.number)")
      }
      ticket.isAnother(map.number)
      // Which of the payloads it has may not be known.
      if ticket.isContested { ticket.standing = .unsure }
    }
    if map.options?.idempotencyKey != ticket.key { fail("\(ticket.tag) lost its key") }
    guard let told = ticket.told else { return }
    if map.version < told.version {
      fail("\(ticket.tag) goes back from version \(told.version) to \(map.version)")
    }
    guard told.handle.isFinal else { return }
    if map.state.rawValue != told.handle.state || map.version != told.version {
      fail("\(ticket.tag) was told to be \(told.handle.state), and is \(map.state)")
    }
    if map.items != told.handle.items { fail("\(ticket.tag) is final, and its counts change") }
  }

  /// What readers were told is so after a start.
  private func checkLines(of ticket: MapTicket) {
    guard let number = ticket.number, let book = world.books[number] else { return }
    for (index, told) in ticket.lines.sorted(by: { $0.key < $1.key })
    where book.line(index, in: .input) != told.line {
      fail("\(ticket.tag): item \(index) was told to be \(told.line)")
    }
    for (line, told) in ticket.completed.sorted(by: { $0.key < $1.key })
    where book.line(line, in: .completion) != told.line {
      fail("\(ticket.tag): line \(line) was told to be \(told.line)")
    }
  }

  /// Once nothing is due, nobody waits for what is there.
  func checkWaits(of server: Server) {
    guard server.phase == .ready, server.undurable.isEmpty, server.heldBack.isEmpty,
      server.inbox.isEmpty
    else { return }
    let store = server.engine.store
    for request in outstanding where request.response() != nil {
      switch request.wish {
      case .show(let ticket, wait: true), .result(let ticket, wait: true):
        let number = ticket.id.flatMap { JobID($0) }.flatMap { store.number(of: $0) }
        guard number.flatMap({ store[$0] })?.state.isFinal == true else { continue }
        fail("somebody waits for \(ticket.args), which is final")
      case .map(.show(let ticket, wait: true)), .map(.result(let ticket, wait: true)),
        .map(.submit(let ticket, wait: true)), .map(.open(let ticket, wait: true)):
        guard number(of: ticket).flatMap({ store.map($0) })?.stage == .final else { continue }
        fail("somebody waits for \(ticket.tag), which is final")
      case .pool(let wish): checkWait(for: wish, server)
      default: break
      }
    }
  }
}

extension Wish {
  /// Whether it submits this map.
  fileprivate func submits(_ ticket: MapTicket) -> Bool {
    if case .map(let wish) = self { return wish.submitted === ticket }
    return false
  }
}
