import HTTPServer
import JSON
import JobCore

/// What a client reads of a job's handle.
struct Handle {
  var id = ""
  var state = ""
  var attempt = 0
  var attemptsMax = 0
  var interruptions = 0
  var result: String?
  var errorCode: String?
  var isReplay = false
  /// Whether it stands for a problem of one of several.
  var isProblem = false

  var isFinal: Bool { ["succeeded", "failed", "cancelled"].contains(state) }

  /// Reads one handle.
  static func read(_ body: [UInt8]) -> Handle? {
    try? JSONReader.read(body) { (json) throws(JSONError) in try Handle.read(&json) }
  }

  /// Reads `{"jobs":[…]}`.
  static func readMany(_ body: [UInt8]) -> [Handle]? {
    try? JSONReader.read(body) { (json) throws(JSONError) in
      var handles: [Handle] = []
      try json.beginObject()
      while let name = try json.nextMember() {
        guard name == "jobs" else {
          try json.skipValue()
          continue
        }
        try json.beginArray()
        while try json.nextElement() { handles.append(try Handle.read(&json)) }
      }
      return handles
    }
  }

  static func read(_ json: inout JSONReader) throws(JSONError) -> Handle {
    var handle = Handle()
    try json.beginObject()
    while let name = try json.nextMember() {
      switch name {
      case "id": handle.id = try json.readString()
      case "state": handle.state = try json.readString()
      case "attempt": handle.attempt = try json.readInt()
      case "max_attempts": handle.attemptsMax = try json.readInt()
      case "interruptions": handle.interruptions = try json.readInt()
      case "result": handle.result = try json.readText()
      case "idempotent_replayed": handle.isReplay = try json.readBool()
      case "error": handle.errorCode = try readCode(&json)
      default: try json.skipValue()
      }
    }
    handle.isProblem = handle.state.isEmpty
    return handle
  }

  static func readCode(_ json: inout JSONReader) throws(JSONError) -> String {
    var code = ""
    try json.beginObject()
    while let name = try json.nextMember() {
      if name == "code" { code = try json.readString() } else { try json.skipValue() }
    }
    return code
  }

  /// The code of a problem.
  static func problemCode(_ body: [UInt8]) -> String? {
    try? JSONReader.read(body) { (json) throws(JSONError) in try readCode(&json) }
  }
}

extension HTTPResponse {
  /// The bytes that a client gets.
  var bytes: [UInt8] {
    switch body {
    case .bytes(let bytes): bytes
    case .constant(let text):
      Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    case .stream: []
    }
  }

  /// The job's number and version, as the entity tag of a handle has them.
  var tag: (number: JobNumber, version: UInt32)? {
    guard let tag = headers.values(of: "ETag").first else { return nil }
    let parts = tag.split(separator: "\"").first?.split(separator: "-") ?? []
    guard parts.count >= 2, let number = JobNumber(parts[0]), let version = UInt32(parts[1]) else {
      return nil
    }
    return (number, version)
  }
}
