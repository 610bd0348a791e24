@testable import JobCore

/// What the records have said of one map, in the books of somebody who is not the engine.
struct MapBook {
  /// One of its chunks.
  struct Chunk {
    let job: JobNumber
    let first: Int
    let items: [String]
    /// What it weighs as its map's bound counts it.
    var bytes: Int
    var isRunning = false
    var outcome: Outcome?
    var isReleased = false

    var count: Int { items.count }

    /// What has become of its items.
    var counts: ItemCounts {
      var counts = ItemCounts()
      switch outcome {
      case nil where isRunning: counts.running = count
      case nil: counts.queued = count
      case .succeeded, .succeededWithBytes: counts.succeeded = count
      case .cancelled: counts.skipped = count
      case .failed(let error):
        (counts.succeeded, counts.failed) = error.item.map { ($0, 1) } ?? (0, count)
        counts.skipped = count - counts.succeeded - counts.failed
      }
      return counts
    }

    /// What a reader is to hear of the item at this place.
    func line(at place: Int) -> ResultLine? {
      var line = ResultLine(index: first + place)
      switch outcome {
      case nil, .succeededWithBytes: return nil
      case .succeeded: line.outcome = .value(World.result(of: items[place]))
      case .cancelled: line.outcome = .error("skipped")
      case .failed(let error):
        guard let item = error.item, place != item else {
          line.outcome = .error(error.code.rawValue)
          break
        }
        line.outcome = place < item ? .value(World.result(of: items[place])) : .error("skipped")
      }
      return line
    }
  }

  let created: MapCreated
  /// In the order of input.
  var chunks: [Chunk] = []
  /// Places in `chunks`, in the order in which they ended.
  var ended: [Int] = []
  var isInputOver = false
  var inputError: InputError?
  var isCancelRequested = false

  var isFinal: Bool { isInputOver && ended.count == chunks.count }
  var itemCount: Int { chunks.last.map { $0.first + $0.count } ?? 0 }
  var items: [String] { chunks.flatMap(\.items) }

  var counts: ItemCounts {
    var counts = ItemCounts()
    for chunk in chunks { counts += chunk.counts }
    return counts
  }

  /// What its chunks weigh that are held.
  var heldBytes: Int { chunks.reduce(0) { $0 + ($1.isReleased ? 0 : $1.bytes) } }

  /// The chunk that a line in this order is of, and the first line of that.
  func chunk(ofLine line: Int, in order: MapOrder) -> (chunk: Chunk, first: Int)? {
    var first = 0
    for place in 0..<(order == .input ? chunks.count : ended.count) {
      let chunk = chunks[order == .input ? place : ended[place]]
      if line < first + chunk.count { return (chunk, first) }
      first += chunk.count
    }
    return nil
  }

  /// What a reader is to hear as this line; nil: nothing yet.
  func line(_ line: Int, in order: MapOrder) -> ResultLine? {
    chunk(ofLine: line, in: order).flatMap { $0.chunk.line(at: line - $0.first) }
  }

  /// Whether what stands before this line is dropped, some of it at least, or this line.
  func isReleased(line: Int, in order: MapOrder) -> Bool {
    var first = 0
    for place in 0..<(order == .input ? chunks.count : ended.count) {
      let chunk = chunks[order == .input ? place : ended[place]]
      if chunk.isReleased, line < first + chunk.count { return true }
      first += chunk.count
    }
    return false
  }
}

/// The books of all maps. What a record says that cannot be is a problem.
struct MapBooks {
  private(set) var books: [MapNumber: MapBook] = [:]
  /// The map and the place in it of each chunk.
  private var places: [JobNumber: (map: MapNumber, place: Int)] = [:]
  /// Maps that records were about since it was last asked.
  private(set) var touched: Set<MapNumber> = []

  subscript(number: MapNumber) -> MapBook? { books[number] }

