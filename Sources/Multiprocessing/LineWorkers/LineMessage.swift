import JSON

/// A message of a line worker, taken apart. The protocol is specified here:
///
/// Both sides write one JSON object a line; the member that is first here names it. The order of
/// the members means nothing, as in any JSON; this side writes them as they stand here. To the
/// worker:
///
///     {"setup":{"protocol":1,"pool":…,"slot":0,"initializer":…,"initargs":[…],"encoding":…,
///               "allow_main":…,"calls_max":…,"result_bytes_max":…,
///               "line_bytes_max":…}}                                    first, once
///     {"call":17,"task":"square","args":[7],"kwargs":{},…}              one at a time
///     {"call":18,"task":"square","items":[1,2],"star":false,…}          if it takes chunks
///     {"cancel":17}                                                     SIGTERM follows
///     {"stop":true}                                                     no more calls come
///
/// From the worker:
///
///     {"ready":{"protocol":1,"tasks":["square"],"language":…,"chunks":false,"dynamic":false}}
///     {"failed":{"type":…,"message":…,"traceback":…}}                   instead; then it exits
///     {"return":17,"value":49}
///     {"raise":17,"error":{"type":…,"message":…,…},"item":1,"values":[1]}
///     {"progress":17,"value":0.4,"message":"…"}
///     {"item":17,"value":…}
///     {"retiring":true}                                                 with its last answer
///
/// `calls_max` is how many calls it is given before `stop`; a chunk is one of them, also for a
/// worker to which its items come as calls. `result_bytes_max` is the longest result, and item of a
/// stream, in bytes of minified JSON: a longer result fails its call with `output_limit`, a longer
/// item is a fault.
///
/// A worker passes over messages that it does not know; it must not send any that is not here.
enum LineMessage: Equatable {
  case ready(LineWorkerReady)
  case failed(message: String)
  case returned(call: UInt64, value: String)
  /// `item` and `values`, a JSON array, are for a chunk.
  case raised(call: UInt64, error: LineError, item: Int?, values: String?)
  case progress(call: UInt64, value: String, message: String?)
  case item(call: UInt64, value: String)
  case retiring
  /// A result whose arrays and objects lie deeper than results may.
  case returnedTooDeep(call: UInt64)

  /// How many arrays and objects may lie within one another in a value.
  static let depthMax = 64
  /// The longest progress, in bytes of its value and its message together.
  static let progressBytesMax = 16 << 10
  /// The most tasks that a worker may name, and the longest name in bytes.
  static let tasksMax = 10_000
  static let taskBytesMax = 800

  /// What is wrong with a line.
  struct Fault: Error, Equatable {
    let reason: String
  }

  /// Reads a line. One whose name is its first member, as most write it, is read in one pass.
  static func read(_ line: UnsafeBufferPointer<UInt8>) throws(Fault) -> LineMessage {
    var parts: LineMessageParts?
    var isUnusual = false
    do {
      try JSONReader.read(line, depthMax: depthMax + 1) { (reader) throws(JSONError) in
        try reader.beginObject()
        guard let name = try reader.nextMember(),
          let kind = LineMessageParts.Kind(rawValue: name)
        else {
          isUnusual = true
          return
        }
        parts = LineMessageParts(kind)
        try parts?.readLeader(&reader)
        try parts?.readRest(&reader)
      }
    } catch {
      // One that is too deep may tell its name, and its call, behind that.
      if !isUnusual || error.reason != .tooDeep {
        return try message(of: parts, failed: error)
      }
    }
    if !isUnusual, let parts, !parts.hasAnotherName { return try message(of: parts) }
    return try readUnusual(line)
  }

  /// Reads a line whose name is not its first member, or that may have two: the name in one pass,
  /// what it says in a second one, the rest in a third.
  private static func readUnusual(
    _ line: UnsafeBufferPointer<UInt8>
  ) throws(Fault) -> LineMessage {
    var parts = LineMessageParts(try kind(of: line))
    do {
      // The call first, for a result that is too deep.
      try JSONReader.read(line, depthMax: .max) { (reader) throws(JSONError) in
        try reader.beginObject()
        while let member = try reader.nextMember() {
          if parts.isLeader(member) { try parts.readLeader(&reader) }
        }
      }
      try JSONReader.read(line, depthMax: depthMax + 1) { (reader) throws(JSONError) in
        try reader.beginObject()
        try parts.readRest(&reader)
      }
    } catch {
      return try message(of: parts, failed: error)
    }
    return try message(of: parts)
  }

