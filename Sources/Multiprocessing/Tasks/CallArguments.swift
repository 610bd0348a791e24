import JSON

/// The arguments of one call, as minified and validated JSON: `args` an array, `kwargs` an object.
struct CallArguments {
  let args: UnsafeBufferPointer<UInt8>
  let kwargs: UnsafeBufferPointer<UInt8>

  /// How arguments meet a Swift task: a single one decodes as the task's `Argument` by itself;
  /// several as an array; named ones as an object; none only as `NoArgument`.
  func decode<Argument: Decodable>(_ type: Argument.Type) throws(TaskFailure) -> Argument {
    let hasNamed = kwargs.count > 2  // "{}" or nothing
    let given = try positionalCount()
    switch (given, hasNamed) {
    case (.none, false):
      if let nothing = NoArgument() as? Argument { return nothing }
      if let list = type as? any ArgumentList.Type { throw .argument(list.mismatch(given: 0)) }
      throw .argument("an argument is missing")
    case (_, _) where type == NoArgument.self:
      throw .argument("the task takes no argument")
    case (.none, true):
      // An object is none of these.
      guard !(type is any ArgumentList.Type), !(type is any DirectJSON.Type) else {
        throw .argument("the task takes its arguments by place, and not by name")
      }
      return try Self.decode(type, from: kwargs)
    case (_, true):
      throw .argument("a task takes its arguments by place or by name, not both")
    case (.one(let place), false):
      let argument = UnsafeBufferPointer(rebasing: args[place])
      // An array may hold them all: so they come in an item of a map.
      if argument.first != UInt8(ascii: "["), let list = type as? any ArgumentList.Type {
        throw .argument(list.mismatch(given: 1))
      }
      return try Self.decode(type, from: argument)
    case (.several, false):
      return try decodeAll(type)
    }
  }

  /// Several arguments: an array of them all.
  private func decodeAll<Argument: Decodable>(
    _ type: Argument.Type
  ) throws(TaskFailure) -> Argument {
    do throws(TaskFailure) {
      return try Self.decode(type, from: args)
    } catch {
      // What takes an array says best what is wrong with this one.
      let takesArray = type is any ArgumentList.Type || type is any Sequence.Type
      guard !takesArray || type == String.self else { throw error }
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
  private func positionalCount() throws(TaskFailure) -> Given {
    if args.count <= 2 { return .none }  // "[]"
    do throws(JSONError) {
      var reader = JSONReader(args)
      try reader.beginArray()
      guard try reader.nextElement() else { return .none }
      let first = try reader.skipValue()
      return try reader.nextElement() ? .several : .one(first)
    } catch {
      throw .argument("\(error)")  // The server sends valid JSON; this says that it did not.
    }
  }

  /// Decodes one argument by the shortest way that its type has.
  static func decode<Argument: Decodable>(
    _ type: Argument.Type, from json: UnsafeBufferPointer<UInt8>
  ) throws(TaskFailure) -> Argument {
    if let direct = type as? any DirectJSON.Type {
      return try same(try read(direct, from: json))
    }
    if let convertible = type as? any JSONTextConvertible.Type {
      do {
        return try same(try convertible.init(jsonText: String(decoding: json, as: UTF8.self)))
      } catch {
        throw .argument("\(error)")
      }
    }
    return try FoundationCodec.decode(type, from: json)
  }

  /// A value of a type that was `Argument` under another name; always succeeds.
  private static func same<Argument>(_ value: Any) throws(TaskFailure) -> Argument {
    guard let argument = value as? Argument else {
      throw .argument("the value is no \(Argument.self)")
    }
    return argument
  }

  private static func read<Value: DirectJSON>(
    _ type: Value.Type, from json: UnsafeBufferPointer<UInt8>
  ) throws(TaskFailure) -> Value {
    do throws(JSONError) {
      return try JSONReader.read(json) { (reader) throws(JSONError) in try Value.read(&reader) }
    } catch {
      // At its first byte is all of it.
      if case .wrongType(let expected, let found) = error.reason, error.offset == 0 {
        throw .argument("expected a value of type \(expected), found one of type \(found)")
      }
      if case .notAnInteger = error.reason, error.offset == 0 {
        let found = String(decoding: json.prefix(50), as: UTF8.self)
        throw .argument(
          "expected a whole number, without a fraction and an exponent, found \(found)")
      }
      throw .argument("\(error)")
    }
  }
}

/// Writes results as JSON.
enum ResultEncoder {
  /// Writes `value`, by the shortest way that its type has.
  static func write<Value: Encodable>(
    _ value: Value, to writer: inout JSONWriter
  ) throws(TaskFailure) {
    if let direct = value as? any DirectJSON {
      do throws(Unwritable) {
        try direct.write(to: &writer)
      } catch {
        throw TaskFailure(.resultEncoding, type: "EncodingError", message: error.reason)
      }
    } else if let convertible = value as? any JSONTextConvertible {
      do {
        // Checked here, because the server passes on what a worker writes without looking.
        writer.text(try minifiedJSON(try convertible.jsonText))
      } catch {
        throw TaskFailure(.resultEncoding, type: "\(type(of: error))", message: "\(error)")
      }
    } else if value is NoResult {
      writer.null()
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
