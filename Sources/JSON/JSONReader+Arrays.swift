/// Whole arrays of one kind of scalar, at full speed: what Swift tasks take as arguments.
extension JSONReader {
  /// Reads an array of integers; see ``readInt()``.
  ///
  /// - Throws: what ``beginArray()`` and ``readInt()`` throw; the offset is the element's.
  public mutating func readInts() throws(JSONError) -> [Int] {
    try readElements { (reader, start) throws(JSONError) in
      guard reader.lexer.beginsNumber(at: start) else {
        throw reader.wrongType(at: start, expected: .number)
      }
      return try reader.lexer.integer(at: start)
    }
  }

  /// Reads an array of numbers; see ``readDouble()``.
  ///
  /// - Throws: what ``beginArray()`` and ``readDouble()`` throw; the offset is the element's.
  public mutating func readDoubles() throws(JSONError) -> [Double] {
    try readElements { (reader, start) throws(JSONError) in
      guard reader.lexer.beginsNumber(at: start) else {
        throw reader.wrongType(at: start, expected: .number)
      }
      return try reader.lexer.double(at: start)
    }
  }

  /// Reads an array of strings; see ``readString()``.
  ///
  /// - Throws: what ``beginArray()`` and ``readString()`` throw; the offset is the element's or
  ///   one within it.
  public mutating func readStrings() throws(JSONError) -> [String] {
    try readElements { (reader, start) throws(JSONError) in
      guard start < reader.lexer.bytes.count, reader.lexer.bytes[start] == Byte.quote else {
        throw reader.wrongType(at: start, expected: .string)
      }
      let (end, hasEscapes) = try reader.lexer.endOfString(from: start)
      return (reader.lexer.decodedString(start..<end, hasEscapes: hasEscapes), end)
    }
  }

  /// Reads an array of booleans; see ``readBool()``.
  ///
  /// - Throws: what ``beginArray()`` and ``readBool()`` throw; the offset is the element's.
  public mutating func readBools() throws(JSONError) -> [Bool] {
    try readElements { (reader, start) throws(JSONError) in try reader.bool(at: start) }
  }

  /// Reads an array whose elements `element` reads: it gets the offset of an element's first
  /// byte and answers the element and its end.
  @inline(__always)
  private mutating func readElements<T>(
    _ element: (borrowing JSONReader, Int) throws(JSONError) -> (T, Int)
  ) throws(JSONError) -> [T] {
    var values: [T] = []
    try beginArray()
    var index = lexer.skipSpace(from: offset)
    if index < lexer.bytes.count && lexer.bytes[index] == Byte.closeBracket {
      containers.pop()
      finish(at: index + 1)
      return values
    }
    while true {
      let (value, end) = try element(self, index)
      values.append(value)
      index = lexer.skipSpace(from: end)
      let byte = index < lexer.bytes.count ? lexer.bytes[index] : 0
      if byte == Byte.comma {
        index = lexer.skipSpace(from: index &+ 1)
      } else if byte == Byte.closeBracket {
        containers.pop()
        finish(at: index + 1)
        return values
      } else {
        throw lexer.unexpected(
          index, expected: Self.follower(of: .afterValue, Byte.closeBracket))
      }
    }
  }
}
