/// A named function that a worker can run.
///
/// Functions do not travel between processes, names do: every process of a program builds the same
/// `TaskRegistry`, and a call carries the name, and argument and result as JSON.
///
///     let square = TaskDefinition<Int, Int>("square") { $0 * $0 }
public struct TaskDefinition<Argument: Codable & Sendable, Output: Codable & Sendable>: Sendable {
  /// The task's name: unique in a program and part of the wire protocol.
  public let name: String
  /// What it does. It must capture nothing that differs between the processes of a program.
  public let body: @Sendable (Argument) throws -> Output

  /// Names a function. `NoArgument` and `NoResult` stand for nothing given and nothing answered.
  public init(_ name: String, body: @escaping @Sendable (Argument) throws -> Output) {
    precondition(!name.isEmpty && name.utf8.count <= 255, "a task's name has 1 to 255 bytes")
    self.name = name
    self.body = body
  }
}
