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
  let runChunk:
    @Sendable (UnsafeBufferPointer<UInt8>, ChunkFlags, inout JSONWriter) -> ChunkFailure?

  /// Forgets the types of `definition`.
  public init<Argument, Output>(_ definition: TaskDefinition<Argument, Output>) {
    let body = definition.body
    let (argumentCodec, outputCodec) = (definition.argumentCodec.item, definition.outputCodec.item)
    name = definition.name
    call = { json in
      let argument = try argumentCodec.read(json)
      DescriptorTransfer.finish()
      _ = try body(argument)
    }
    source = definition.source
    run = { arguments, result in
      do throws(TaskFailure) {
        let argument = try arguments.decode(argumentCodec)
        DescriptorTransfer.finish()
        let output: Output
        do {
          output = try body(argument)
        } catch {
          throw TaskFailure(raised: error)
        }
        try outputCodec.write(output, &result)
        return nil
      } catch {
        return error
      }
    }
    runChunk = { json, flags, result in
      flags.contains(.itemByItem)
        ? definition.runItems(json, isStar: flags.contains(.star), &result)
        : definition.runChunk(json, &result)
    }
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

/// Chunks of which each item counts for itself: what fails names its item, and those before it keep
/// their results.
extension TaskDefinition {
  /// All items at once as far as that goes, which is the fast way for numbers and strings, else one
  /// by one. When an item fails, the array of the results before it is in `result`.
  fileprivate func runItems(
    _ json: UnsafeBufferPointer<UInt8>, isStar: Bool, _ result: inout JSONWriter
  ) -> ChunkFailure? {
    guard !isStar, let arguments = argumentCodec.decodeItems(json) else {
      return runEach(json, isStar: isStar, &result)
    }
    var outputs: [Output] = []
    outputs.reserveCapacity(arguments.count)
    for argument in arguments {
      do {
        outputs.append(try body(argument))
      } catch {
        let item = outputs.count
        // One before it may be what cannot be written.
        return write(outputs, &result)
          ?? ChunkFailure(TaskFailure(raised: error), item: item, name, source)
      }
    }
    return write(outputs, &result)
  }

  /// Writes the array of results, or up to the first that cannot be written.
  private func write(_ outputs: [Output], _ result: inout JSONWriter) -> ChunkFailure? {
    if outputCodec.encodeItems(outputs, to: &result) { return nil }
    result.removeAll()
    result.beginArray()
    defer { result.endArray() }
    for (item, output) in outputs.enumerated() {
      if let failure = write(output, &result) {
        return ChunkFailure(failure, item: item, name, source)
      }
    }
    return nil
  }

  /// Writes one result, or nothing.
  private func write(_ output: Output, _ result: inout JSONWriter) -> TaskFailure? {
    let count = result.count
    do throws(TaskFailure) {
      try outputCodec.item.write(output, &result)
      return nil
    } catch {
      result.bytes.removeSubrange(count...)
      return error
    }
  }

  private func runEach(
    _ json: UnsafeBufferPointer<UInt8>, isStar: Bool, _ result: inout JSONWriter
  ) -> ChunkFailure? {
    var elements = JSONElements(json)
    var item = 0
    result.beginArray()
    defer { result.endArray() }
    while let place = elements.next() {
      let element = UnsafeBufferPointer(rebasing: json[place])
      let argument: Argument
      do throws(TaskFailure) {
        argument = try decode(element, isStar: isStar)
      } catch {
        return ChunkFailure(error, item: item, name, source)
      }
      do {
        if let failure = write(try body(argument), &result) {
          return ChunkFailure(failure, item: item, name, source)
        }
      } catch {
        return ChunkFailure(TaskFailure(raised: error), item: item, name, source)
      }
      item += 1
    }
    return nil
  }

  private func decode(
    _ element: UnsafeBufferPointer<UInt8>, isStar: Bool
  ) throws(TaskFailure) -> Argument {
    if isStar {
      let none = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
      return try CallArguments(args: element, kwargs: none).decode(argumentCodec.item)
    }
    return try argumentCodec.item.read(element)
  }
}