  /// The map of a chunk, and where it stands there.
  func chunk(_ job: JobNumber) -> (map: MapNumber, chunk: MapBook.Chunk)? {
    places[job].flatMap { place in
      books[place.map].map { (place.map, $0.chunks[place.place]) }
    }
  }

  mutating func takeTouched() -> [MapNumber] {
    defer { touched = [] }
    return touched.sorted()
  }

  /// Writes a record down. Names what is wrong with it.
  mutating func note(_ record: Record) -> String? {
    switch record {
    case .mapCreated(let created):
      guard books[created.number] == nil else { return "map \(created.number) comes twice" }
      books[created.number] = MapBook(created: created)
      touched.insert(created.number)
      return nil
    case .jobSubmitted(let submitted):
      return submitted.options?.chunk.flatMap { add(submitted, $0) }
    case .attemptStarted(let number, _, _):
      return change(number) { map, chunk in
        defer { chunk.isRunning = true }
        if map.isCancelRequested { return "a chunk of a cancelled map runs" }
        return chunk.outcome == nil ? nil : "a chunk runs that has ended"
      }
    case .attemptRevoked(let number, _), .attemptFailed(let number, _, _):
      return change(number) { _, chunk in
        chunk.isRunning = false
        return chunk.outcome == nil ? nil : "an attempt of a chunk that has ended"
      }
    case .jobEnded(let number, let outcome, _): return end(number, outcome)
    case .mapInputEnded(let number, let error, _):
      return change(map: number) { map in
        if map.isInputOver { return "the input of map \(number) ends twice" }
        map.isInputOver = true
        map.inputError = error
        let isShort = map.created.total.map { $0 != map.itemCount } ?? false
        return isShort && error == nil ? "map \(number) has too few items" : nil
      }
    case .mapCancelRequested(let number):
      return change(map: number) { map in
        map.isCancelRequested = true
        return nil
      }
    case .chunkReleased(let number):
      return change(number) { map, chunk in
        chunk.isReleased = true
        if map.created.total != nil { return "a chunk of a document is dropped" }
        return chunk.outcome == nil ? "a chunk is dropped that has not ended" : nil
      }
    case .mapForgotten(let number): return remove(number, mustBeFinal: true)
    case .mapWithdrawn(let number): return remove(number, mustBeFinal: false)
    case .jobForgotten(let number), .jobWithdrawn(let number):
      return places[number] == nil ? nil : "chunk \(number) goes without its map"
    case .jobQueued, .cancelRequested: return nil
    case .poolCreated, .poolResized, .poolPaused, .poolResumed, .poolClosed, .poolTerminated,
      .poolRemoved:
      return nil
    }
  }

  private mutating func add(_ submitted: JobSubmitted, _ place: ChunkPlace) -> String? {
    guard var map = books[place.map] else { return "a chunk of a map that is not there" }
    defer {
      books[place.map] = map
      places[submitted.number] = (place.map, map.chunks.count - 1)
      touched.insert(place.map)
    }
    let items = World.elements(of: submitted.args)
    let first = map.itemCount
    map.chunks.append(
      MapBook.Chunk(
        job: submitted.number, first: first, items: items,
        bytes: submitted.args.utf8.count + (submitted.options?.bytes ?? 0) + 512))
    if place.first != first || place.count != items.count || items.isEmpty {
      return "a chunk of map \(place.map) stands at a wrong place"
    }
    if map.created.chunkSize < items.count { return "a chunk of map \(place.map) is too large" }
    return map.isInputOver || map.isCancelRequested
      ? "map \(place.map) takes a chunk too many" : nil
  }

