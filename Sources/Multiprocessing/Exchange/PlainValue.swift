/// A type whose values travel as the bytes that they are in memory: both ends run the same program.
protocol PlainValue: Codable, Sendable {
  /// Says in a message what its bytes are. Unique; see `ValueCodec`.
  static var form: UInt8 { get }

  /// Appends the value's bytes.
  func appendBytes(to bytes: inout [UInt8])

  /// The value of these bytes; nil if their number is wrong. They need not be aligned.
  init?(plainBytes bytes: UnsafeRawBufferPointer)
}

/// A number, also as an element of an array.
protocol PlainNumber: PlainValue, BitwiseCopyable {}

extension PlainNumber {
  func appendBytes(to bytes: inout [UInt8]) {
    withUnsafeBytes(of: self) { bytes.append(contentsOf: $0) }
  }

  init?(plainBytes bytes: UnsafeRawBufferPointer) {
    guard bytes.count == MemoryLayout<Self>.size else { return nil }
    self = bytes.loadUnaligned(as: Self.self)
  }
}

extension Array: PlainValue where Element: PlainNumber {
  static var form: UInt8 { Element.form | 0x80 }

  func appendBytes(to bytes: inout [UInt8]) {
    withUnsafeBytes { bytes.append(contentsOf: $0) }
  }

  init?(plainBytes bytes: UnsafeRawBufferPointer) {
    let count = bytes.count / MemoryLayout<Element>.stride
    guard bytes.count == count * MemoryLayout<Element>.stride else { return nil }
    self.init(unsafeUninitializedCapacity: count) { buffer, initialized in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
      initialized = count
    }
  }
}

extension Int: PlainNumber { static var form: UInt8 { 1 } }
extension Int8: PlainNumber { static var form: UInt8 { 2 } }
extension Int16: PlainNumber { static var form: UInt8 { 3 } }
extension Int32: PlainNumber { static var form: UInt8 { 4 } }
extension Int64: PlainNumber { static var form: UInt8 { 5 } }
extension UInt: PlainNumber { static var form: UInt8 { 6 } }
extension UInt8: PlainNumber { static var form: UInt8 { 7 } }
extension UInt16: PlainNumber { static var form: UInt8 { 8 } }
extension UInt32: PlainNumber { static var form: UInt8 { 9 } }
extension UInt64: PlainNumber { static var form: UInt8 { 10 } }
extension Float: PlainNumber { static var form: UInt8 { 11 } }
extension Double: PlainNumber { static var form: UInt8 { 12 } }

extension String: PlainValue {
  static var form: UInt8 { 13 }

  func appendBytes(to bytes: inout [UInt8]) {
    bytes.append(contentsOf: utf8)
  }

  init?(plainBytes bytes: UnsafeRawBufferPointer) {
    self.init(decoding: bytes, as: UTF8.self)
  }
}

/// Every plain type by its form.
enum PlainTypes {
  private static let numbers: [any (PlainNumber & SendableMetatype).Type] = [
    Int.self, Int8.self, Int16.self, Int32.self, Int64.self,
    UInt.self, UInt8.self, UInt16.self, UInt32.self, UInt64.self, Float.self, Double.self,
  ]

  /// The type of a form; nil for one that there is not.
  static func type(of form: UInt8) -> (any PlainValue.Type)? {
    if form == String.form { return String.self }
    func array<Number: PlainNumber>(of type: Number.Type) -> any PlainValue.Type { [Number].self }
    for number in numbers {
      if form == number.form { return number }
      if form == number.form | 0x80 { return array(of: number) }
    }
    return nil
  }
}
