import JSON

/// A task whose types are known to nobody but itself: JSON comes in, JSON goes out.
public struct AnyTask: Sendable {
  /// The task's name.
  public let name: String
  /// Decodes, calls, encodes.
  let run: @Sendable (CallArguments, inout JSONWriter) -> TaskFailure?
  /// Decodes one argument and calls; the result is dropped.
  let call: @Sendable (UnsafeBufferPointer<UInt8>) throws -> Void

  /// Forgets the types of `definition`.
  public init<Argument, Output>(_ definition: TaskDefinition<Argument, Output>) {
    let body = definition.body
    name = definition.name
    call = { _ = try body(try CallArguments.decode(Argument.self, from: $0)) }
    run = { arguments, result in
      do throws(TaskFailure) {
        let argument = try arguments.decode(Argument.self)
        let output: Output
        do {
          output = try body(argument)
        } catch {
          throw TaskFailure(raised: error)
        }
        try ResultEncoder.write(output, to: &result)
        return nil
      } catch {
        return error
      }
    }
  }
}

extension TaskDefinition {
  /// This task without its types, for a `TaskRegistry`.
  public var erased: AnyTask { AnyTask(self) }
}
