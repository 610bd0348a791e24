import Glibc
import JSON

/// How a pool's call failed in its worker: what `TaskFailure` says, and what a caller in the same
/// program can make use of beside it.
struct ChunkFailure {
  let failure: TaskFailure
  /// The error itself as JSON, and the name of its type, if it is one that travels whole.
  let payload: (type: String, json: [UInt8])?
  /// Where the task was defined.
  let traceback: String
  /// The item of the chunk that failed; nil if that is not known.
  let item: Int?

  /// What a task's function threw for an item of its chunk.
  init(
    raised error: any Error, item: Int, _ task: String, _ source: TaskSource,
    _ coders: [ErrorCoder]
  ) {
    failure = TaskFailure(raised: error)
    payload = coders.lazy.compactMap { coder in coder.encode(error).map { (coder.type, $0) } }.first
    traceback = "task '\(task)', defined at \(source)"
    self.item = item
  }

  /// What went wrong before or after the task's function, for one item if that is known.
  init(_ failure: TaskFailure, item: Int? = nil, _ task: String, _ source: TaskSource) {
    self.failure = failure
    payload = nil
    traceback = "task '\(task)', defined at \(source)"
    self.item = item
  }

  /// Writes what `TaskFailure` does, and more members.
  ///
  /// - Parameter resultsBefore: the results before the item, as an array or empty, for who wants
  ///   them; what only a program with the same tasks can use is then left out.
  func write(to writer: inout JSONWriter, resultsBefore: [UInt8]? = nil) {
    writer.beginObject()
    writer.member("code", string: failure.code.rawValue)
    writer.member("type", string: TaskFailure.cut(failure.type))
    writer.member("message", string: TaskFailure.cut(failure.message))
    if resultsBefore == nil { writer.member("traceback", string: traceback) }
    writer.name("pid")
    writer.integer(Int(getpid()))
    if let item {
      writer.name("item")
      writer.integer(item)
    }
    if let resultsBefore {
      guard !resultsBefore.isEmpty else { return writer.endObject() }
      writer.name("values")
      writer.text(resultsBefore)
    } else if let payload, payload.json.count <= Frame.messageBytesMax {
      writer.member("payload_type", string: payload.type)
      writer.name("payload")
      writer.string(String(decoding: payload.json, as: UTF8.self))
    }
    writer.endObject()
  }
}
