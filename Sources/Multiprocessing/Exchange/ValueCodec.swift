import JSON

/// How values travel between the processes of one program, through connections and queues.
///
/// The first byte is the form of what follows: that of a `PlainValue`, or `json`. Any value can be
/// read as any type that its JSON fits, as if there were no forms: an array of `Int` as one of
/// `Double`. Floating-point values all arrive as what they were, those that JSON has no number for
/// included: they are texts in the JSON ("nan", "inf", "-inf").
enum ValueCodec {
  /// A value that cannot travel, or bytes that are no value of the type; in words.
  struct Failure: Error, Equatable {
    let text: String
  }

  /// A space: `JSONWriter` writes no comma behind one.
  private static let json = UInt8(ascii: " ")
  /// How many arrays and objects may lie within one another; Foundation's decoder takes no more.
  private static let depthMax = 500

  /// The bytes of `value`.
  static func encode<Value: Encodable>(_ value: Value) throws(Failure) -> [UInt8] {
    if let plain = value as? any PlainValue { return encode(plain: plain) }
    var writer = JSONWriter(capacity: 64)
    writer.bytes.append(json)
    if let convertible = value as? any JSONTextConvertible {
      do {
        writer.text(try minifiedJSON(try convertible.jsonText, depthMax: depthMax))
      } catch {
        throw Failure(text: "\(error)")
      }
    } else if let direct = value as? any DirectJSON, (try? direct.write(to: &writer)) != nil {
      // Written.
    } else {
      writer.text(try foundationText(of: value))
    }
    return writer.bytes
  }

  /// The value of `bytes`, which `encode` made.
  static func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: UnsafeRawBufferPointer
  ) throws(Failure) -> Value {
    guard let form = bytes.first else { throw Failure(text: "there are no bytes") }
    let content = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    if form == json { return try decodeJSON(type, from: content) }
    if let plain = type as? any PlainValue.Type, plain.form == form {
      guard let value = plain.init(plainBytes: content) as? Value else { throw broken(form) }
      return value
    }
    // Another type than it was sent as.
    guard let value = PlainTypes.type(of: form)?.init(plainBytes: content) else {
      throw broken(form)
    }
    return try withRawBytes(of: try foundationText(of: value)) { (text) throws(Failure) in
      try decodeJSON(type, from: text)
    }
  }

  private static func encode<Value: PlainValue>(plain value: Value) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(1 + MemoryLayout<Int>.size)
    bytes.append(Value.form)
    value.appendBytes(to: &bytes)
    return bytes
  }

  private static func broken(_ form: UInt8) -> Failure {
    Failure(text: "the bytes are no value of form \(form)")
  }

  private static func foundationText<Value: Encodable>(
    of value: Value
  ) throws(Failure) -> [UInt8] {
    do throws(TaskFailure) {
      let text = try FoundationCodec.encode(value, keepsNonFinite: true)
      // Said to whoever sends, not to whoever receives.
      do throws(JSONError) {
        try JSONReader.read(text, depthMax: depthMax) { (reader) throws(JSONError) in
          _ = try reader.skipValue()
        }
      } catch {
        throw TaskFailure(.resultEncoding, type: "EncodingError", message: "\(error)")
      }
      return text
    } catch {
      // All that Foundation says of a value that is too deep for it, or that writes nothing.
      let isVague = error.message.contains("top-level value")
      let hint = " (arrays and objects may lie at most \(depthMax) deep within one another)"
      throw Failure(text: error.message + (isVague ? hint : ""))
    }
  }

  private static func decodeJSON<Value: Decodable>(
    _ type: Value.Type, from bytes: UnsafeRawBufferPointer
  ) throws(Failure) -> Value {
    let text = bytes.assumingMemoryBound(to: UInt8.self)
    if let convertible = type as? any JSONTextConvertible.Type {
      do {
        let value = try convertible.init(jsonText: String(decoding: text, as: UTF8.self))
        if let value = value as? Value { return value }
      } catch {
        throw Failure(text: "\(error)")
      }
    }
    // What is no plain text of such a type, like a number that is not finite, is the other's.
    if let direct = type as? any DirectJSON.Type, let value = read(direct, from: text) as? Value {
      return value
    }
    do throws(TaskFailure) {
      return try FoundationCodec.decode(type, from: text, keepsNonFinite: true)
    } catch {
      throw Failure(text: error.message)
    }
  }

  private static func read<Value: DirectJSON>(
    _ type: Value.Type, from text: UnsafeBufferPointer<UInt8>
  ) -> Value? {
    try? JSONReader.read(text) { (reader) throws(JSONError) in try Value.read(&reader) }
  }
}

/// Gives `body` the bytes of an array, with its error's type (`withUnsafeBytes` forgets it).
func withRawBytes<Value, Failure: Error>(
  of bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
) throws(Failure) -> Value {
  try bytes.withUnsafeBufferPointer { (buffer) throws(Failure) -> Value in
    try body(UnsafeRawBufferPointer(buffer))
  }
}
