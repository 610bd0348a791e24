import JSON

/// How a call failed in its worker, as the answer tells it.
struct TaskFailure: Error, Equatable {
  /// The codes that a worker can answer with; those of the API (a failed job's `error`).
  enum Code: String {
    case raised
    case argumentDecoding = "argument_decoding"
    case resultEncoding = "result_encoding"
    case outputLimit = "output_limit"
  }

  var code: Code
  /// The name of the error's type, as the program has it.
  var type: String
  var message: String

  /// A failure in so many words.
  init(_ code: Code, type: String, message: String) {
    self.code = code
    self.type = type
    self.message = message
  }

  /// What a task's function threw.
  init(raised error: any Error) {
    self.init(.raised, type: "\(Swift.type(of: error))", message: "\(error)")
  }

  /// Arguments that do not fit the task; `path` leads to the value that is wrong.
  static func argument(_ message: String, at path: String = "") -> TaskFailure {
    let place = path.isEmpty ? "" : "\(path): "
    return TaskFailure(.argumentDecoding, type: "DecodingError", message: place + message)
  }

  /// A result of more bytes than one may have.
  static func tooLarge(_ count: Int, max: Int) -> TaskFailure {
    TaskFailure(
      .outputLimit, type: "ResultTooLarge",
      message: "the result has \(count) bytes; \(max) are allowed")
  }

  /// `{"code":…,"type":…,"message":…}`, texts of more than 64 KiB cut, with a mark.
  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("code", string: code.rawValue)
    writer.member("type", string: Self.cut(type))
    writer.member("message", string: Self.cut(message))
    writer.endObject()
  }

  /// An error's text is kept with its job, in memory and in the journal.
  static func cut(_ text: String) -> String {
    let over = text.utf8.count - Frame.messageBytesMax
    guard over > 0 else { return text }
    let head = String(decoding: text.utf8.prefix(Frame.messageBytesMax), as: UTF8.self)
    return head + "[... \(over) bytes left out ...]"
  }
}
