/// A named function that a worker can run.
///
/// Functions do not travel between processes, names do: every process of a program builds the same
/// `TaskRegistry`, and a call carries the name, and argument and result as JSON.
///
///     let square = TaskDefinition<Int, Int>("square") { $0 * $0 }
public struct TaskDefinition<Argument: Codable & Sendable, Output: Codable & Sendable>: Sendable {
  /// The task's name: unique in a program and part of the wire protocol.
  public let name: String
  /// What it does. It must capture nothing: whatever process runs it has the function that the
  /// program gave to `bootstrap`, and not the values that another one captured.
  public let body: @Sendable (Argument) throws -> Output
  /// Where it was defined, and for which types: tells it from another task of its name.
  let source: TaskSource
  /// The types of error that travel whole.
  let errorCoders: [ErrorCoder]
  /// How arguments of a pool's call are read and written.
  let argumentCodec: ArrayCodec<Argument>
  /// How results of a pool's call are read and written.
  let outputCodec: ArrayCodec<Output>

  /// Names a function. `NoArgument` and `NoResult` stand for nothing given and nothing answered.
  ///
  /// An error that `body` throws is a `RemoteError` to the caller of a `Pool`; one of the types in
  /// `errors` is rethrown there as itself.
  public init(
    _ name: String, throwing errors: [any (Error & Codable & Sendable).Type] = [],
    fileID: StaticString = #fileID, line: UInt = #line, column: UInt = #column,
    body: @escaping @Sendable (Argument) throws -> Output
  ) {
    precondition(!name.isEmpty && name.utf8.count <= 255, "a task's name has 1 to 255 bytes")
    self.name = name
    self.body = body
    source = TaskSource(
      fileID: fileID, line: line, column: column, argument: Argument.self, output: Output.self)
    errorCoders = errors.map(ErrorCoder.of)
    argumentCodec = ArrayCodec()
    outputCodec = ArrayCodec()
  }

  /// Names a function of several parameters; called as it is declared, or with a tuple for each
  /// call by `Pool.starmap`.
  public init<First, Second, each Rest>(
    _ name: String, throwing errors: [any (Error & Codable & Sendable).Type] = [],
    fileID: StaticString = #fileID, line: UInt = #line, column: UInt = #column,
    body: @escaping @Sendable (First, Second, repeat each Rest) throws -> Output
  ) where Argument == Arguments<First, Second, repeat each Rest> {
    self.init(name, throwing: errors, fileID: fileID, line: line, column: column) {
      (arguments: Argument) in
      try arguments.call(body)
    }
  }
}

/// Where a task was defined, and for which types: a `static var` that makes it anew is of one
/// source each time, a generic one of another for each type.
struct TaskSource: Sendable, CustomStringConvertible {
  let fileID: StaticString
  let line: UInt
  let column: UInt
  let argument: any Any.Type
  let output: any Any.Type

  /// `Module/File.swift:12:5`
  var description: String { "\(fileID):\(line):\(column)" }

  /// The description, with the types.
  var text: String { "\(self) (\(argument) -> \(output))" }

  /// Whether both are the same.
  func isSame(as other: TaskSource) -> Bool {
    line == other.line && column == other.column && argument == other.argument
      && output == other.output && isSameFile(as: other)
  }

  private func isSameFile(as other: TaskSource) -> Bool {
    // Nearly always the same constant.
    fileID.utf8Start == other.fileID.utf8Start
      && fileID.utf8CodeUnitCount
        == other.fileID.utf8CodeUnitCount
      || fileID.description == other.fileID.description
  }
}
