import HTTPServer
import JobCore

@testable import HTTPServer
@testable import JobServer

/// What clients of maps hear.
extension Simulation {
  /// Whether a map may be gone without its client having been told.
  func mayBeDropped(_ ticket: MapTicket) -> Bool { plan.isRetentionTight || ticket.isDropAsked }

  /// Whether its map must be there, for the request whose answer is judged.
  private func mustBeThere(_ ticket: MapTicket) -> Bool {
    ticket.standing == .accepted && ticket.acceptedAfter < heardRequest && !mayBeDropped(ticket)
  }

  func hear(_ response: HTTPResponse, _ wish: MapWish) {
    switch wish {
    case .submit(let ticket, _): hearOfSubmission(response, ticket)
    case .open(let ticket, _): hearOfLines(response, ticket)
    case .submitOther(let ticket): hearOfOther(response, ticket)
    case .show(let ticket, _):
      guard response.status == 200 else { return hearOfNone(response, ticket) }
      hear(of: ticket, response)
    case .result(let ticket, _): hearResult(response, ticket)
    case .read(let read): hearRead(response, read)
    case .cancel(let ticket):
      switch response.status {
      case 202, 200:
        hear(of: ticket, response)
        if ticket.standing == .accepted { ticket.cancelledAt = ticket.cancelledAt ?? sequence }
      case 409: break
      default: hearOfNone(response, ticket)
      }
    case .drop(let ticket):
      switch response.status {
      case 204:
        ticket.standing = ticket.mayCome ? .unsure : .dropped
        ticket.droppedAt = sequence
      case 409: break
      default: hearOfNone(response, ticket)
      }
    case .list: hearMapList(response)
    case .chunks(let ticket): hearChunks(response, ticket)
    case .cancelChunk: hearOfChunk(response, [200, 202, 409])
    case .dropChunk: hearOfChunk(response, [409])
    }
  }

  // MARK: Submissions

  private func hearOfSubmission(_ response: HTTPResponse, _ ticket: MapTicket) {
    switch response.status {
    case 200, 202: hearAccepted(response, ticket)
    case 503, 409: refused(ticket, Handle.problemCode(response.bytes) ?? "")
    case 410 where mayBeDropped(ticket): ticket.standing = .unsure
    case 422 where ticket.isContested: note("map mismatch")
    case 422: hearOfUnknownPool(response, ticket.pool)
    case 413 where plan.settings.limits.openBytesMax < 1_000: break
    case 413 where plan.settings.limits.openJobsMax < 50: break
    default: fail("a map is answered \(response.status)")
    }
  }

  /// Of lines some may have been taken whatever the answer is.
  private func hearOfLines(_ response: HTTPResponse, _ ticket: MapTicket) {
    switch response.status {
    case 200, 202: hearAccepted(response, ticket)
    case 503, 409, 400: note("lines refused: \(Handle.problemCode(response.bytes) ?? "")")
    case 410 where mayBeDropped(ticket): break
    case 422 where ticket.isContested: note("map mismatch")
    case 422: hearOfUnknownPool(response, ticket.pool)
    case 413 where plan.settings.limits.openBytesMax < 1_000: break
    default: fail("lines are answered \(response.status)")
    }
    guard response.status > 202 else { return }
    if ticket.standing == .none || ticket.standing == .dropped { ticket.standing = .unsure }
  }

  private func hearAccepted(_ response: HTTPResponse, _ ticket: MapTicket) {
    guard let handle = MapHandle.read(response.bytes) else { return fail("no handle of a map") }
    let isReplay = !response.headers.values(of: "Idempotent-Replayed").isEmpty
    if isReplay {
      note("map replayed")
      if ticket.timesSent == 1 { fail("map \(ticket.marker) is a replay of nothing") }
    }
    accept(ticket, handle)
    // While the journal takes nothing, who submits may be shown the map as it was accepted.
    if response.tag?.version == 1, life?.server.engine.isWritable == false {
      note("map told as it was accepted")
    } else {
      hear(of: ticket, response)
    }
    // A document is a replay only once it is whole; lines may be those of a body that broke off.
    let isEnded = isPoolEnded(ticket.pool)
    let isWhole = !ticket.isCancelAsked && !isEnded && (!ticket.isStreamed || !isReplay)
    guard isWhole, ticket.standing == .accepted, response.tag?.number == ticket.number else {
      return
    }
    ticket.wholeAt = ticket.wholeAt ?? sequence
    if handle.total != ticket.items.count {
      fail("map \(ticket.marker) is accepted with \(handle.total ?? -1) items")
    }
  }

