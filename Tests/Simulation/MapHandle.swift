import JSON
import JobCore

/// What a client reads of a map's handle.
struct MapHandle {
  var id = ""
  var state = ""
  var isReady = false
  var total: Int?
  var items = ItemCounts()
  /// As the handle says it.
  var done = 0
  var errorCode: String?

  var isFinal: Bool { ["succeeded", "failed", "cancelled"].contains(state) }

  /// Reads one handle.
  static func read(_ body: [UInt8]) -> MapHandle? {
    try? JSONReader.read(body) { (json) throws(JSONError) in try MapHandle.read(&json) }
  }

  /// Reads `{"maps":[…]}`.
  static func readMany(_ body: [UInt8]) -> [MapHandle]? {
    try? JSONReader.read(body) { (json) throws(JSONError) in
      var handles: [MapHandle] = []
      try json.beginObject()
      while let name = try json.nextMember() {
        guard name == "maps" else {
          try json.skipValue()
          continue
        }
        try json.beginArray()
        while try json.nextElement() { handles.append(try MapHandle.read(&json)) }
      }
      return handles
    }
  }

  private static func read(_ json: inout JSONReader) throws(JSONError) -> MapHandle {
    var handle = MapHandle()
    try json.beginObject()
    while let name = try json.nextMember() {
      switch name {
      case "id": handle.id = try json.readString()
      case "state": handle.state = try json.readString()
      case "ready": handle.isReady = try json.readBool()
      case "total":
        if try json.kind() == .null {
          try json.readNull()
        } else {
          handle.total = try json.readInt()
        }
      case "items": try handle.readItems(&json)
      case "error": handle.errorCode = try Handle.readCode(&json)
      default: try json.skipValue()
      }
    }
    return handle
  }

  private mutating func readItems(_ json: inout JSONReader) throws(JSONError) {
    try json.beginObject()
    while let name = try json.nextMember() {
      let count = try json.readInt()
      switch name {
      case "queued": items.queued = count
      case "running": items.running = count
      case "succeeded": items.succeeded = count
      case "failed": items.failed = count
      case "skipped": items.skipped = count
      case "done": done = count
      default: break
      }
    }
  }
}

/// One line of a stream of results.
struct ResultLine: Equatable {
  /// What became of an item.
  enum Outcome: Equatable {
    case value(String)
    case error(String)
  }

  /// Of a line about an item.
  var index: Int?
  var outcome: Outcome?
  /// Of the line that ends a stream: whether that is whole, and what it counts.
  var isWhole: Bool?
  var counts = ItemCounts()

  static func read(_ line: [UInt8]) -> ResultLine? {
    try? JSONReader.read(line) { (json) throws(JSONError) in
      var result = ResultLine()
      try json.beginObject()
      while let name = try json.nextMember() {
        switch name {
        case "index": result.index = try json.readInt()
        case "value": result.outcome = .value(try json.readText())
        case "error": result.outcome = .error(try Handle.readCode(&json))
        case "done": result.isWhole = try json.readBool()
        case "succeeded": result.counts.succeeded = try json.readInt()
        case "failed": result.counts.failed = try json.readInt()
        case "skipped": result.counts.skipped = try json.readInt()
        default: try json.skipValue()
        }
      }
      return result
    }
  }
}
