extension Shared {
  /// A type that has a type code in CPython: an array of them can begin with zeroes.
  ///
  /// Any other type of fixed layout that has no references (`BitwiseCopyable & Sendable`) can be
  /// shared as well, given its first values. Structures need not conform to this.
  public protocol Scalar: BitwiseCopyable, Sendable {
    /// Its type code; `UInt8` is `c`, too.
    static var sharedTypeCode: TypeCode { get }
  }
}

extension Int8: Shared.Scalar {
  /// `b`
  public static var sharedTypeCode: Shared.TypeCode { .signedChar }
}
extension UInt8: Shared.Scalar {
  /// `B`
  public static var sharedTypeCode: Shared.TypeCode { .unsignedChar }
}
extension Int16: Shared.Scalar {
  /// `h`
  public static var sharedTypeCode: Shared.TypeCode { .short }
}
extension UInt16: Shared.Scalar {
  /// `H`
  public static var sharedTypeCode: Shared.TypeCode { .unsignedShort }
}
extension Int32: Shared.Scalar {
  /// `i`
  public static var sharedTypeCode: Shared.TypeCode { .int }
}
extension UInt32: Shared.Scalar {
  /// `I`
  public static var sharedTypeCode: Shared.TypeCode { .unsignedInt }
}
extension Int: Shared.Scalar {
  /// `l`
  public static var sharedTypeCode: Shared.TypeCode { .long }
}
extension UInt: Shared.Scalar {
  /// `L`
  public static var sharedTypeCode: Shared.TypeCode { .unsignedLong }
}
extension Int64: Shared.Scalar {
  /// `q`
  public static var sharedTypeCode: Shared.TypeCode { .longLong }
}
extension UInt64: Shared.Scalar {
  /// `Q`
  public static var sharedTypeCode: Shared.TypeCode { .unsignedLongLong }
}
extension Float: Shared.Scalar {
  /// `f`
  public static var sharedTypeCode: Shared.TypeCode { .float }
}
extension Double: Shared.Scalar {
  /// `d`
  public static var sharedTypeCode: Shared.TypeCode { .double }
}
extension Unicode.Scalar: Shared.Scalar {
  /// `u`
  public static var sharedTypeCode: Shared.TypeCode { .wideChar }
}
