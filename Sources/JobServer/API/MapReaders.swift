import DequeModule
import HTTPServer
import JSON
import JobCore

/// `GET /v1/maps/{id}/results`: results as they come, one a line, in either order.
///
/// A reader costs its buffer, however large the map is: it is a place in it, and what follows is
/// written when the client has taken what was before. One that stops reading stops here.
extension Server {
  func streamMapResults(
    _ request: HTTPRequest, _ later: () -> PendingResponse
  ) throws(Problem) -> HTTPAnswer {
    try requireQuery(request, ["order", "after"])
    let name = request.query.first("order") ?? MapOrder.input.rawValue
    guard let order = MapOrder(rawValue: name) else {
      throw Problem.invalid("?order= is input or completion; it was '\(name)'")
    }
    var line = 0
    if let text = request.query.first("after") {
      guard let count = Int(digits: text) else {
        throw Problem.invalid("?after= is how many lines were received; it was '\(text)'")
      }
      line = count
    }
    let map = try map(request)
    guard line >= map.firstLine(in: order) else {
      throw Problem(
        status: 410, code: .gone,
        detail: "the results before line \(map.firstLine(in: order)) were taken and are dropped")
    }
    // First, so that nobody reads whose answer is refused.
    guard undurable.isEmpty || engine.isWritable else { throw JobAnswers.readOnly }
    if line > 0, map.mayRelease {
      inbox.append(.resultsTaken(map.number, order, sent: 0, received: line))
      inputChanged(of: map.number)
    }
    return try speak(read(map.number, order, from: line), of: nil, later)
  }

  private func read(_ map: MapNumber, _ order: MapOrder, from line: Int) -> HTTPResponse {
    let body = ResponseStream()
    let unread = engine.limits.mapUnreadMax
    let trail = MapTrail(sentMax: unread, heldMax: unread, received: line)
    let reader = MapReader(map: map, order: order, line: line, body: body, trail)
    body.onWritable = { [unowned self, unowned reader] in
      reader.isFull = false
      feed(reader)
    }
    body.onClosed = { [unowned self, unowned reader] in mapReaders.remove(reader) }
    reader.attendance = attendance(of: map)
    mapReaders.add(reader)
    feed(reader)
    return HTTPResponse(
      status: 200, headers: ["Content-Type": "application/x-ndjson", "Cache-Control": "no-store"],
      stream: body)
  }

  /// A job, or a map, has changed: who reads the results of its map gets what there is.
  func mapChanged(_ number: JobNumber) {
    let map = engine.store[number].map { $0.options?.chunk?.map } ?? number
    guard let map else { return }
    inputChanged(of: map)
    for reader in mapReaders.all(of: map) { feed(reader) }
    guard waiters.count > 0, reading({ $0.store.isMap(map) }) else { return }
    // While the journal takes nothing, who waits goes on waiting for what can be told.
    if engine.isWritable || isDurable(map) { wake(map) }
  }

  /// Sends what there is, as far as the client takes it, and ends if no more can come.
  private func feed(_ reader: MapReader) {
    while !reader.isFull {
      guard let map = engine.store.map(reader.map) else { return end(reader, isWhole: false) }
      let places = map.places(in: reader.order)
      if let index = JobMap.index(ofItem: reader.line, in: places),
        let job = engine.store[places[index].job]
      {
        guard job.state.isFinal, isDurable(job.number) else { return }
        reader.send(job, places[index])
        guard reader.line == places[index].end else { continue }
        noteTaken(reader, map, job)
      } else if reader.line < map.lines(in: reader.order) {
        reader.sendGone()
        return end(reader, isWhole: false)
      } else {
        guard map.stage == .final, isDurable(map.number) else { return }
        reader.sendLast(of: map)
        return end(reader, isWhole: true)
      }
    }
  }

  private func noteTaken(_ reader: MapReader, _ map: JobMap, _ chunk: Job) {
    guard map.mayRelease else { return }
    reader.trail.end(before: reader.line, costing: chunk.retainedBytes + JobMap.chunkOverhead)
    inbox.append(
      .resultsTaken(
        map.number, reader.order, sent: reader.line, received: reader.trail.received))
    inputChanged(of: map.number)
  }

  private func end(_ reader: MapReader, isWhole: Bool) {
    mapReaders.remove(reader)
    if isWhole { reader.body.finish() } else { reader.body.fail() }
  }
}

extension JobMap {
  /// Chunks in an order, those that have ended in that of completion.
  func places(in order: MapOrder) -> Deque<Place> { order == .input ? chunks : ended }

  /// Lines that there are in an order, sooner or later at least.
  func lines(in order: MapOrder) -> Int { order == .input ? items.all : items.done }

  /// Whether its chunks may be dropped before it.
  fileprivate var mayRelease: Bool { statedTotal == nil && stage == .taking }

  /// The first line in an order that is held.
  func firstLine(in order: MapOrder) -> Int {
    places(in: order).first?.first ?? (releasedChunks > 0 ? lines(in: order) : 0)
  }
}

/// A client that reads results of a map as they come.
final class MapReader {
  /// Bytes that are written at a time.
  private static let pieceBytes = 32 << 10

