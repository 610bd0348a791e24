/// Arrays of any values, as texts of elements.
extension JSONReader {
  /// Reads an array and appends its elements to `text`, minified as ``readText()`` would answer
  /// each, with one comma between two of them; appends to `starts` where each begins in `text`. One
  /// pass, and nothing is allocated for an element.
  ///
  /// - Throws: what ``beginArray()`` and ``skipValue()`` throw, and
  ///   ``JSONError/Reason/numberOutOfRange`` where `text` comes to 4 GiB.
  public mutating func readElements(
    to text: inout [UInt8], starts: inout ContiguousArray<UInt32>
  ) throws(JSONError) {
    try beginArray()
    // What lies together, minified as it came, is copied at once.
    var run = offset..<offset
    while try nextElement() {
      let (range, spaces) = try scanValue()
      if spaces == 0, range.lowerBound == run.upperBound + 1, !run.isEmpty {
        run = run.lowerBound..<range.upperBound
      } else {
        append(run, to: &text)
        run = range.lowerBound..<range.lowerBound
        if spaces == 0 {
          run = range
        } else {
          appendComma(to: &text)
          let source = UnsafeBufferPointer(rebasing: lexer.bytes[range])
          starts.append(UInt32(clamping: text.count))
          Self.append(source, without: spaces, to: &text)
          continue
        }
      }
      // A comma goes in before the run, unless it is the first.
      let shift = text.count + (text.isEmpty ? 0 : 1) - run.lowerBound
      starts.append(UInt32(clamping: range.lowerBound + shift))
      passIntegers(shift: shift, to: &starts)
      run = run.lowerBound..<offset
    }
    append(run, to: &text)
    guard text.count <= Int(UInt32.max) else {
      throw JSONError(.numberOutOfRange, at: offset, expected: "less than 4 GiB of elements")
    }
  }

  /// Goes over elements that are integers of at most 18 digits without a space around them, which
  /// those of long arrays mostly are; what else comes is left to the loop. Behind an element.
  private mutating func passIntegers(shift: Int, to starts: inout ContiguousArray<UInt32>) {
    let bytes = lexer.bytes
    while offset < bytes.count, bytes[offset] == Byte.comma {
      let start = offset &+ 1
      let last = min(bytes.count, start &+ 19)
      var end = start
      while end < last, bytes[end] &- Byte.zero < 10 { end &+= 1 }
      guard end > start, end < last, bytes[end] == Byte.comma || bytes[end] == Byte.closeBracket,
        bytes[start] != Byte.zero || end == start &+ 1
      else { return }
      starts.append(UInt32(clamping: start &+ shift))
      offset = end
    }
  }

  private func append(_ run: Range<Int>, to text: inout [UInt8]) {
    guard !run.isEmpty else { return }
    appendComma(to: &text)
    text.append(contentsOf: UnsafeBufferPointer(rebasing: lexer.bytes[run]))
  }

  private func appendComma(to text: inout [UInt8]) {
    if !text.isEmpty { text.append(Byte.comma) }
  }

  private static func append(
    _ source: UnsafeBufferPointer<UInt8>, without spaces: Int, to text: inout [UInt8]
  ) {
    let count = source.count - spaces
    text.append(addingCapacity: count) { span in
      span.withUnsafeMutableBufferPointer { (target, written) in
        copyWithoutSpace(source, to: target, count: count)
        written = count
      }
    }
  }
}

/// The elements of an array whose text is known to be valid and minified: where each stands, one
/// after the other. It checks nothing.
public struct JSONElements {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var offset: Int

  /// At the first element of `bytes`, which the caller keeps alive and unchanged meanwhile.
  ///
  /// - Parameter offset: the offset of an element's first byte, if it is to begin there.
  public init(_ bytes: UnsafeBufferPointer<UInt8>, from offset: Int = 1) {
    self.bytes = bytes
    self.offset = offset
  }

  /// Where the next element begins.
  public var nextOffset: Int { offset }

  /// Where the next element stands; nil: there is none.
  @inline(__always)
  public mutating func next() -> Range<Int>? {
    let start = offset
    guard start < bytes.count - 1 else { return nil }
    var index = start
    // Numbers and words, which hold no comma.
    if bytes[start] > Byte.quote, bytes[start] != Byte.openBracket, bytes[start] != Byte.openBrace {
      while index < bytes.count &- 1, bytes[index] != Byte.comma { index &+= 1 }
      offset = index &+ 1
      return start..<index
    }
    var depth = 0
    while index < bytes.count - 1 {
      let byte = bytes[index]
      if byte == Byte.comma, depth == 0 { break }
      switch byte {
      case Byte.quote: index = endOfString(from: index) &- 1
      case Byte.openBracket, Byte.openBrace: depth &+= 1
      case Byte.closeBracket, Byte.closeBrace: depth &-= 1
      default: break
      }
      index &+= 1
    }
    offset = index &+ 1
    return start..<index
  }

  private func endOfString(from start: Int) -> Int {
    var index = start &+ 1
    while index < bytes.count, bytes[index] != Byte.quote {
      index &+= bytes[index] == Byte.backslash ? 2 : 1
    }
    return index &+ 1
  }
}