  /// The client knows now that there is a map.
  private func accept(_ ticket: MapTicket, _ handle: MapHandle) {
    let number = JobID(handle.id).flatMap { life?.server.engine.store.mapNumber(of: $0) }
    if ticket.standing == .accepted {
      if ticket.id == handle.id, number == nil || ticket.number == number { return }
      guard mayBeDropped(ticket) else {
        return fail("map \(ticket.marker) is accepted twice: \(ticket.id ?? "") and \(handle.id)")
      }
    }
    note("map accepted")
    ticket.begin(handle.id, number, at: sequence)
    ticket.acceptedAfter = lastRequest
    if let other = mapTicketByID[handle.id], other !== ticket {
      fail("\(handle.id) names the maps \(other.marker) and \(ticket.marker)")
    }
    mapTicketByID[handle.id] = ticket
  }

  private func refused(_ ticket: MapTicket, _ code: String) {
    note("map refused: \(code)")
    switch code {
    case "read_only": ticket.wasRefusedUnwritten = true
    case "draining", "queue_full", "pool_not_running": break
    default: fail("map \(ticket.marker) is refused: \(code)")
    }
  }

  private func hearOfOther(_ response: HTTPResponse, _ ticket: MapTicket) {
    guard response.status == 200 || response.status == 202 else {
      if response.status == 422 { note("map mismatch") }
      // It may be what a crash leaves.
      if Handle.problemCode(response.bytes) == "read_only" { ticket.wasRefusedUnwritten = true }
      return
    }
    if ticket.standing == .accepted, !mayBeDropped(ticket) {
      return fail("another payload is accepted under the names of map \(ticket.marker)")
    }
    ticket.standing = .unsure
    ticket.isAnother(nil)
  }

  // MARK: Handles

  private func hear(of ticket: MapTicket, _ response: HTTPResponse) {
    guard let handle = MapHandle.read(response.bytes) else { return fail("no handle of a map") }
    guard let tag = response.tag else { return fail("a map without an entity tag") }
    // Lines that came are known from the first time on that their map is shown.
    if ticket.isStreamed, ticket.standing == .unsure || ticket.standing == .none,
      self.number(of: ticket) == tag.number
    {
      accept(ticket, handle)
    }
    hear(of: ticket, handle, tag, response.bytes)
  }

  /// A handle may only tell what follows from what was told before.
  private func hear(
    of ticket: MapTicket, _ handle: MapHandle, _ tag: (number: JobNumber, version: UInt32),
    _ body: [UInt8]
  ) {
    judge(handle)
    guard ticket.standing == .accepted, ticket.id == handle.id, ticket.number == tag.number else {
      return
    }
    let name = "map \(handle.id), \(ticket.tag)"
    if handle.state == "cancelled", !ticket.isCancelAsked { fail("\(name) is cancelled by itself") }
    if handle.isFinal, handle.state != "cancelled", ticket.cancelledAt != nil {
      fail("\(name) was told to be cancelled, and is \(handle.state)")
    }
    if ticket.wholeAt != nil, handle.total != ticket.items.count { fail("\(name) loses items") }
    let wasSkipped = ticket.isCancelAsked || ticket.isChunkCancelAsked
    if handle.items.skipped > 0, handle.items.failed == 0, !wasSkipped {
      fail("\(name): items are skipped for nothing")
    }
    var new = MapTicket.Told(
      version: tag.version, handle: handle, body: handle.isFinal ? body : nil, sequence: sequence)
    if let told = ticket.told {
      if tag.version < told.version {
        fail("\(name): version \(tag.version) after \(told.version)")
      }
      if handle.done < told.handle.done { fail("\(name): fewer items are done than were") }
      if handle.items.succeeded < told.handle.items.succeeded { fail("\(name): loses a value") }
      if let before = told.body {
        if before != body { fail("\(name) is final, and changed its handle") }
        // What is told again was known before.
        new.sequence = told.sequence
      }
    }
    ticket.told = new
  }