  private mutating func end(_ number: JobNumber, _ outcome: Outcome) -> String? {
    guard let (map, place) = places[number] else { return nil }
    touched.insert(map)
    guard var book = books[map] else { return "a chunk ends whose map is not there" }
    defer { books[map] = book }
    guard book.chunks[place].outcome == nil else { return "chunk \(number) ends twice" }
    book.chunks[place].isRunning = false
    book.chunks[place].outcome = outcome
    book.ended.append(place)
    switch outcome {
    case .succeeded(let text):
      book.chunks[place].bytes += text.utf8.count
      if text != World.result(ofItems: book.chunks[place].items) {
        return "chunk \(number) has a wrong result"
      }
    case .failed(let error):
      book.chunks[place].bytes += error.bytes
      let before = error.item.map { World.result(ofItems: Array(book.chunks[place].items[..<$0])) }
      if error.values != before { return "chunk \(number) failed with wrong values" }
    case .succeededWithBytes: return "a chunk with bytes"
    case .cancelled: break
    }
    return nil
  }

  private mutating func change(
    _ number: JobNumber, _ body: (MapBook, inout MapBook.Chunk) -> String?
  ) -> String? {
    guard let (map, place) = places[number], let book = books[map] else { return nil }
    touched.insert(map)
    return books[map].flatMap { _ in body(book, &books[map]!.chunks[place]) }
  }

  private mutating func change(
    map number: MapNumber, _ body: (inout MapBook) -> String?
  ) -> String? {
    guard var book = books[number] else { return "a record about map \(number), which is gone" }
    touched.insert(number)
    defer { books[number] = book }
    return body(&book)
  }

  private mutating func remove(_ number: MapNumber, mustBeFinal: Bool) -> String? {
    guard let book = books.removeValue(forKey: number) else { return "a map is dropped twice" }
    touched.insert(number)
    for chunk in book.chunks { places[chunk.job] = nil }
    return mustBeFinal && !book.isFinal ? "map \(number) is dropped and not final" : nil
  }

  // MARK: Comparing

  /// What is different in the state of the service.
  func differences(from store: JobStore, of number: MapNumber) -> [String] {
    guard let book = books[number], let map = store.map(number) else {
      let isSame = books[number] == nil && store.map(number) == nil
      return isSame ? [] : ["map \(number) is there, or not, against the records"]
    }
    var wrong: [String] = []
    func expect(_ holds: Bool, _ name: String) {
      if !holds { wrong.append("map \(number): \(name)") }
    }
    expect(map.items == book.counts, "counts \(map.items), not \(book.counts)")
    expect((map.stage == .final) == book.isFinal, "is \(map.stage)")
    expect(map.inputError == book.inputError, "ends with \(String(describing: map.inputError))")
    expect(map.isCancelRequested == book.isCancelRequested, "its cancel is forgotten, or made up")
    expect(map.heldBytes == book.heldBytes, "holds \(map.heldBytes), not \(book.heldBytes)")
    for chunk in book.chunks {
      guard let job = store[chunk.job] else {
        expect(chunk.isReleased, "chunk \(chunk.job) is lost")
        continue
      }
      expect(!chunk.isReleased, "chunk \(chunk.job) was dropped, and is there")
      expect(job.args == World.array(chunk.items), "chunk \(chunk.job) has other items")
      expect(
        job.ending == chunk.outcome?.ending ?? job.ending, "chunk \(chunk.job) ended otherwise")
      expect(job.state.isFinal == (chunk.outcome != nil), "chunk \(chunk.job) is \(job.state)")
    }
    let held = map.ended.map(\.job).filter { store[$0] != nil }
    let expected = book.ended.map { book.chunks[$0] }.filter { !$0.isReleased }.map(\.job)
    expect(held == expected, "ended in the order \(held), not \(expected)")
    return wrong
  }

  /// The same of all maps.
  func differences(from store: JobStore) -> [String] {
    var numbers = Set(books.keys)
    store.descendMaps(below: .max) { map in
      numbers.insert(map.number)
      return true
    }
    return numbers.sorted().flatMap { differences(from: store, of: $0) }
  }
}

extension Outcome {
  fileprivate var ending: Job.Ending {
    switch self {
    case .succeeded(let text): .result(text)
    case .succeededWithBytes(let bytes): .bytes(bytes)
    case .failed(let error): .error(error)
    case .cancelled: .none
    }
  }
}
