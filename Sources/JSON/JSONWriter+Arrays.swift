/// Whole arrays of one kind of scalar: what Swift tasks answer.
extension JSONWriter {
  /// Writes an array of integers.
  public mutating func ints(_ values: [Int]) {
    beginArray()
    for value in values { integer(isNegative: value < 0, magnitude: UInt64(value.magnitude)) }
    endArray()
  }

  /// Writes an array of numbers; see ``number(_:)``.
  public mutating func doubles(_ values: [Double]) {
    beginArray()
    for value in values { number(value) }
    endArray()
  }

  /// Writes an array of strings; see ``string(_:)-(String)``.
  public mutating func strings(_ values: [String]) {
    beginArray()
    for value in values { string(value) }
    endArray()
  }

  /// Writes an array of booleans.
  public mutating func bools(_ values: [Bool]) {
    beginArray()
    for value in values { bool(value) }
    endArray()
  }
}