  /// What every handle of a map must be like.
  private func judge(_ handle: MapHandle) {
    let (items, name) = (handle.items, "map \(handle.id)")
    if handle.isReady != handle.isFinal { fail("\(name) is \(handle.state), and is ready or not") }
    if items.done != handle.done { fail("\(name): what is done does not add up") }
    if handle.isFinal {
      if items.queued + items.running > 0 { fail("\(name) is final, and has open items") }
      if handle.total != items.all { fail("\(name): its items are not all") }
    } else if let total = handle.total, items.all > total {
      fail("\(name) has more items than it was given")
    }
    let isFlawed = items.failed + items.skipped > 0 || handle.errorCode != nil
    if handle.state == "succeeded", isFlawed { fail("\(name) succeeded in part") }
    if handle.state == "failed", !isFlawed { fail("\(name) failed, and nothing of it did") }
  }

  private func hearMapList(_ response: HTTPResponse) {
    guard response.status == 200 else {
      if response.status != 503 { fail("a list of maps is answered \(response.status)") }
      return
    }
    guard let handles = MapHandle.readMany(response.bytes) else { return fail("no list of maps") }
    if Set(handles.map(\.id)).count != handles.count { fail("a map stands in the list twice") }
    for handle in handles { judge(handle) }
  }

  private func hearChunks(_ response: HTTPResponse, _ ticket: MapTicket) {
    guard response.status == 200 else {
      if response.status != 503 { fail("a list of chunks is answered \(response.status)") }
      return
    }
    guard let handles = Handle.readMany(response.bytes) else { return fail("no list of chunks") }
    if Set(handles.map(\.id)).count != handles.count { fail("a chunk stands in the list twice") }
    for handle in handles where handle.attempt > ticket.attemptsMax {
      fail("a chunk of \(ticket.tag) is at attempt \(handle.attempt)")
    }
  }

  private func hearOfChunk(_ response: HTTPResponse, _ statuses: [Int]) {
    guard !statuses.contains(response.status), ![404, 410, 503].contains(response.status) else {
      return
    }
    fail("a chunk is answered \(response.status)")
  }

  /// There is no map to show, or the service cannot say at the moment.
  private func hearOfNone(_ response: HTTPResponse, _ ticket: MapTicket) {
    switch response.status {
    case 410:
      if mustBeThere(ticket) { fail("map \(ticket.marker) is gone, and nobody dropped it") }
    case 404:
      if ticket.acceptedAfter < heardRequest,
        ticket.standing == .accepted || ticket.standing == .dropped
      {
        fail("map \(ticket.marker) was never heard of, says the service")
      }
    case 503: break
    default: fail("a request for map \(ticket.marker) is answered \(response.status)")
    }
  }

  // MARK: Results

  private func hearResult(_ response: HTTPResponse, _ ticket: MapTicket) {
    let told = ticket.standing == .accepted ? ticket.told?.handle : nil
    switch response.status {
    case 200:
      let text = String(decoding: response.allBytes, as: UTF8.self)
      // Of lines there may be fewer than were sent.
      let count = ticket.wholeAt == nil ? World.elementCount(ofResult: text) : ticket.items.count
      if ticket.standing == .accepted,
        text != World.result(ofItems: Array(ticket.items.prefix(count)))
      {
        fail("map \(ticket.marker) has another result")
      }
      if let told, told.isFinal, told.state != "succeeded" { fail("\(ticket.tag): a late result") }
      note("result of map heard")
    case 424:
      if let told, told.isFinal, told.state == "succeeded" { fail("\(ticket.tag): no result") }
    case 409:
      if let told, told.isFinal { fail("\(ticket.tag) was final, and is not ready") }
    case 410:
      let isReleased = number(of: ticket).flatMap { world.books[$0] }
        .map { $0.isReleased(line: 0, in: .input) || $0.chunks.contains(where: \.isReleased) }
      if isReleased != true { hearOfNone(response, ticket) } else { note("result of map gone") }
    default: hearOfNone(response, ticket)
    }
  }