  /// The name of a message, wherever it stands.
  private static func kind(
    of line: UnsafeBufferPointer<UInt8>
  ) throws(Fault) -> LineMessageParts.Kind {
    var names: [String] = []
    var others: [String] = []
    do {
      try JSONReader.read(line, depthMax: .max) { (reader) throws(JSONError) in
        try reader.beginObject()
        while let member = try reader.nextMember() {
          if LineMessageParts.Kind(rawValue: member) != nil {
            names.append(member)
          } else if others.count < 4 {
            others.append("'\(member.prefix(40))'")
          }
        }
      }
    } catch {
      throw Fault(reason: "a line that is not JSON: \(error)")
    }
    // The item of a chunk that raised is no name.
    if names.contains("raise") { names.removeAll { $0 == "item" } }
    guard names.count <= 1 else {
      throw Fault(
        reason: "a message with two names, '\(names[0])' and '\(names[1])', where one is expected")
    }
    guard let name = names.first, let kind = LineMessageParts.Kind(rawValue: name) else {
      let known = LineMessageParts.Kind.allCases.map { "'\($0.rawValue)'" }
      let found = others.isEmpty ? "none at all" : others.joined(separator: ", ")
      throw Fault(
        reason: "a message without a name: one of its members must be "
          + known.dropLast().joined(separator: ", ")
          + " or \(known.last ?? ""), and it has \(found)")
    }
    return kind
  }

  private static func message(of parts: LineMessageParts) throws(Fault) -> LineMessage {
    if let fault = parts.fault { throw Fault(reason: fault) }
    guard let message = parts.message else {
      throw Fault(reason: "a '\(parts.kind.rawValue)' that lacks its '\(parts.missing)'")
    }
    return message
  }

  /// What a line is whose reading ended with `error`.
  private static func message(
    of parts: LineMessageParts?, failed error: JSONError
  ) throws(Fault) -> LineMessage {
    switch error.reason {
    case .tooDeep:
      if let parts, let call = parts.returnedCall { return .returnedTooDeep(call: call) }
    case .wrongType, .notAnInteger, .numberOutOfRange: throw Fault(reason: "\(error)")
    default: break
    }
    throw Fault(reason: "a line that is not JSON: \(error)")
  }
}

/// What a worker is, as it says when it is ready.
struct LineWorkerReady: Equatable {
  var version = 0
  var tasks: [String] = []
  /// Whether it takes whole chunks.
  var takesChunks = false
  /// Whether it runs tasks that it does not name.
  var isDynamic = false
}

/// An error as a worker tells it.
struct LineError: Equatable {
  var code = ""
  var type = "Error"
  var message = ""
  var traceback: String?
  /// What the exception was made with, a JSON array.
  var args: String?
  var module: String?
  /// The exception itself, in base64.
  var pickle: String?
}

/// The members of a message as they are read.
struct LineMessageParts {
  /// The member that names the message.
  enum Kind: String, CaseIterable {
    case ready, failed, `return`, raise, progress, item, retiring
  }

  let kind: Kind
  private var call: UInt64?
  private var ready = LineWorkerReady()
  private var error: LineError?
  private var value: String?
  private var text: String?
  private var item: Int?
  private var values: String?
  private(set) var fault: String?
  /// Whether a further member names a message.
  private(set) var hasAnotherName = false

  init(_ kind: Kind) {
    self.kind = kind
  }

  /// Whether this member names the message.
  func isLeader(_ member: String) -> Bool { member == kind.rawValue }

  /// The call of a `return` that has been read so far.
  var returnedCall: UInt64? { kind == .return && fault == nil ? call : nil }

  /// Reads the value of the member that names the message.
  mutating func readLeader(_ reader: inout JSONReader) throws(JSONError) {
    switch kind {
    case .ready: try readReady(&reader)
    case .failed: error = try LineError.read(&reader)
    case .retiring: _ = try reader.readBool()
    case .return, .raise, .progress, .item:
      call = UInt64(exactly: try reader.readInt())
      if call == nil { fault = "a call with a negative number" }
    }
  }

