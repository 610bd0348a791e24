/// A name and its value in one call. A `nil` given to `memberIfPresent` writes nothing.
extension JSONWriter {
  /// Writes a member with a string; see ``string(_:)-(String)``.
  @inlinable
  @inline(__always)
  public mutating func member(_ name: StaticString, string value: String) {
    self.name(name)
    string(value)
  }

  /// Writes a member with an integer.
  @inlinable
  @inline(__always)
  public mutating func member(_ name: StaticString, integer value: some FixedWidthInteger) {
    self.name(name)
    integer(value)
  }

  /// Writes a member with a number; see ``number(_:)``.
  @inlinable
  @inline(__always)
  public mutating func member(_ name: StaticString, number value: Double) {
    self.name(name)
    number(value)
  }

  /// Writes a member with a boolean.
  @inlinable
  @inline(__always)
  public mutating func member(_ name: StaticString, bool value: Bool) {
    self.name(name)
    bool(value)
  }

  /// Writes a member with a value that is minified JSON text already; see ``text(_:)-(String)``.
  @inlinable
  @inline(__always)
  public mutating func member(_ name: StaticString, text value: String) {
    self.name(name)
    text(value)
  }

  /// Writes a member with a value that is minified JSON text already; see ``text(_:)-(String)``.
  @inlinable
  @inline(__always)
  public mutating func member(_ name: StaticString, text value: [UInt8]) {
    self.name(name)
    text(value)
  }

  /// Writes a member with a string unless it is `nil`.
  @inlinable
  public mutating func memberIfPresent(_ name: StaticString, string value: String?) {
    if let value { member(name, string: value) }
  }

  /// Writes a member with an integer unless it is `nil`.
  @inlinable
  public mutating func memberIfPresent<I: FixedWidthInteger>(
    _ name: StaticString, integer value: I?
  ) {
    if let value { member(name, integer: value) }
  }

  /// Writes a member with a number unless it is `nil`.
  @inlinable
  public mutating func memberIfPresent(_ name: StaticString, number value: Double?) {
    if let value { member(name, number: value) }
  }

  /// Writes a member with a boolean unless it is `nil`.
  @inlinable
  public mutating func memberIfPresent(_ name: StaticString, bool value: Bool?) {
    if let value { member(name, bool: value) }
  }

  /// Writes a member with a value that is minified JSON text already, unless it is `nil`.
  @inlinable
  public mutating func memberIfPresent(_ name: StaticString, text value: String?) {
    if let value { member(name, text: value) }
  }
}