  private func hearRead(_ response: HTTPResponse, _ read: MapRead) {
    if response.status == 200, case .stream(let body) = response.body {
      guard let map = read.map else { return fail("results of a map that is not there") }
      note("reader")
      return readers.append(SimulatedReader(read, map, body))
    }
    let book = read.map.flatMap { world.books[$0] }
    if response.status == 410, book?.isReleased(line: read.line, in: read.order) == true {
      return note("results gone at once")
    }
    hearOfNone(response, read.ticket)
  }

  /// A line of results.
  func hear(_ text: [UInt8], _ reader: SimulatedReader) {
    guard let line = ResultLine.read(text) else {
      return fail("no line of results: \(String(decoding: text, as: UTF8.self))")
    }
    let name = "\(reader.ticket.tag), line \(reader.line) by \(reader.order)"
    if reader.last != nil { return fail("\(name) comes after the last") }
    if line.isWhole != nil {
      reader.last = line
      return
    }
    guard let index = line.index else { return fail("\(name) is of no item") }
    defer { reader.line += 1 }
    if !reader.seen.insert(index).inserted { fail("\(name): item \(index) comes twice") }
    // Of a map that was dropped meanwhile only its client knows.
    if let book = world.books[reader.map], book.line(reader.line, in: reader.order) != line {
      let expected = book.line(reader.line, in: reader.order)
      fail("\(name) is \(line), not \(expected.map { "\($0)" } ?? "there yet")")
    }
    hear(line, of: reader.ticket, reader, name)
  }

  private func hear(
    _ line: ResultLine, of ticket: MapTicket, _ reader: SimulatedReader, _ name: String
  ) {
    guard ticket.standing == .accepted, ticket.number == reader.map, let index = line.index else {
      return
    }
    guard index < ticket.items.count else { return fail("\(name) is of item \(index)") }
    if case .value(let value) = line.outcome, value != World.result(of: ticket.items[index]) {
      fail("\(name) has a wrong value")
    }
    if line.outcome == .error("timed_out"), !ticket.canTimeOut { fail("\(name): without a limit") }
    if let told = ticket.lines[index], told.line != line { fail("\(name) was \(told.line)") }
    let new = MapTicket.ToldLine(line: line, sequence: sequence)
    if ticket.lines[index] == nil { ticket.lines[index] = new }
    guard reader.order == .completion else { return }
    if let told = ticket.completed[reader.line], told.line != line {
      fail("\(name) was \(told.line)")
    }
    if ticket.completed[reader.line] == nil { ticket.completed[reader.line] = new }
  }

  /// A stream of results is over.
  func hearEnd(of reader: SimulatedReader, isWhole: Bool, isTorn: Bool) {
    let name = "\(reader.ticket.tag) by \(reader.order) from \(reader.firstLine)"
    let book = world.books[reader.map]
    if isTorn { fail("\(name) ends within a line") }
    guard isWhole else {
      if reader.last != nil {
        note("results gone")
        if book?.isReleased(line: reader.line, in: reader.order) == false {
          fail("\(name) is cut for results that are there")
        }
      } else {
        note("results cut")
        if book != nil { fail("\(name) is cut for nothing") }
      }
      return
    }
    guard let last = reader.last, last.isWhole == true else { return fail("\(name) has no end") }
    note("results read to the end")
    guard let book else { return }
    let counts = book.counts
    if last.counts != counts || !book.isFinal { fail("\(name) ends with \(last.counts)") }
    let expected = max(book.itemCount - reader.firstLine, 0)
    if reader.seen.count != expected {
      fail("\(name): \(reader.seen.count) lines, not \(expected)")
    }
  }
}

extension HTTPResponse {
  /// All of a body, also of one that is produced over time.
  fileprivate var allBytes: [UInt8] {
    guard case .stream(let stream) = body else { return bytes }
    var all: [UInt8] = []
    while case let piece = stream.source.take(atMost: .max), !piece.isEmpty { all += piece }
    return stream.source.state == .finished ? all : []
  }
}
