/// A call as it is handed to a line worker.
public struct LineCall: Equatable, Sendable {
  /// What is to be run.
  public enum Kind: Equatable, Sendable {
    /// The task once: a JSON array, and a JSON object or nothing.
    case call(args: String, kwargs: String)
    /// The task for each element of a JSON array; if it is `star`, each is an array of arguments.
    case chunk(items: String, star: Bool)
  }

  /// The caller's number; the worker sees another one.
  public var number: UInt64
  /// The task's name.
  public var task: String
  /// What is to be run. All texts are valid and minified.
  public var kind: Kind
  /// Further members of the message, `"attempt":1,"job":"…"`: JSON text that nobody here reads.
  public var members: String

  /// A call of a task.
  public init(number: UInt64, task: String, kind: Kind, members: String = "") {
    self.number = number
    self.task = task
    self.kind = kind
    self.members = members
  }
}
