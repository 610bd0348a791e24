/// Writes JSON by splicing pieces one behind the other; no white space, no tree, no checks of
/// structure.
///
///     var writer = JSONWriter(capacity: 256)
///     writer.beginObject()
///     writer.member("id", string: id)
///     writer.name("result")
///     writer.text(result)              // JSON already: goes in as it is
///     writer.endObject()
///
/// **Commas** put themselves, by the last byte written. Before a name and before a value a comma
/// goes in unless nothing was written yet or the last byte is `{` `[` `:` `,`, a space or a line
/// feed. Minified values never end in one of these, so the rule is exact inside arrays and
/// objects. At the top level it means: values that shall not be joined by a comma are parted by
/// ``raw(_:)`` with a line feed (as in JSON Lines), and what is spliced must be minified (a text
/// that ends in white space would lose its comma).
///
/// The caller closes what it opens and writes a name before each member's value.
public struct JSONWriter: Sendable {
  /// What was written so far, as UTF-8. May be taken, replaced or emptied at any time.
  public var bytes: [UInt8]

  /// A writer of nothing yet, with room for `capacity` bytes.
  public init(capacity: Int = 0) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// Forgets what was written and keeps the memory.
  public mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
  }

  /// Opens an object.
  public mutating func beginObject() { token(Byte.openBrace) }

  /// Closes the innermost object.
  public mutating func endObject() { bytes.append(Byte.closeBrace) }

  /// Opens an array.
  public mutating func beginArray() { token(Byte.openBracket) }

  /// Closes the innermost array.
  public mutating func endArray() { bytes.append(Byte.closeBracket) }

  /// Writes a member's name and the colon. The name must need no escape: no quote, no backslash,
  /// no control character.
  public mutating func name(_ name: StaticString) {
    let count = name.utf8CodeUnitCount
    assert(
      Self.plainCount(UnsafeBufferPointer(start: name.utf8Start, count: count)) == count,
      "the name \(name) needs escapes")
    let comma = commaCount
    append(atMost: count &+ 4) { target in
      target[0] = Byte.comma  // overwritten where none is due
      var place = target + comma
      place[0] = Byte.quote
      (place + 1).initialize(from: name.utf8Start, count: count)
      place += count &+ 1
      place[0] = Byte.quote
      place[1] = Byte.colon
      return comma &+ count &+ 3
    }
  }

  /// Writes a member's name, escaped where needed, and the colon. (Disfavoured, so that a literal
  /// takes the way that copies without looking.)
  @_disfavoredOverload
  public mutating func name(_ name: String) {
    string(name)
    bytes.append(Byte.colon)
  }

  /// Writes a boolean.
  public mutating func bool(_ value: Bool) {
    spliced(value ? "true" : "false")
  }

  /// Writes `null`.
  public mutating func null() {
    spliced("null")
  }

  /// Splices a value that is minified JSON text already. It is not checked.
  public mutating func text(_ json: String) {
    var json = json
    json.withUTF8 { splice($0) }
  }

  /// Splices a value that is minified JSON text already. It is not checked.
  public mutating func text(_ json: [UInt8]) {
    json.withUnsafeBufferPointer { splice($0) }
  }

  /// Splices a value that is minified JSON text already. It is not checked.
  public mutating func text(_ json: UnsafeBufferPointer<UInt8>) {
    splice(json)
  }

  /// Checks the next value of `reader` and splices it, minified, without a string between. On an
  /// error, at most a comma has been written.
  public mutating func text(from reader: inout JSONReader) throws(JSONError) {
    if commaCount == 1 { bytes.append(Byte.comma) }
    try reader.appendText(to: &bytes)
  }

  /// Splices members whose text was known beforehand: `"a":1,"b":true`.
  public mutating func members(_ piece: StaticString) {
    spliced(piece)
  }

  /// Writes `piece` as it is, with no comma before it: line feeds, or prefixes known beforehand.
  public mutating func raw(_ piece: StaticString) {
    bytes.append(
      contentsOf: UnsafeBufferPointer(start: piece.utf8Start, count: piece.utf8CodeUnitCount))
  }
}

// The ways in which bytes get appended.
extension JSONWriter {
  /// 1 when a comma is due before a name or value, else 0: see the rule above.
  @inline(__always)
  var commaCount: Int {
    guard let last = bytes.last else { return 0 }
    switch last {
    case Byte.openBrace, Byte.openBracket, Byte.colon, Byte.comma, Byte.space, Byte.lineFeed:
      return 0
    default: return 1
    }
  }

  /// Makes room for `count` bytes, lets `body` write into it, and keeps as many as it answers.
  @inline(__always)
  mutating func append(atMost count: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int) {
    bytes.append(addingCapacity: count) { span in
      span.withUnsafeMutableBufferPointer { (buffer, written) in
        guard let target = buffer.baseAddress else { return }
        written = body(target)
      }
    }
  }

  /// A comma if due, then one byte.
  @inline(__always)
  private mutating func token(_ byte: UInt8) {
    if commaCount == 1 { bytes.append(Byte.comma) }
    bytes.append(byte)
  }

  /// A comma if due, then a word.
  @inline(__always)
  private mutating func spliced(_ word: StaticString) {
    splice(UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
  }

  /// A comma if due, then `value`, which must not be empty.
  @inline(__always)
  private mutating func splice(_ value: UnsafeBufferPointer<UInt8>) {
    guard let source = value.baseAddress, value.count > 0 else {
      preconditionFailure("an empty text is no JSON value")
    }
    let comma = commaCount
    append(atMost: value.count &+ 1) { target in
      target[0] = Byte.comma
      (target + comma).initialize(from: source, count: value.count)
      return comma &+ value.count
    }
  }
}
