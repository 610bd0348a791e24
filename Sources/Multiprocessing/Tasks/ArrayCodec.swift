import JSON

/// How arrays of `Value` are read and written as one JSON array: what a pool's call carries there
/// and back. Decided once for a task, so that no call looks for the shortest way again.
struct ArrayCodec<Value: Codable & Sendable>: Sendable {
  /// How one value is read and written.
  let item = ItemCodec<Value>.shortest()
  private let direct: DirectArray<Value>?
  /// What it is beside its own text where all values of an array are integers, if it says so.
  private let integers: IntegerArray<Value>?

  /// The shortest way that the type has.
  init() {
    direct = (Value.self as? any DirectElement.Type)?.directArray() as? DirectArray<Value>
    let integerType = item.way == .text ? Value.self as? any JSONIntegerConvertible.Type : nil
    integers = integerType?.integerArray() as? IntegerArray<Value>
  }

  /// Whether each value is a text that nobody but its type can make.
  private var writesText: Bool { direct == nil && item.way == .text }

  /// Reads an array whose items count each for itself all at once; nil: they want to be read one by
  /// one, because a value is read as nobody but itself knows, or because of one that is wrong.
  func decodeItems(_ json: UnsafeBufferPointer<UInt8>) -> [Value]? {
    guard let integers else { return writesText ? nil : try? decode(json) }
    let numbers = try? JSONReader.read(json) { (reader) throws(JSONError) in
      try reader.readInts()
    }
    return numbers.flatMap(integers.values)
  }

  /// Appends an array as its values are written one by one; false: they want to be, for the same
  /// reasons, and what was appended is of no use.
  func encodeItems(_ values: [Value], to writer: inout JSONWriter) -> Bool {
    if let integers {
      guard let numbers = integers.numbers(values) else { return false }
      writer.ints(numbers)
      return true
    }
    guard direct != nil || !writesText && Value.self != NoResult.self else { return false }
    return (try? encode(values, to: &writer)) != nil
  }

  /// Reads an array.
  func decode(_ json: UnsafeBufferPointer<UInt8>) throws(TaskFailure) -> [Value] {
    guard let direct else { return try FoundationCodec.decode([Value].self, from: json) }
    do throws(JSONError) {
      return try JSONReader.read(json) { (reader) throws(JSONError) in try direct.read(&reader) }
    } catch {
      throw .argument("\(error)")
    }
  }

  /// Reads an array.
  func decode(_ text: String) throws(TaskFailure) -> [Value] {
    var text = text
    let result: Result<[Value], TaskFailure> = text.withUTF8 { bytes in
      do throws(TaskFailure) {
        return .success(try decode(bytes))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// Appends an array.
  func encode(_ values: [Value], to writer: inout JSONWriter) throws(TaskFailure) {
    guard let direct else {
      writer.text(try ResultEncoder.text(of: values))
      return
    }
    do throws(Unwritable) {
      try direct.write(values, &writer)
    } catch {
      throw TaskFailure(.resultEncoding, type: "EncodingError", message: error.reason)
    }
  }
}

/// The direct way of one type of element, in a shape that a generic type can find it by.
struct DirectArray<Element>: Sendable {
  let read: @Sendable (inout JSONReader) throws(JSONError) -> [Element]
  let write: @Sendable ([Element], inout JSONWriter) throws(Unwritable) -> Void
}

/// A type whose values may be integers, in a shape that a generic type can find it by.
struct IntegerArray<Value>: Sendable {
  /// nil: one of them wants to be read as text.
  let values: @Sendable ([Int]) -> [Value]?
  /// nil: one of them is none.
  let numbers: @Sendable ([Value]) -> [Int]?
}

extension JSONIntegerConvertible {
  /// An `IntegerArray<Self>`.
  static func integerArray() -> Any {
    IntegerArray<Self>(
      values: { numbers in
        var values: [Self] = []
        values.reserveCapacity(numbers.count)
        for number in numbers {
          guard let value = Self(jsonInteger: number) else { return nil }
          values.append(value)
        }
        return values
      },
      numbers: { values in
        var numbers: [Int] = []
        numbers.reserveCapacity(values.count)
        for value in values {
          guard let number = value.jsonInteger else { return nil }
          numbers.append(number)
        }
        return numbers
      })
  }
}

extension DirectElement {
  /// A `DirectArray<Self>`.
  static func directArray() -> Any {
    DirectArray<Self>(
      read: { (reader) throws(JSONError) in try Self.readArray(&reader) },
      write: { (values, writer) throws(Unwritable) in
        try Self.writeArray(values, to: &writer)
      })
  }
}
