/// Whole arrays of one kind of scalar, at full speed: what Swift tasks answer.
extension JSONWriter {
  /// How many integers are written between two looks at the capacity.
  private static let integersPerRun = 256

  /// Writes an array of integers.
  public mutating func ints(_ values: [Int]) {
    beginArray()
    var index = 0
    while index < values.count {
      let end = min(index + Self.integersPerRun, values.count)
      append(atMost: (end - index) * (Self.digitsMax + 2)) { target in
        var place = target
        for value in values[index..<end] {
          place += Self.write(value < 0, UInt64(value.magnitude), to: place)
          place[0] = Byte.comma
          place += 1
        }
        return place - target
      }
      index = end
    }
    endArrayAfterCommas()
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

  /// Closes an array whose elements each have a comma behind them.
  private mutating func endArrayAfterCommas() {
    if let last = bytes.indices.last, bytes[last] == Byte.comma {
      bytes[last] = Byte.closeBracket
    } else {
      endArray()
    }
  }
}
