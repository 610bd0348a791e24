extension Shared {
  /// The type codes of CPython's `array` module and `multiprocessing.Value`, as on 64-bit Linux.
  public enum TypeCode: Character, CaseIterable, Sendable {
    /// `c`: a byte. An array of them has `value` and `raw`.
    case char = "c"
    /// `u`: a Unicode scalar, 32 bits.
    case wideChar = "u"
    /// `b`: 8 bits.
    case signedChar = "b"
    /// `B`: 8 bits.
    case unsignedChar = "B"
    /// `h`: 16 bits.
    case short = "h"
    /// `H`: 16 bits.
    case unsignedShort = "H"
    /// `i`: 32 bits.
    case int = "i"
    /// `I`: 32 bits.
    case unsignedInt = "I"
    /// `l`: 64 bits.
    case long = "l"
    /// `L`: 64 bits.
    case unsignedLong = "L"
    /// `q`: 64 bits.
    case longLong = "q"
    /// `Q`: 64 bits.
    case unsignedLongLong = "Q"
    /// `f`: 32 bits.
    case float = "f"
    /// `d`: 64 bits.
    case double = "d"

    /// The code that is written like this. Throws `SharedError` with code `badTypeCode`.
    public init(_ code: Character) throws(SharedError) {
      guard let known = TypeCode(rawValue: code) else { throw SharedError(.badTypeCode(code)) }
      self = known
    }

    /// What it is in Swift: `Int32` for `i`.
    public var type: any Scalar.Type {
      switch self {
      case .char, .unsignedChar: UInt8.self
      case .wideChar: Unicode.Scalar.self
      case .signedChar: Int8.self
      case .short: Int16.self
      case .unsignedShort: UInt16.self
      case .int: Int32.self
      case .unsignedInt: UInt32.self
      case .long: Int.self
      case .unsignedLong: UInt.self
      case .longLong: Int64.self
      case .unsignedLongLong: UInt64.self
      case .float: Float.self
      case .double: Double.self
      }
    }

    /// Its size in bytes.
    public var size: Int { type.bytes }

    /// Throws `SharedError` unless the code is there and of this type.
    static func check<Value: Scalar>(
      _ code: Character, is type: Value.Type
    ) throws(SharedError) {
      let known = try TypeCode(code).type
      guard known == type else { throw SharedError(.wrongType(code, "\(known)")) }
    }
  }
}

extension Shared.Scalar {
  fileprivate static var bytes: Int { MemoryLayout<Self>.size }
}
