/// Reading a whole text: the value by a closure, then nothing but white space.
extension JSONReader {
  /// Reads the one value of `bytes` with `body` and requires the end of the text after it.
  ///
  /// - Parameters:
  ///   - bytes: the text. The reader is valid within `body` only.
  ///   - depthMax: how many arrays and objects may stand within one another.
  ///   - body: reads the value; what it leaves unread is skipped, and checked.
  @inlinable
  public static func read<R>(
    _ bytes: [UInt8], depthMax: Int = 64,
    _ body: (inout JSONReader) throws(JSONError) -> R
  ) throws(JSONError) -> R {
    try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> R in
      try read(buffer, depthMax: depthMax, body)
    }
  }

  /// The same for a part of an array. Offsets count from the beginning of the slice, from 0.
  @inlinable
  public static func read<R>(
    _ bytes: ArraySlice<UInt8>, depthMax: Int = 64,
    _ body: (inout JSONReader) throws(JSONError) -> R
  ) throws(JSONError) -> R {
    try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> R in
      try read(buffer, depthMax: depthMax, body)
    }
  }

  /// The same for a string: its UTF-8 is read in place.
  @inlinable
  public static func read<R>(
    _ text: String, depthMax: Int = 64,
    _ body: (inout JSONReader) throws(JSONError) -> R
  ) throws(JSONError) -> R {
    try text.utf8.span.withUnsafeBufferPointer { (buffer) throws(JSONError) -> R in
      try read(buffer, depthMax: depthMax, body)
    }
  }

  /// The same for memory that the caller keeps alive and unchanged meanwhile.
  @inlinable
  public static func read<R>(
    _ bytes: UnsafeBufferPointer<UInt8>, depthMax: Int = 64,
    _ body: (inout JSONReader) throws(JSONError) -> R
  ) throws(JSONError) -> R {
    var reader = JSONReader(bytes, depthMax: depthMax)
    let result = try body(&reader)
    try reader.end()
    return result
  }
}

/// The one JSON value of `bytes`, checked, as minified text: without the white space between its
/// tokens, else as it was written (numbers, escapes and the order of members stay).
///
/// - Parameter depthMax: how many arrays and objects may stand within one another.
public func minifiedJSON(_ bytes: [UInt8], depthMax: Int = 64) throws(JSONError) -> String {
  try JSONReader.read(bytes, depthMax: depthMax) { (reader) throws(JSONError) in
    try reader.readText()
  }
}

/// The same for a text in a string.
public func minifiedJSON(_ text: String, depthMax: Int = 64) throws(JSONError) -> String {
  try JSONReader.read(text, depthMax: depthMax) { (reader) throws(JSONError) in
    try reader.readText()
  }
}

/// Whether `bytes` are exactly one JSON value as ``minifiedJSON(_:depthMax:)-([UInt8],_)`` writes
/// it, with no white space around or between its tokens: what may be spliced into another text
/// unseen. Copies nothing and makes no string.
public func isMinifiedJSON(_ bytes: UnsafeBufferPointer<UInt8>, depthMax: Int = 64) -> Bool {
  var reader = JSONReader(bytes, depthMax: depthMax)
  guard let (range, spaces) = try? reader.scanValue() else { return false }
  return spaces == 0 && range == 0..<bytes.count
}
