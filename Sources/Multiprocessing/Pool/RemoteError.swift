import JSON

/// What a task threw in its worker, or what was wrong with its argument or result there.
///
/// Errors of the types that a `TaskDefinition` is `throwing` come back as themselves instead.
public struct RemoteError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What failed.
  public enum Code: String, Sendable {
    /// The task threw.
    case raised
    /// The argument is none that the task takes.
    case argumentDecoding = "argument_decoding"
    /// The result cannot be encoded. CPython: MaybeEncodingError.
    case resultEncoding = "result_encoding"
    /// The result is larger than 1 GiB.
    case resultTooLarge = "output_limit"
    /// The result that came is not one of the task's.
    case resultDecoding = "result_decoding"
  }

  /// What failed.
  public let code: Code
  /// The error's type, as the program has it.
  public let type: String
  /// The error in words, of at most 64 KiB.
  public let message: String
  /// Where: the task, file, line and column of its definition, the item and the process. CPython:
  /// the text of `RemoteTraceback`.
  public let traceback: String
  /// Which of the arguments of `map`, `imap` and the like it was, from 0 on; nil for that of
  /// `apply`, and for what concerns a whole chunk.
  public let item: Int?
  /// The process id of the worker; 0 if it is not known.
  public let pid: Int32

  /// Type, message and trace.
  public var description: String { "\(type): \(message) [\(traceback)]" }

  /// An error of this side: a result that is none.
  init(undecodable failure: TaskFailure, task: String) {
    code = .resultDecoding
    type = failure.type
    message = failure.message
    traceback = "the result of task '\(task)'"
    item = nil
    pid = 0
  }

  private init(_ fields: Fields, items: Range<Int>?) {
    code = fields.code
    type = fields.type
    message = fields.message
    pid = Int32(truncatingIfNeeded: fields.pid)
    item = items.flatMap { items in fields.item.map { items.lowerBound + $0 } }
    var place = fields.traceback
    if let item {
      place += ", item \(item)"
    } else if let items, let first = items.first, items.count > 1 {
      place += ", items \(first) to \(items.upperBound - 1)"
    }
    traceback = place + ", in process \(pid)"
  }

  /// The error that a worker wrote (`ChunkFailure`): itself, if it is of a type that `coders` read,
  /// and a `RemoteError` in any other case.
  static func read(
    _ text: String, _ coders: [ErrorCoder], items: Range<Int>?
  ) -> any Error {
    let fields = Fields(text)
    if let type = fields.payloadType, let payload = fields.payload,
      let coder = coders.first(where: { $0.type == type }), let error = coder.decode(payload)
    {
      return error
    }
    return RemoteError(fields, items: items)
  }
}

/// The members of an error as a worker writes it.
private struct Fields {
  var code = RemoteError.Code.raised
  var type = "Error"
  var message = ""
  var traceback = ""
  var pid = 0
  /// Of its chunk.
  var item: Int?
  var payloadType: String?
  var payload: String?

  init(_ text: String) {
    do throws(JSONError) {
      try JSONReader.read(text) { (json) throws(JSONError) in try read(&json) }
    } catch {
      type = "ProtocolError"
      message = "the worker's error cannot be read: \(text.prefix(500))"
    }
  }

  private mutating func read(_ json: inout JSONReader) throws(JSONError) {
    try json.beginObject()
    while let name = try json.nextMember() {
      switch name {
      case "code": code = RemoteError.Code(rawValue: try json.readString()) ?? .raised
      case "type": type = try json.readString()
      case "message": message = try json.readString()
      case "traceback": traceback = try json.readString()
      case "pid": pid = try json.readInt()
      case "item": item = try json.readInt()
      case "payload_type": payloadType = try json.readString()
      case "payload": payload = try json.readString()
      default: try json.skipValue()
      }
    }
  }
}
