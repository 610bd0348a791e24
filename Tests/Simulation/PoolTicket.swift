import JSON
import JobCore

/// One pool that a client asked for, and all that was told about it. It knows nothing else.
final class PoolTicket {
  /// Added to the mark of a ticket, it is what the pool has as its calls per worker: so that it is
  /// known whose pool one of a name is.
  static let callsBase = 1_000_000
  /// The same for another payload under the same key.
  static let otherCallsBase = 2_000_000

  let marker: Int
  let key: String?
  let template: String?
  let processes: Int
  /// In seconds; nil: none.
  let idleTimeout: Int?
  /// Whether the client left the name to the service.
  let isNamed: Bool
  /// What the client asked for, or was told; nil: it does not know it.
  private(set) var name: String?

  /// `dropped` is not used: a pool that has ended stays for as long as it likes.
  var standing = Ticket.Standing.none
  var timesSent = 0
  var acceptedAt: UInt64 = 0
  /// The newest request when it was accepted.
  var acceptedAfter = 0
  /// Whether another payload was sent under its key.
  var isContested = false
  /// Whether anybody asked to close, or to terminate, a pool of its name since it was asked for.
  var isEndAsked = false
  /// The newest record that was decided when the end was told to be under way; nil: it was not.
  var endedAt: UInt64?
  var terminatedAt: UInt64?
  /// How many changes have no answer yet.
  var changesOut = 0
  /// How many there were, and how many when it was last asked for.
  var changesSent = 0
  var changesAtSend = 0
  /// What those that have no answer yet ask for, and whether one of them may be without effect.
  var wanted = PoolWish.Change()
  var isChangeUnsure = false
  /// What it was told to be; nil: who knows.
  var toldProcesses: (count: Int, sequence: UInt64)?
  var toldPaused: (isPaused: Bool, sequence: UInt64)?

  init(marker: Int, _ chance: Chance) {
    self.marker = marker
    key = chance.percent(50) ? "pool-key-\(marker)" : nil
    template = chance.pick([nil, nil, "default", "side"])
    processes = chance.within(1...3)
    idleTimeout = chance.percent(15) ? chance.pick([1, 5, 60]) : nil
    isNamed = chance.percent(80)
    name = isNamed ? PoolTicket.name(chance) : nil
  }

  /// One of a few, so that each is used again and again.
  static func name(_ chance: Chance) -> String { "p\(chance.within(1...4))" }

  /// Whether it may be over without anybody having asked for that.
  var endsByItself: Bool { idleTimeout != nil }

  /// Whether it must be there, and run.
  var mustRun: Bool { standing == .accepted && !isEndAsked && !endsByItself && !isContested }

  /// The body of the request; another payload under the same key with `isOther`.
  func body(isOther: Bool = false) -> String {
    let calls = marker + (isOther ? PoolTicket.otherCallsBase : PoolTicket.callsBase)
    var members = [#""processes":\#(processes)"#, #""maxtasksperchild":\#(calls)"#]
    if isNamed, let name { members.append(#""name":"\#(name)""#) }
    if let template { members.append(#""template":"\#(template)""#) }
    if let idleTimeout { members.append(#""idle_timeout":\#(idleTimeout)"#) }
    return "{\(members.joined(separator: ","))}"
  }

  /// A pool was created for it, perhaps after an earlier one was over.
  func begin(_ name: String, at sequence: UInt64, after request: Int, isEndUnderWay: Bool) {
    self.name = name
    standing = .accepted
    (acceptedAt, acceptedAfter) = (sequence, request)
    isEndAsked = isEndUnderWay
    (endedAt, terminatedAt) = (nil, nil)
    if changesOut > 0 { isChangeUnsure = true }
    toldProcesses = changesOut == 0 ? (processes, sequence) : nil
    toldPaused = changesOut == 0 ? (false, sequence) : nil
  }

  /// Somebody asks for a change of a pool of its name.
  func asks(for change: PoolWish.Change) {
    changesOut += 1
    changesSent += 1
    if let processes = change.processes { (wanted.processes, toldProcesses) = (processes, nil) }
    if let isPaused = change.isPaused { (wanted.isPaused, toldPaused) = (isPaused, nil) }
  }

  /// A change is answered. Answers need not come in order, as some are held back.
  func hears(ofChange isMade: Bool, at sequence: UInt64) {
    changesOut = max(changesOut - 1, 0)
    if !isMade { isChangeUnsure = true }
    guard changesOut == 0 else { return }
    if !isChangeUnsure {
      if let processes = wanted.processes { toldProcesses = (processes, sequence) }
      if let isPaused = wanted.isPaused { toldPaused = (isPaused, sequence) }
    }
    (wanted, isChangeUnsure) = (PoolWish.Change(), false)
  }

  /// The answer to a request for it is lost, or says nothing.
  func isAskedForInVain() {
    guard !mustRun else { return }
    standing = .unsure
    (endedAt, terminatedAt) = (nil, nil)
  }

  /// The power failed, and what came after this record was not promised to survive.
  func rollBack(to sequence: UInt64) {
    if standing == .accepted, acceptedAt > sequence { standing = .unsure }
    if let endedAt, endedAt > sequence { self.endedAt = nil }
    if let terminatedAt, terminatedAt > sequence { self.terminatedAt = nil }
    if let told = toldProcesses, told.sequence > sequence { toldProcesses = nil }
    if let told = toldPaused, told.sequence > sequence { toldPaused = nil }
  }
}

/// What a client reads of a pool's handle.
struct PoolHandle {
  var name = ""
  var state = ""
  var isPaused = false
  var processes = 0
  var callsPerWorkerMax: Int?

  /// The mark of the ticket that it was created for.
  var marker: Int? {
    callsPerWorkerMax.map {
      $0 - ($0 > PoolTicket.otherCallsBase ? PoolTicket.otherCallsBase : PoolTicket.callsBase)
    }
  }

  var isEnding: Bool { ["closing", "terminating", "joined"].contains(state) }

  static func read(_ body: [UInt8]) -> PoolHandle? {
    try? JSONReader.read(body) { (json) throws(JSONError) in try read(&json) }
  }

  /// Reads `{"pools":[…]}`.
  static func readMany(_ body: [UInt8]) -> [PoolHandle]? {
    try? JSONReader.read(body) { (json) throws(JSONError) in
      var handles: [PoolHandle] = []
      try json.beginObject()
      while let name = try json.nextMember() {
        guard name == "pools" else {
          try json.skipValue()
          continue
        }
        try json.beginArray()
        while try json.nextElement() { handles.append(try read(&json)) }
      }
      return handles
    }
  }

  private static func read(_ json: inout JSONReader) throws(JSONError) -> PoolHandle {
    var handle = PoolHandle()
    try json.beginObject()
    while let name = try json.nextMember() {
      switch name {
      case "name": handle.name = try json.readString()
      case "state": handle.state = try json.readString()
      case "paused": handle.isPaused = try json.readBool()
      case "processes": handle.processes = try json.readInt()
      case "maxtasksperchild": handle.callsPerWorkerMax = try json.readInt()
      default: try json.skipValue()
      }
    }
    return handle
  }
}
