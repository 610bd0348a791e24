/// Values of any kind as opaque text: checked in one pass without recursion and without a tree.
extension JSONReader {
  /// Reads any value and answers it as minified JSON text: white space between tokens is left
  /// out, everything else stays byte for byte as it was written (`1e400` stays `1e400`).
  public mutating func readText() throws(JSONError) -> String {
    let (range, spaces) = try scanValue()
    let source = UnsafeBufferPointer(rebasing: lexer.bytes[range])
    guard spaces > 0 else { return String(decoding: source, as: UTF8.self) }
    let count = range.count - spaces
    return String(unsafeUninitializedCapacity: count) { output in
      Self.copyWithoutSpace(source, to: output, count: count)
      return count
    }
  }

  /// Reads any value and appends it, as ``readText()`` answers it, to `output`. Saves the string
  /// when the text is spliced into another at once. On an error nothing is appended.
  public mutating func appendText(to output: inout [UInt8]) throws(JSONError) {
    let (range, spaces) = try scanValue()
    let source = UnsafeBufferPointer(rebasing: lexer.bytes[range])
    guard spaces > 0 else { return output.append(contentsOf: source) }
    let count = range.count - spaces
    output.append(addingCapacity: count) { (span) in
      span.withUnsafeMutableBufferPointer { (target, written) in
        Self.copyWithoutSpace(source, to: target, count: count)
        written = count
      }
    }
  }

  /// Passes any value, checking it as well as reading would.
  ///
  /// - Returns: where it stands in the text, without the white space around it.
  @discardableResult
  public mutating func skipValue() throws(JSONError) -> Range<Int> {
    try scanValue().range
  }
}

extension JSONReader {
  /// Passes and checks the next value: where it stands, and how many bytes of white space lie
  /// between its tokens.
  mutating func scanValue() throws(JSONError) -> (range: Range<Int>, spaces: Int) {
    let start = valueStart()
    let outside = containers.depth
    var index = start
    var spaces = 0
    value: while true {
      switch byte(at: index) {
      case Byte.quote: index = try lexer.endOfString(from: index).end
      case Byte.minus, Byte.zero...Byte.nine: index = try lexer.endOfNumber(from: index)
      case Byte.openBracket:
        try enter(isObject: false, at: index)
        index = skipSpace(from: index &+ 1, &spaces)
        guard byte(at: index) == Byte.closeBracket else { continue value }
        containers.pop()
        index &+= 1
      case Byte.openBrace:
        try enter(isObject: true, at: index)
        index = skipSpace(from: index &+ 1, &spaces)
        guard byte(at: index) == Byte.closeBrace else {
          index = try endOfName(from: index, .afterOpening, &spaces)
          continue value
        }
        containers.pop()
        index &+= 1
      default: index = try endOfWord(from: index)
      }
      // A value has ended, and after it perhaps the containers around it.
      while containers.depth > outside {
        index = skipSpace(from: index, &spaces)
        let isObject = containers.isObject
        let byte = byte(at: index)
        if byte == Byte.comma {
          index = skipSpace(from: index &+ 1, &spaces)
          if isObject { index = try endOfName(from: index, .afterValue, &spaces) }
          continue value
        }
        let closing = isObject ? Byte.closeBrace : Byte.closeBracket
        guard byte == closing else {
          throw lexer.unexpected(index, expected: Self.follower(of: .afterValue, closing))
        }
        containers.pop()
        index &+= 1
      }
      finish(at: index)
      return (start..<index, spaces)
    }
  }

  /// The byte at `index`, or at the end of the text 0, which begins and ends nothing.
  @inline(__always)
  private func byte(at index: Int) -> UInt8 {
    index < lexer.bytes.count ? lexer.bytes[index] : 0
  }

  @inline(__always)
  private func skipSpace(from start: Int, _ spaces: inout Int) -> Int {
    let index = lexer.skipSpace(from: start)
    spaces &+= index &- start
    return index
  }

  /// The first byte of the value of the member whose name must begin at `start`, which lies after
  /// an opening brace or after a value's comma.
  @inline(__always)
  private func endOfName(
    from start: Int, _ place: Place, _ spaces: inout Int
  ) throws(JSONError) -> Int {
    guard byte(at: start) == Byte.quote else {
      let isFirst = place == .afterOpening
      throw lexer.unexpected(
        start, expected: isFirst ? Self.follower(of: place, Byte.closeBrace) : "a member's name")
    }
    let end = try lexer.endOfString(from: start).end
    let colon = try afterColon(from: end) &- 1
    spaces &+= colon &- end
    return skipSpace(from: colon &+ 1, &spaces)
  }

  /// The end of the `true`, `false` or `null` that must begin at `start`.
  private func endOfWord(from start: Int) throws(JSONError) -> Int {
    switch byte(at: start) {
    case UInt8(ascii: "t"): return try lexer.endOfWord("true", from: start)
    case UInt8(ascii: "f"): return try lexer.endOfWord("false", from: start)
    case UInt8(ascii: "n"): return try lexer.endOfWord("null", from: start)
    default: throw lexer.unexpected(start, expected: "a value")
    }
  }

  /// Copies the checked value `source` without the white space between its tokens, `count` bytes.
  ///
  /// Outside of strings a byte of valid JSON is white space exactly when it is at most 0x20. So
  /// there, each byte is written and the position moves by a comparison's result: no branch to
  /// mispredict. The write of a last, dropped byte is kept out by the bound.
  @inline(never)
  static func copyWithoutSpace(
    _ source: UnsafeBufferPointer<UInt8>, to target: UnsafeMutableBufferPointer<UInt8>, count: Int
  ) {
    guard let input = source.baseAddress, let output = target.baseAddress else { return }
    let lexer = JSONLexer(bytes: source)
    var read = 0
    var written = 0
    while written < count {
      let byte = input[read]
      output[written] = byte
      read &+= 1
      written &+= byte > Byte.space ? 1 : 0
      guard byte == Byte.quote else { continue }
      let end = lexer.endOfCheckedString(from: read)
      (output + written).update(from: input + read, count: end &- read)
      written &+= end &- read
      read = end
    }
  }
}
