import JSON

/// How one value of `Value` is read and written as JSON. Decided once for a task: to ask a type for
/// its conformances costs more than to read a number.
///
/// The ways are kept as functions and not chosen in methods: a method that is not specialized asks
/// the runtime for this type, with its `Value`, at each call.
struct ItemCodec<Value>: Sendable {
  enum Way {
    /// As `DirectJSON` has it.
    case direct
    /// By a text that only the type itself can make and read.
    case text
    case codable
  }

  let way: Way
  /// The type as a list of arguments, if it is one.
  let list: (any ArgumentList.Type)?
  /// Reads one value.
  let read: @Sendable (UnsafeBufferPointer<UInt8>) throws(TaskFailure) -> Value
  /// Writes one value. What was appended when it throws is of no use.
  let write: @Sendable (Value, inout JSONWriter) throws(TaskFailure) -> Void
}

extension ItemCodec where Value: Codable & Sendable {
  /// The shortest way that the type has.
  static func shortest() -> ItemCodec {
    ownCodec() as? ItemCodec
      ?? ItemCodec(
        way: .codable,
        list: Value.self as? any ArgumentList.Type,
        read: { (json) throws(TaskFailure) in
          try FoundationCodec.decode(Value.self, from: json)
        },
        write: { (value, writer) throws(TaskFailure) in
          try ResultEncoder.write(value, to: &writer)
        })
  }

  /// That of the type itself. No more is asked than need be: a program starts with it, and to find
  /// that a type does not conform is to look at all that conform.
  private static func ownCodec() -> Any? {
    switch Value.self {
    case let type as any DirectJSON.Type: type.directCodec()
    case let type as any JSONTextConvertible.Type:
      (type as? any JSONIntegerConvertible.Type)?.integerCodec() ?? type.textCodec()
    default: nil
    }
  }
}

extension DirectJSON {
  /// An `ItemCodec<Self>`, in a shape that a generic type can find it by.
  static func directCodec() -> Any {
    ItemCodec<Self>(
      way: .direct,
      list: nil,
      read: { (json) throws(TaskFailure) in try Self.read(whole: json) },
      write: { (value, writer) throws(TaskFailure) in try value.writeResult(to: &writer) })
  }

  private static func read(whole json: UnsafeBufferPointer<UInt8>) throws(TaskFailure) -> Self {
    do throws(JSONError) {
      return try JSONReader.read(json) { (reader) throws(JSONError) in try Self.read(&reader) }
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

  /// Writes the value as a call's result.
  func writeResult(to writer: inout JSONWriter) throws(TaskFailure) {
    do throws(Unwritable) {
      try write(to: &writer)
    } catch {
      throw TaskFailure(.resultEncoding, type: "EncodingError", message: error.reason)
    }
  }
}

extension JSONTextConvertible {
  /// An `ItemCodec<Self>`.
  static func textCodec() -> Any {
    ItemCodec<Self>(
      way: .text,
      list: nil,
      read: { (json) throws(TaskFailure) in try Self.read(text: json) },
      write: { (value, writer) throws(TaskFailure) in try value.writeResult(to: &writer) })
  }

  fileprivate static func read(
    text json: UnsafeBufferPointer<UInt8>
  ) throws(TaskFailure) -> Self {
    do {
      return try Self(jsonText: String(decoding: json, as: UTF8.self))
    } catch {
      throw .argument("\(error)")
    }
  }

  /// Writes the value as a call's result.
  func writeResult(to writer: inout JSONWriter) throws(TaskFailure) {
    do {
      var text = try jsonText
      // Checked here, because the server passes on what a worker writes without looking.
      let isMinified = text.withUTF8 { isMinifiedJSON($0) }
      writer.text(isMinified ? text : try minifiedJSON(text))
    } catch {
      throw TaskFailure(.resultEncoding, type: "\(type(of: error))", message: "\(error)")
    }
  }
}

extension JSONIntegerConvertible {
  /// An `ItemCodec<Self>`. One value is read by its text, which costs no more than to ask for an
  /// `Optional` of a type that only the caller knows.
  static func integerCodec() -> Any {
    ItemCodec<Self>(
      way: .text,
      list: nil,
      read: { (json) throws(TaskFailure) in try Self.read(text: json) },
      write: { (value, writer) throws(TaskFailure) in
        if let number = value.jsonInteger {
          writer.integer(number)
        } else {
          try value.writeResult(to: &writer)
        }
      })
  }
}
