import JSON

/// A type that is read and written without `Codable`, whose JSON coders take a second and more for
/// a million integers.
protocol DirectJSON: SendableMetatype {
  static func read(_ reader: inout JSONReader) throws(JSONError) -> Self
  /// Throws the reason in words if JSON has no such value.
  func write(to writer: inout JSONWriter) throws(Unwritable)
}

/// A value that JSON cannot express.
struct Unwritable: Error {
  let reason: String
}

/// An element whose arrays are read and written as a whole.
protocol DirectElement: SendableMetatype {
  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [Self]
  static func writeArray(_ values: [Self], to writer: inout JSONWriter) throws(Unwritable)
}

extension Array: DirectJSON where Element: DirectElement {
  static func read(_ reader: inout JSONReader) throws(JSONError) -> [Element] {
    try Element.readArray(&reader)
  }

  func write(to writer: inout JSONWriter) throws(Unwritable) {
    try Element.writeArray(self, to: &writer)
  }
}

/// Rows of a table.
extension Array: DirectElement where Element: DirectElement {
  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [[Element]] {
    var rows: [[Element]] = []
    try reader.beginArray()
    while try reader.nextElement() { rows.append(try Element.readArray(&reader)) }
    return rows
  }

  static func writeArray(
    _ values: [[Element]], to writer: inout JSONWriter
  ) throws(Unwritable) {
    writer.beginArray()
    for row in values { try Element.writeArray(row, to: &writer) }
    writer.endArray()
  }
}

extension Int: DirectJSON, DirectElement {
  static func read(_ reader: inout JSONReader) throws(JSONError) -> Int { try reader.readInt() }
  func write(to writer: inout JSONWriter) { writer.integer(self) }

  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [Int] {
    try reader.readInts()
  }

  static func writeArray(_ values: [Int], to writer: inout JSONWriter) { writer.ints(values) }
}

/// Bytes are numbers, as `Codable` has them; a picture has millions.
extension UInt8: DirectElement {
  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [UInt8] {
    let numbers = try reader.readInts()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(numbers.count)
    for number in numbers {
      guard let byte = UInt8(exactly: number) else {
        throw JSONError(reason: .numberOutOfRange, offset: 0)
      }
      bytes.append(byte)
    }
    return bytes
  }

  static func writeArray(_ values: [UInt8], to writer: inout JSONWriter) {
    writer.ints(values.map(Int.init))
  }
}

extension Double: DirectJSON, DirectElement {
  static func read(_ reader: inout JSONReader) throws(JSONError) -> Double {
    try reader.readDouble()
  }

  func write(to writer: inout JSONWriter) throws(Unwritable) {
    guard isFinite else { throw Unwritable(reason: "JSON has no number for \(self)") }
    writer.number(self)
  }

  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [Double] {
    try reader.readDoubles()
  }

  static func writeArray(_ values: [Double], to writer: inout JSONWriter) throws(Unwritable) {
    if let index = values.firstIndex(where: { !$0.isFinite }) {
      throw Unwritable(reason: "[\(index)]: JSON has no number for \(values[index])")
    }
    writer.doubles(values)
  }
}

extension String: DirectJSON, DirectElement {
  static func read(_ reader: inout JSONReader) throws(JSONError) -> String {
    try reader.readString()
  }

  func write(to writer: inout JSONWriter) { writer.string(self) }

  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [String] {
    try reader.readStrings()
  }

  static func writeArray(_ values: [String], to writer: inout JSONWriter) {
    writer.strings(values)
  }
}

extension Bool: DirectJSON, DirectElement {
  static func read(_ reader: inout JSONReader) throws(JSONError) -> Bool { try reader.readBool() }
  func write(to writer: inout JSONWriter) { writer.bool(self) }

  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [Bool] {
    try reader.readBools()
  }

  static func writeArray(_ values: [Bool], to writer: inout JSONWriter) { writer.bools(values) }
}

/// `null`, as anywhere in the service.
extension NoResult: DirectElement {
  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [NoResult] {
    var values: [NoResult] = []
    try reader.beginArray()
    while try reader.nextElement() {
      try reader.readNull()
      values.append(NoResult())
    }
    return values
  }

  static func writeArray(_ values: [NoResult], to writer: inout JSONWriter) {
    writer.beginArray()
    for _ in values { writer.null() }
    writer.endArray()
  }
}

extension NoArgument: DirectElement {
  static func readArray(_ reader: inout JSONReader) throws(JSONError) -> [NoArgument] {
    [NoArgument](repeating: NoArgument(), count: try NoResult.readArray(&reader).count)
  }

  static func writeArray(_ values: [NoArgument], to writer: inout JSONWriter) {
    writer.beginArray()
    for _ in values { writer.null() }
    writer.endArray()
  }
}
