import JSON

/// The arguments of one call, as minified and validated JSON: `args` an array, `kwargs` an object.
struct CallArguments {
  let args: UnsafeBufferPointer<UInt8>
  let kwargs: UnsafeBufferPointer<UInt8>

  /// How arguments meet a Swift task: a single one decodes as the task's `Argument` by itself;
  /// several as an array; named ones as an object; none only as `NoArgument`.
  func decode<Argument>(_ codec: ItemCodec<Argument>) throws(TaskFailure) -> Argument {
    let hasNamed = kwargs.count > 2  // "{}" or nothing
    let given = try positionalCount()
    switch (given, hasNamed) {
    case (.none, false):
      return try Self.nothing(codec)
    case (_, _) where Argument.self == NoArgument.self:
      throw .argument("the task takes no argument")
    case (.none, true):
      // An object is none of these.
      guard codec.list == nil, codec.way != .direct else {
        throw .argument("the task takes its arguments by place, and not by name")
      }
      return try codec.read(kwargs)
    case (_, true):
      throw .argument("a task takes its arguments by place or by name, not both")
    case (.one(let place), false):
      let argument = UnsafeBufferPointer(rebasing: args[place])
      // An array may hold them all: so they come in an item of a map.
      if let list = codec.list, argument.first != UInt8(ascii: "[") {
        throw .argument(list.mismatch(given: 1))
      }
      return try codec.read(argument)
    case (.several, false):
      return try decodeAll(codec)
    }
  }

  /// No argument at all. A function of its own, which is not inlined: it begins by asking the
  /// runtime for the type `Argument?`, and a call with arguments should not.
  @inline(never)
  private static func nothing<Argument>(
    _ codec: ItemCodec<Argument>
  ) throws(TaskFailure) -> Argument {
    if let nothing = NoArgument() as? Argument { return nothing }
    if let list = codec.list { throw .argument(list.mismatch(given: 0)) }
    throw .argument("an argument is missing")
  }

  /// Several arguments: an array of them all.
  private func decodeAll<Argument>(
    _ codec: ItemCodec<Argument>
  ) throws(TaskFailure) -> Argument {
    do throws(TaskFailure) {
      return try codec.read(args)
    } catch {
      // What takes an array says best what is wrong with this one.
      let takesArray = codec.list != nil || Argument.self is any Sequence.Type
      guard !takesArray || Argument.self == String.self else { throw error }
      var given = JSONElements(args)
      var count = 0
      while given.next() != nil { count += 1 }
      throw .argument(
        "the task takes 1 argument; \(count) were given, and as an array they are none: "
          + error.message)
    }
  }

  private enum Given {
    case none
    case one(Range<Int>)
    case several
  }

  /// Whether there are none, one (and where it stands) or several positional arguments.
  ///
  /// - Throws: where they are no array, as an item of a map can be. That they are JSON is not
  ///   checked: the server did, and what reads them does.
  private func positionalCount() throws(TaskFailure) -> Given {
    guard args.first == UInt8(ascii: "[") else {
      if args.isEmpty { return .none }
      throw noArray()
    }
    var elements = JSONElements(args)
    guard let first = elements.next() else { return .none }
    return elements.nextOffset < args.count ? .several : .one(first)
  }

  private func noArray() -> TaskFailure {
    do throws(JSONError) {
      var reader = JSONReader(args)
      try reader.beginArray()
      preconditionFailure("an array that begins otherwise")
    } catch {
      return .argument("\(error)")
    }
  }
}

/// Writes results as JSON.
enum ResultEncoder {
  /// Writes `value` of a type that has no shorter way: what an `Optional` holds, or a class stands
  /// for, may have one.
  static func write<Value: Encodable>(
    _ value: Value, to writer: inout JSONWriter
  ) throws(TaskFailure) {
    if value is NoResult {
      writer.null()
    } else if let direct = value as? any DirectJSON {
      try direct.writeResult(to: &writer)
    } else if let convertible = value as? any JSONTextConvertible {
      try convertible.writeResult(to: &writer)
    } else {
      writer.text(try text(of: value))
    }
  }

  /// How many arrays and objects may lie within one another: the bound of `JSONReader`.
  private static let depthMax = 64

  /// The JSON text of a value that has no shorter way.
  static func text<Value: Encodable>(of value: Value) throws(TaskFailure) -> [UInt8] {
    do throws(TaskFailure) {
      let text = try FoundationCodec.encode(value)
      try requireDepth(of: text)
      return text
    } catch {
      // All that Foundation says of a value that is too deep for it, or that writes nothing.
      guard error.message.contains("top-level value") else { throw error }
      var failure = error
      failure.message += " (arrays and objects may lie at most \(depthMax) deep within one another)"
      throw failure
    }
  }

  /// Refuses what lies deeper than JSON is read anywhere in the service. Foundation writes values
  /// of any depth, and a journal that holds one too deep could not be read again.
  private static func requireDepth(of text: [UInt8]) throws(TaskFailure) {
    do throws(JSONError) {
      try JSONReader.read(text, depthMax: depthMax) { (reader) throws(JSONError) in
        _ = try reader.skipValue()
      }
    } catch {
      throw TaskFailure(.resultEncoding, type: "EncodingError", message: "\(error)")
    }
  }
}
