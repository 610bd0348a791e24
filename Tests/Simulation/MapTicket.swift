import JobCore

/// One map of a client, and all that was told about it. It knows nothing else.
final class MapTicket {
  /// What was told of the map last.
  struct Told {
    /// At least this.
    var version: UInt32
    var handle: MapHandle
    /// Of a final one, the whole answer to a request for the handle.
    var body: [UInt8]?
    /// The newest record that was decided when it was told.
    var sequence: UInt64
  }

  /// A line that was told, and the newest record that was decided then.
  struct ToldLine {
    let line: ResultLine
    let sequence: UInt64
  }

  let marker: Int
  /// One item a line; or else one document.
  let isStreamed: Bool
  let items: [String]
  let chunkSize: Int?
  /// Chunks that may be out in any case; for lines.
  let bufferSize: Int?
  let isStar: Bool
  let key: String?
  let clientID: String?
  let attemptsMax: Int
  let timeout: String?
  let failsOnInterrupt: Bool
  let pool: String?
  /// Spaces that make the document another text of the same JSON.
  let space: String

  var standing = Ticket.Standing.none
  var id: String?
  var number: MapNumber?
  /// The newest record when all its items were acknowledged; nil: they were not.
  var wholeAt: UInt64?
  /// Whether another payload was sent under its names.
  var isContested = false
  var told: Told?
  /// What readers were told, by the index of the item, and by the line in order of completion.
  var lines: [Int: ToldLine] = [:]
  var completed: [Int: ToldLine] = [:]
  var timesSent = 0
  /// Of a map of lines, how many a service was handed at most.
  var linesSent = 0
  var acceptedAt: UInt64 = 0
  var acceptedAfter = 0
  var droppedAt: UInt64 = 0
  var isCancelAsked = false
  /// Whether a chunk of it was cancelled by itself.
  var isChunkCancelAsked = false
  var cancelledAt: UInt64?
  var isDropAsked = false
  /// Whether a request of it was given up that may still be decided.
  var mayCome = false
  var wasRefusedUnwritten = false

  init(marker: Int, isStreamed: Bool, pool: String? = nil, _ chance: Chance) {
    self.marker = marker
    self.isStreamed = isStreamed
    let count = isStreamed ? chance.pick([0, 3, 12, 30]) : chance.pick([0, 1, 4, 9])
    let isLarge = chance.percent(2)
    let isPadded = isStreamed && chance.percent(40)
    items = (0..<chance.within(0...3) + count).map { index in
      // The third number is how much longer the value is.
      if isLarge { return "[\(marker),\(index),\(chance.pick([900, 9_000, 40_000]))]" }
      return isPadded ? "[\(marker),\(index),\(chance.below(300))]" : "[\(marker),\(index)]"
    }
    chunkSize = chance.percent(70) ? chance.within(1...4) : nil
    bufferSize = chance.percent(60) ? chance.within(1...8) : nil
    isStar = chance.percent(30)
    key = chance.percent(40) ? "map-\(marker)" : nil
    clientID = chance.percent(isStreamed ? 85 : 30) ? "m-\(marker)" : nil
    attemptsMax = chance.pick([1, 1, 1, 2, 3])
    timeout = chance.percent(15) ? "0.\(chance.within(1...3))" : nil
    failsOnInterrupt = chance.percent(15)
    self.pool = pool
    space = chance.percent(30) ? " " : ""
  }

  var tag: String { "m\(marker)" }
  var isRepeatable: Bool { key != nil || clientID != nil }
  var canTimeOut: Bool { timeout != nil }
  /// The id that it has, or will have.
  var name: String? { id ?? clientID }
  /// The whole result.
  var result: String { World.result(ofItems: items) }

  /// What another payload under the same names has.
  var otherItems: [String] { items.map { "[-" + $0.dropFirst() } + ["[-\(marker)]"] }

  /// The document; another payload under the same names with `isOther`.
  func body(isOther: Bool = false) -> String {
    var members = [#""task":"work""#, #""tags":["\#(tag)"]"#]
    let items = isOther ? otherItems : items
    members.append("\"items\":[\(items.joined(separator: "\(space),\(space)"))\(space)]")
    if let chunkSize { members.append("\"chunksize\":\(chunkSize)") }
    if isStar { members.append("\"star\":true") }
    if let clientID { members.append("\"id\":\"\(clientID)\"") }
    if attemptsMax > 1 { members.append("\"max_attempts\":\(attemptsMax)") }
    if let timeout { members.append("\"timeout\":\(timeout)") }
    if failsOnInterrupt { members.append("\"on_interrupt\":\"fail\"") }
    if let pool { members.append("\"pool\":\"\(pool)\"") }
    return "{\(space)\(members.joined(separator: ","))}"
  }

  /// The same for the query of a request with one item a line.
  var query: [String] {
    var query = ["task=work", "tags=\(tag)"]
    if let chunkSize { query.append("chunksize=\(chunkSize)") }
    if let bufferSize { query.append("buffersize=\(bufferSize)") }
    if isStar { query.append("star=true") }
    if let clientID { query.append("id=\(clientID)") }
    if attemptsMax > 1 { query.append("max_attempts=\(attemptsMax)") }
    if let timeout { query.append("timeout=\(timeout)") }
    if failsOnInterrupt { query.append("on_interrupt=fail") }
    if let pool { query.append("pool=\(pool)") }
    return query
  }

  /// A new map was accepted under these names, after the one before was dropped.
  func begin(_ id: String, _ number: MapNumber?, at sequence: UInt64) {
    standing = .accepted
    self.id = id
    isAnother(number)
    acceptedAt = sequence
  }

  /// Its names are those of another map now, of which nothing was told.
  func isAnother(_ number: MapNumber?) {
    self.number = number
    wholeAt = nil
    told = nil
    lines = [:]
    completed = [:]
    cancelledAt = nil
  }

  /// How many lines its reader has had, from the first on.
  func linesTold(in order: MapOrder) -> Int {
    var count = 0
    while (order == .input ? lines[count] : completed[count]) != nil { count += 1 }
    return count
  }

  /// The power failed, and what came after this record was not promised to survive.
  func rollBack(to sequence: UInt64) {
    if standing == .accepted, acceptedAt > sequence { standing = .unsure }
    if standing == .dropped, droppedAt > sequence { standing = .unsure }
    if let told, told.sequence > sequence { self.told = nil }
    if let cancelledAt, cancelledAt > sequence { self.cancelledAt = nil }
    if let wholeAt, wholeAt > sequence { self.wholeAt = nil }
    lines = lines.filter { $0.value.sequence <= sequence }
    completed = completed.filter { $0.value.sequence <= sequence }
  }
}