  /// Reads the members but that one. Those that mean nothing are checked and passed over.
  mutating func readRest(_ reader: inout JSONReader) throws(JSONError) {
    while let member = try reader.nextMember() {
      switch (kind, member) {
      case (.return, "value"), (.progress, "value"), (.item, "value"):
        value = try reader.readText()
      case (.progress, "message"):
        if try reader.kind() == .null {
          try reader.readNull()
        } else {
          text = try reader.readString()
        }
      case (.raise, "error"): error = try LineError.read(&reader)
      case (.raise, "item"): item = try reader.readInt()
      case (.raise, "values"):
        guard try reader.kind() == .array else {
          fault = "values that are no array"
          return
        }
        values = try reader.readText()
      default:
        if Kind(rawValue: member) != nil { hasAnotherName = true }
        try reader.skipValue()
      }
    }
    let progressBytes = (value?.utf8.count ?? 0) + (text?.utf8.count ?? 0)
    if kind == .progress, progressBytes > LineMessage.progressBytesMax {
      fault = "a progress of \(progressBytes) bytes"
    }
  }

  /// The message; nil if a member is missing.
  var message: LineMessage? {
    switch kind {
    case .ready: return .ready(ready)
    case .failed: return error.map { .failed(message: $0.inWords) }
    case .retiring: return .retiring
    case .return, .raise, .progress, .item: return call.flatMap(message(ofCall:))
    }
  }

  /// The member that a message of this kind cannot do without.
  var missing: String { kind == .raise ? "error" : "value" }

  private func message(ofCall call: UInt64) -> LineMessage? {
    switch kind {
    case .return: value.map { .returned(call: call, value: $0) }
    case .raise: error.map { .raised(call: call, error: $0, item: item, values: values) }
    case .item: value.map { .item(call: call, value: $0) }
    case .progress: .progress(call: call, value: value ?? "null", message: text)
    case .ready, .failed, .retiring: nil
    }
  }

  private mutating func readReady(_ reader: inout JSONReader) throws(JSONError) {
    try reader.beginObject()
    while let member = try reader.nextMember() {
      switch member {
      case "protocol": ready.version = try reader.readInt()
      case "tasks": ready.tasks = try reader.readStrings()
      case "chunks": ready.takesChunks = try reader.readBool()
      case "dynamic": ready.isDynamic = try reader.readBool()
      default: try reader.skipValue()
      }
    }
    if ready.version != LineWorkerSettings.protocolVersion {
      fault = "protocol version \(ready.version) instead of \(LineWorkerSettings.protocolVersion)"
    } else if ready.tasks.count > LineMessage.tasksMax {
      fault = "\(ready.tasks.count) tasks, where \(LineMessage.tasksMax) are allowed"
    } else if let name = ready.tasks.first(where: {
      !(1...LineMessage.taskBytesMax).contains($0.utf8.count)
    }) {
      fault = "a task with a name of \(name.utf8.count) bytes"
    }
  }
}

extension LineError {
  /// Reads an error's object. `null` is as good as nothing.
  static func read(_ reader: inout JSONReader) throws(JSONError) -> LineError {
    var error = LineError()
    try reader.beginObject()
    while let name = try reader.nextMember() {
      if try reader.kind() == .null {
        try reader.readNull()
        continue
      }
      switch name {
      case "code": error.code = try reader.readString()
      case "type": error.type = try reader.readString()
      case "message": error.message = try reader.readString()
      case "traceback": error.traceback = try reader.readString()
      case "module": error.module = try reader.readString()
      case "pickle": error.pickle = try reader.readString()
      case "args":
        if try reader.kind() == .array {
          error.args = try reader.readText()
        } else {
          try reader.skipValue()
        }
      default: try reader.skipValue()
      }
    }
    return error
  }

  /// `type: message`, for whoever has one line.
  var inWords: String {
    let text = message.isEmpty ? type : "\(type): \(message)"
    return TaskFailure.cut(text)
  }

  /// The error as a call's answer has it: codes that are known, texts that are bounded. What else
  /// belongs to the exception is left out if it has more than `bytesMax` bytes.
  func write(item: Int?, values: String?, bytesMax: Int, to writer: inout JSONWriter) {
    writer.beginObject()
    let isMissing = code == "task_not_found"
    writer.member("code", string: (TaskFailure.Code(rawValue: code) ?? .raised).rawValue)
    writer.member("type", string: isMissing ? "TaskNotFound" : TaskFailure.cut(type))
    writer.member("message", string: TaskFailure.cut(message))
    writer.memberIfPresent("traceback", string: traceback.map(TaskFailure.cut))
    writer.memberIfPresent("module", string: module.map(TaskFailure.cut))
    let bytes = (args?.utf8.count ?? 0) + (pickle?.utf8.count ?? 0)
    if bytes <= bytesMax {
      writer.memberIfPresent("args", text: args)
      writer.memberIfPresent("pickle", string: pickle)
    }
    writer.memberIfPresent("item", integer: item)
    writer.memberIfPresent("values", text: values)
    writer.endObject()
  }
}
