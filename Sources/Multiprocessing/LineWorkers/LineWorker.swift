import JSON

/// One line worker as this side of its channel sees it: lines in, events and lines out. A pure
/// value that knows neither processes nor time.
///
/// It runs other people's code, which can reach its channel: nothing that comes from it is trusted.
/// What it says out of turn, what it does not owe and what is not JSON is a fault, which ends it.
struct LineWorker: Equatable {
  /// What a line has led to.
  enum Event: Equatable {
    case ready(LineWorkerReady)
    case failed(message: String)
    case ended(call: UInt64, CallOutcome)
    case progressed(call: UInt64, value: String, message: String?)
    case item(call: UInt64, value: String)
    case retiring
  }

  /// What it has said of itself. Moves only forward.
  enum Stage {
    case silent
    case ready
    case failed
  }

  /// The call that it runs.
  private struct Open: Equatable {
    let call: LineCall
    /// What the worker calls it; of a chunk that is run item by item, the present item.
    var wire: UInt64
    /// The items of a chunk whose items are calls of their own; nil for anything else.
    var items: [String]?
    /// How many items the chunk has.
    var count = 0
    /// What those that are over returned, as the elements of an array.
    var values = ""
    /// How many of them there are.
    var done = 0
  }

  let resultBytesMax: Int
  private(set) var stage = Stage.silent
  private var takesChunks = false
  private var lastWire: UInt64 = 0
  private var open: Open?

  init(resultBytesMax: Int) {
    self.resultBytesMax = resultBytesMax
  }

  /// The call that it runs; nil: none.
  var call: UInt64? { open?.call.number }

  // MARK: To the worker

  /// Hands it a call; it runs no other. What it is to be sent is appended to `output`; what is over
  /// without it, like a chunk of nothing, to `events`.
  mutating func begin(_ call: LineCall, _ output: inout JSONWriter, _ events: inout [Event]) {
    precondition(open == nil && stage == .ready, "one call at a time, and none before it is ready")
    lastWire += 1
    open = Open(call: call, wire: lastWire)
    switch call.kind {
    case .call(let args, let kwargs): writeCall(args, kwargs, &output)
    case .chunk(let items, let star) where takesChunks:
      open?.count = Self.count(of: items)
      writeHead(&output)
      output.member("items", text: items)
      output.member("star", bool: star)
      writeEnd(&output)
    case .chunk(let items, _):
      let elements = Self.elements(of: items)
      open?.items = elements
      open?.count = elements.count
      runNextItem(&output, &events)
    }
  }

  /// Tells it that its call is not wanted any more.
  func writeCancel(_ output: inout JSONWriter) {
    guard let open else { return }
    output.beginObject()
    output.member("cancel", integer: open.wire)
    output.endObject()
    output.raw("\n")
  }

  /// Tells it that no more calls come.
  func writeStop(_ output: inout JSONWriter) {
    output.beginObject()
    output.member("stop", bool: true)
    output.endObject()
    output.raw("\n")
  }

  private func writeHead(_ output: inout JSONWriter) {
    guard let open else { return }
    output.beginObject()
    output.member("call", integer: open.wire)
    output.member("task", string: open.call.task)
  }

  private func writeEnd(_ output: inout JSONWriter) {
    if let open, !open.call.members.isEmpty { output.text(open.call.members) }
    output.endObject()
    output.raw("\n")
  }

  private func writeCall(_ args: String, _ kwargs: String, _ output: inout JSONWriter) {
    writeHead(&output)
    output.member("args", text: args)
    output.member("kwargs", text: kwargs.isEmpty ? "{}" : kwargs)
    writeEnd(&output)
  }

  /// Runs the next item of a chunk, or ends the chunk.
  private mutating func runNextItem(_ output: inout JSONWriter, _ events: inout [Event]) {
    guard let open, let items = open.items, case .chunk(_, let star) = open.call.kind else {
      return
    }
    guard open.done < items.count else { return end(.returned("[\(open.values)]"), &events) }
    let item = items[open.done]
    if star && item.utf8.first != UInt8(ascii: "[") {
      let failure = TaskFailure.argument("an item of 'star' is an array of arguments")
      return end(.raised(text(of: LineError(failure))), &events)
    }
    if open.done > 0 {
      lastWire += 1
      self.open?.wire = lastWire
    }
    writeCall(star ? item : "[\(item)]", "", &output)
  }

  // MARK: From the worker

