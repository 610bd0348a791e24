import JSON

/// A task whose types are known to nobody but itself: JSON comes in, JSON goes out.
public struct AnyTask: Sendable {
  /// The task's name.
  public let name: String
  /// Where it was defined, and for which types.
  let source: TaskSource
  /// Decodes, calls, encodes.
  let run: @Sendable (CallArguments, inout JSONWriter) -> TaskFailure?
  /// Decodes one argument and calls; the result is dropped.
  let call: @Sendable (UnsafeBufferPointer<UInt8>) throws -> Void
  /// The same for each of an array of arguments, with an array of results; the first that fails
  /// ends it.
  let runChunk: @Sendable (UnsafeBufferPointer<UInt8>, inout JSONWriter) -> ChunkFailure?

  /// Forgets the types of `definition`.
  public init<Argument, Output>(_ definition: TaskDefinition<Argument, Output>) {
    let body = definition.body
    name = definition.name
    call = { json in
      let argument = try CallArguments.decode(Argument.self, from: json)
      DescriptorTransfer.finish()
      _ = try body(argument)
    }
    source = definition.source
    run = { arguments, result in
      do throws(TaskFailure) {
        let argument = try arguments.decode(Argument.self)
        DescriptorTransfer.finish()
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
    runChunk = { json, result in definition.runChunk(json, &result) }
  }
}

extension TaskDefinition {
  /// This task without its types, for a `TaskRegistry`.
  public var erased: AnyTask { AnyTask(self) }
}

extension TaskDefinition {
  /// Runs the task on each element of a JSON array; see `AnyTask.runChunk`.
  fileprivate func runChunk(
    _ json: UnsafeBufferPointer<UInt8>, _ result: inout JSONWriter
  ) -> ChunkFailure? {
    var item = 0
    do throws(TaskFailure) {
      let arguments = try argumentCodec.decode(json)
      var outputs: [Output] = []
      outputs.reserveCapacity(arguments.count)
      for argument in arguments {
        do {
          outputs.append(try body(argument))
        } catch {
          return ChunkFailure(raised: error, item: item, name, source, errorCoders)
        }
        item += 1
      }
      try outputCodec.encode(outputs, to: &result)
      return nil
    } catch {
      return ChunkFailure(error, name, source)
    }
  }
}