  let map: MapNumber
  let order: MapOrder
  /// How many lines it has had.
  var line: Int
  /// Whether the client has to take something before it is sent more.
  var isFull = false
  let body: ResponseStream
  /// What keeps its pool from being ended meanwhile.
  var attendance: Attendance?
  /// What it was sent lately.
  var trail: MapTrail
  /// Where the value of that line begins in the text of its chunk; 0: not known.
  private var offset = 0
  private var writer = JSONWriter()

  init(
    map: MapNumber, order: MapOrder, line: Int, body: ResponseStream, _ trail: MapTrail
  ) {
    self.map = map
    self.order = order
    self.line = line
    self.body = body
    self.trail = trail
  }

  /// Sends the next lines of a chunk that has ended, until it is through or the buffer is full.
  func send(_ job: Job, _ place: JobMap.Place) {
    guard let chunk = job.options?.chunk else { preconditionFailure("it is no chunk") }
    let end = place.end
    // The item of a line.
    let shift = chunk.first - place.first
    while line < end, !isFull {
      writer.removeAll()
      switch job.ending {
      case .result(let text): sendValues(text, place.first..<end, shift)
      case .error(let error):
        let failed = place.first + (error.item ?? 0)
        if line < failed, let values = error.values {
          sendValues(values, place.first..<failed, shift)
        } else {
          sendErrors(error, failed, upTo: end, shift)
        }
      case .none, .bytes: sendSkipped(upTo: end, shift)
      }
      trail.send(writer.count)
      isFull = !body.write(writer.bytes)
    }
    if line == end { offset = 0 }
    if writer.bytes.capacity > 4 * MapReader.pieceBytes { writer = JSONWriter() }
  }

  /// Sends values of an array, of which `lines` are the lines.
  private func sendValues(_ text: String, _ lines: Range<Int>, _ shift: Int) {
    var text = text
    text.withUTF8 { bytes in
      var elements = JSONElements(bytes, from: max(offset, 1))
      if offset == 0 {
        for _ in lines.lowerBound..<line { _ = elements.next() }
      }
      while line < lines.upperBound, writer.count < MapReader.pieceBytes {
        beginLine(shift)
        writer.raw(",\"value\":")
        // As many were counted when the chunk ended.
        if let value = elements.next() {
          writer.text(UnsafeBufferPointer(rebasing: bytes[value]))
        } else {
          writer.raw("null")
        }
        endLine()
      }
      offset = line < lines.upperBound ? elements.nextOffset : 0
    }
  }

  /// Sends the error of a chunk for the item that failed, or for all if nobody knows which it was.
  private func sendErrors(_ error: JobError, _ failed: Int, upTo end: Int, _ shift: Int) {
    if error.item != nil, line > failed { return sendSkipped(upTo: end, shift) }
    let end = error.item == nil ? end : failed + 1
    while line < end, writer.count < MapReader.pieceBytes {
      beginLine(shift)
      writer.raw(",\"error\":")
      HandleWriter.write(error, to: &writer)
      endLine()
    }
  }

  private func sendSkipped(upTo end: Int, _ shift: Int) {
    while line < end, writer.count < MapReader.pieceBytes {
      beginLine(shift)
      writer.raw(#","error":{"code":"skipped"}"#)
      endLine()
    }
  }

  private func beginLine(_ shift: Int) {
    writer.raw("{\"index\":")
    writer.integer(line + shift)
  }

  private func endLine() {
    writer.raw("}\n")
    line += 1
  }

  /// Sends the line that ends a whole stream.
  func sendLast(of map: JobMap) {
    writer.removeAll()
    writer.beginObject()
    writer.member("done", bool: true)
    writer.member("succeeded", integer: map.items.succeeded)
    writer.member("failed", integer: map.items.failed)
    if map.items.skipped > 0 { writer.member("skipped", integer: map.items.skipped) }
    if let error = map.inputError {
      writer.name("error")
      MapAnswers.write(error, to: &writer)
    } else if map.isCancelRequested {
      writer.name("error")
      MapAnswers.write(InputError(.cancelled, "the map was cancelled"), to: &writer)
    }
    writer.endObject()
    writer.raw("\n")
    body.write(writer.bytes)
  }

  /// Sends the line that ends a stream whose next results another reader has taken.
  func sendGone() {
    writer.removeAll()
    writer.raw(
      #"{"done":false,"error":{"code":"gone","message":"another reader has taken what follows"}}"#)
    writer.raw("\n")
    body.write(writer.bytes)
  }
}

/// Who reads the results of which map.
struct MapReaders {
  private var readers: [MapNumber: [MapReader]] = [:]

  var isEmpty: Bool { readers.isEmpty }

  func all(of map: MapNumber) -> [MapReader] { readers.isEmpty ? [] : readers[map] ?? [] }

  mutating func add(_ reader: MapReader) {
    readers[reader.map, default: []].append(reader)
  }

  mutating func remove(_ reader: MapReader) {
    readers[reader.map]?.removeAll { $0 === reader }
    if readers[reader.map]?.isEmpty == true { readers[reader.map] = nil }
  }
}