  /// Takes a line. Returns what is wrong with it, nil if nothing is. What it leads to is appended
  /// to `events`, and what the worker is to be sent then to `output`.
  mutating func take(
    _ line: UnsafeBufferPointer<UInt8>, _ output: inout JSONWriter, _ events: inout [Event]
  ) -> String? {
    let message: LineMessage
    do throws(LineMessage.Fault) {
      message = try LineMessage.read(line)
    } catch {
      return error.reason
    }
    switch message {
    case .ready(let ready):
      guard stage == .silent else { return "'ready' out of turn" }
      stage = .ready
      takesChunks = ready.takesChunks
      events.append(.ready(ready))
    case .failed(let message):
      guard stage == .silent else { return "'failed' out of turn" }
      stage = .failed
      events.append(.failed(message: message))
    case .retiring:
      guard stage == .ready else { return "'retiring' out of turn" }
      events.append(.retiring)
    case .progress(let wire, let value, let message):
      // Of a call that is over it is late, and no harm.
      if let call = openCall(wire) {
        events.append(.progressed(call: call, value: value, message: message))
      }
    case .item(let wire, let value):
      guard value.utf8.count <= resultBytesMax else {
        return "an item of \(value.utf8.count) bytes, where \(resultBytesMax) are allowed"
      }
      if let call = openCall(wire) { events.append(.item(call: call, value: value)) }
    default: return takeAnswer(message, &output, &events)
    }
    return nil
  }

  private func openCall(_ wire: UInt64) -> UInt64? {
    open?.wire == wire ? open?.call.number : nil
  }

  private mutating func takeAnswer(
    _ message: LineMessage, _ output: inout JSONWriter, _ events: inout [Event]
  ) -> String? {
    let wire: UInt64 =
      switch message {
      case .returned(let wire, _), .raised(let wire, _, _, _), .returnedTooDeep(let wire): wire
      default: 0
      }
    guard openCall(wire) != nil else { return "an answer to call \(wire), which it does not owe" }
    switch message {
    case .returned(_, let value): return takeReturn(value, &output, &events)
    case .raised(_, let error, let item, let values):
      return takeRaise(error, item: item, values: values, &events)
    default:
      end(
        .raised(
          text(
            of: LineError(
              TaskFailure(
                .resultEncoding, type: "TooDeep",
                message: "the result is nested deeper than \(LineMessage.depthMax)")))), &events)
      return nil
    }
  }

  private mutating func takeReturn(
    _ value: String, _ output: inout JSONWriter, _ events: inout [Event]
  ) -> String? {
    guard let open else { return nil }
    let count = open.values.utf8.count + value.utf8.count + (open.items == nil ? 0 : 2)
    guard count <= resultBytesMax else {
      let failure = TaskFailure.tooLarge(count, max: resultBytesMax)
      end(.raised(text(of: LineError(failure))), &events)
      return nil
    }
    switch open.call.kind {
    case .call: end(.returned(value), &events)
    case .chunk where open.items == nil:
      guard value.utf8.first == UInt8(ascii: "["), Self.count(of: value) == open.count else {
        return "an answer to a chunk of \(open.count) items that is not as many values"
      }
      end(.returned(value), &events)
    case .chunk:
      self.open?.values += open.done == 0 ? value : "," + value
      self.open?.done += 1
      runNextItem(&output, &events)
    }
    return nil
  }

  private mutating func takeRaise(
    _ error: LineError, item: Int?, values: String?, _ events: inout [Event]
  ) -> String? {
    guard let open else { return nil }
    guard case .chunk = open.call.kind, open.items == nil else {
      end(.raised(text(of: error)), &events)
      return nil
    }
    let item = item ?? 0
    let values = values ?? "[]"
    guard (0..<max(open.count, 1)).contains(item), Self.count(of: values) == item else {
      return "an error of a chunk's item \(item) without the values before it"
    }
    guard values.utf8.count <= resultBytesMax else {
      let failure = TaskFailure.tooLarge(values.utf8.count, max: resultBytesMax)
      end(.raised(text(of: LineError(failure), item: 0, values: "[]")), &events)
      return nil
    }
    end(.raised(text(of: error, item: item, values: values)), &events)
    return nil
  }

  private mutating func end(_ outcome: CallOutcome, _ events: inout [Event]) {
    guard let open else { return }
    self.open = nil
    events.append(.ended(call: open.call.number, outcome))
  }

  /// The text of an error; of an item of a chunk with what came before it.
  private func text(of error: LineError) -> String {
    guard let open, open.items != nil else { return text(of: error, item: nil, values: nil) }
    return text(of: error, item: open.done, values: "[\(open.values)]")
  }

  private func text(of error: LineError, item: Int?, values: String?) -> String {
    var writer = JSONWriter(capacity: 256)
    error.write(item: item, values: values, bytesMax: resultBytesMax, to: &writer)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  // MARK: Arrays

  /// The elements of an array that is valid and minified.
  private static func elements(of array: String) -> [String] {
    var elements: [String] = []
    _ = try? JSONReader.read(array, depthMax: LineMessage.depthMax + 1) {
      (reader) throws(JSONError) in
      try reader.beginArray()
      while try reader.nextElement() { elements.append(try reader.readText()) }
    }
    return elements
  }

  private static func count(of array: String) -> Int {
    var count = 0
    _ = try? JSONReader.read(array, depthMax: LineMessage.depthMax + 1) {
      (reader) throws(JSONError) in
      try reader.beginArray()
      while try reader.nextElement() {
        try reader.skipValue()
        count += 1
      }
    }
    return count
  }
}

extension LineError {
  /// What goes wrong on this side.
  init(_ failure: TaskFailure) {
    self.init(code: failure.code.rawValue, type: failure.type, message: failure.message)
  }
}
