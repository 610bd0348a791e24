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
/// **Commas** put themselves. Before a name and before a value a comma goes in unless nothing was
/// written yet, or what was written last opens an array or an object, is a name, or is a piece of
/// ``raw(_:)`` that ends in `{` `[` `:` `,`, a space or a line feed. So values at the top level
/// that shall not be joined by a comma are parted by ``raw(_:)`` with a line feed (as in JSON
/// Lines).
///
/// The caller closes what it opens and writes a name before each member's value.
///
/// **Memory.** Pieces go into a window inside of the writer, and from there, when it is full or
/// ``bytes`` are wanted, to an array. With an array alone, each piece would pay for the questions
/// whether the array is shared and whether it has room, which cost more than most pieces; the
/// window is nobody else's and asks only the second. A piece too large for it goes to the array at
/// once. (So a writer is a large value: pass it on `inout`.)
public struct JSONWriter: Sendable {
  /// How many bytes the window holds: the handles of most jobs whole, and no more than need be, as
  /// it is zeroed for each.
  @usableFromInline static let windowSize = 1024

  /// What has left the window.
  @usableFromInline var kept: [UInt8]
  /// How many bytes of the window are written, 0...windowSize.
  @usableFromInline var filled = 0
  /// 1 when a comma is due before a name or value, else 0: see the rule above.
  @usableFromInline var comma = 0
  @usableFromInline var window = InlineArray<1024, UInt8>(repeating: 0)

  /// A writer of nothing yet, with room for `capacity` bytes.
  @inlinable
  @inline(__always)
  public init(capacity: Int = 0) {
    kept = []
    if capacity > Self.windowSize { kept.reserveCapacity(capacity) }
  }

  /// What was written so far, as UTF-8. May be taken, replaced or emptied at any time. Whoever only
  /// wants to know how much it is asks for ``count``.
  public var bytes: [UInt8] {
    mutating get {
      keep()
      return kept
    }
    _modify {
      keep()
      defer { comma = kept.last.map(Self.commaCount(after:)) ?? 0 }
      yield &kept
    }
  }

  /// How many bytes were written so far.
  @inlinable
  public var count: Int {
    @inline(__always) get { kept.count &+ filled }
  }

  /// Lets `body` read and change what was written from the byte `start` on, except for the last
  /// byte, which tells whether a comma is due.
  public mutating func withUnsafeMutableBytes(
    from start: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void
  ) {
    precondition(start >= 0 && start <= count, "byte \(start) was not written yet")
    guard start >= kept.count else {
      keep()
      return kept.withUnsafeMutableBytes { body(.init(rebasing: $0[start...])) }
    }
    let range = start - kept.count..<filled
    return withWindow { body(.init(UnsafeMutableBufferPointer(rebasing: $0[range]))) }
  }

  /// Forgets what was written and keeps the memory.
  public mutating func removeAll() {
    // To ask costs less than to empty what is empty: few texts leave the window.
    if !kept.isEmpty { kept.removeAll(keepingCapacity: true) }
    filled = 0
    comma = 0
  }

  /// Opens an object.
  @inlinable
  @inline(__always)
  public mutating func beginObject() { open(UInt8(ascii: "{")) }

  /// Closes the innermost object.
  @inlinable
  @inline(__always)
  public mutating func endObject() { close(UInt8(ascii: "}")) }

  /// Opens an array.
  @inlinable
  @inline(__always)
  public mutating func beginArray() { open(UInt8(ascii: "[")) }

  /// Closes the innermost array.
  @inlinable
  @inline(__always)
  public mutating func endArray() { close(UInt8(ascii: "]")) }

  /// Writes a member's name and the colon. The name must need no escape: no quote, no backslash,
  /// no control character. It has at most 1000 bytes.
  ///
  /// It is inlined because the name's length is then known, and the name a few stores.
  @inlinable
  @inline(__always)
  public mutating func name(_ name: StaticString) {
    let count = name.utf8CodeUnitCount
    assert(Self.isPlain(name), "the name \(name) needs escapes")
    append(atMost: count &+ 4) { (target, comma) in
      target[0] = UInt8(ascii: ",")  // overwritten where none is due
      let place = target + comma
      place[0] = UInt8(ascii: "\"")
      (place + 1).initialize(from: name.utf8Start, count: count)
      place[count &+ 1] = UInt8(ascii: "\"")
      place[count &+ 2] = UInt8(ascii: ":")
      return comma &+ count &+ 3
    }
    comma = 0
  }

  /// Writes a member's name, escaped where needed, and the colon. (Disfavoured, so that a literal
  /// takes the way that copies without looking.)
  @_disfavoredOverload
  public mutating func name(_ name: String) {
    string(name)
    put(Byte.colon)
    comma = 0
  }

  /// Writes a boolean.
  public mutating func bool(_ value: Bool) {
    members(value ? "true" : "false")
  }

  /// Writes `null`.
  public mutating func null() {
    members("null")
  }

  /// Splices a value that is minified JSON text already. It is not checked.
  public mutating func text(_ json: String) {
    json.utf8.span.withUnsafeBufferPointer { splice($0) }
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
    if comma == 1 { put(Byte.comma) }
    comma = 0
    keep()
    try reader.appendText(to: &kept)
    comma = 1
  }

  /// Splices members whose text was known beforehand: `"a":1,"b":true`.
  public mutating func members(_ piece: StaticString) {
    splice(UnsafeBufferPointer(start: piece.utf8Start, count: piece.utf8CodeUnitCount))
  }

  /// Writes `piece` as it is, with no comma before it: line feeds, or prefixes known beforehand.
  @inlinable
  @inline(__always)
  public mutating func raw(_ piece: StaticString) {
    let text = UnsafeBufferPointer(start: piece.utf8Start, count: piece.utf8CodeUnitCount)
    guard let last = text.last else { return }
    put(text)
    comma = Self.commaCount(after: last)
  }
}

// The ways in which bytes get appended.
extension JSONWriter {
  /// 1 when a comma is due behind a piece that ends in `last`, else 0.
  @inlinable
  @inline(__always)
  static func commaCount(after last: UInt8) -> Int {
    switch last {
    case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"), UInt8(ascii: ","): 0
    case UInt8(ascii: " "), UInt8(ascii: "\n"): 0
    default: 1
    }
  }

  /// Makes room in the window for `count` bytes, lets `body` write into it, which is told whether
  /// a comma is due, and keeps as many as it answers.
  @inlinable
  @inline(__always)
  mutating func append(
    atMost count: Int, _ body: (_ target: UnsafeMutablePointer<UInt8>, _ comma: Int) -> Int
  ) {
    if Self.windowSize &- filled < count { makeRoom(for: count) }
    let (filled, comma) = (filled, comma)
    self.filled = filled &+ withWindow { body($0.baseAddress.unsafelyUnwrapped + filled, comma) }
  }

  @inlinable
  @inline(__always)
  mutating func withWindow<Result>(
    _ body: (UnsafeMutableBufferPointer<UInt8>) -> Result
  ) -> Result {
    var span = window.mutableSpan
    assert(span.count == Self.windowSize)
    return span.withUnsafeMutableBufferPointer(body)
  }

  /// Empties the window, and stops the program if it has no room for `count` bytes even then.
  @inline(never)
  @usableFromInline
  mutating func makeRoom(for count: Int) {
    precondition(count >= 0 && count <= Self.windowSize, "larger than the window")
    keep()
  }

  /// Moves what is in the window to the array.
  @inline(never)
  private mutating func keep() {
    guard filled > 0 else { return }
    window.span.extracting(..<filled).withUnsafeBufferPointer { text in
      if kept.capacity == 0 { kept = [UInt8](text) } else { kept.append(contentsOf: text) }
    }
    filled = 0
  }

  @inlinable
  @inline(__always)
  mutating func open(_ byte: UInt8) {
    append(atMost: 2) { (target, comma) in
      target[0] = UInt8(ascii: ",")
      target[comma] = byte
      return comma &+ 1
    }
    comma = 0
  }

  @inlinable
  @inline(__always)
  mutating func close(_ byte: UInt8) {
    put(byte)
    comma = 1
  }

  /// One byte as it is.
  @inlinable
  @inline(__always)
  mutating func put(_ byte: UInt8) {
    append(atMost: 1) { (target, _) in
      target[0] = byte
      return 1
    }
  }

  /// Bytes as they are.
  @inlinable
  @inline(__always)
  mutating func put(_ text: UnsafeBufferPointer<UInt8>) {
    guard let source = text.baseAddress, text.count <= Self.windowSize &- filled else {
      return putLarge(text)
    }
    append(atMost: text.count) { (target, _) in
      target.initialize(from: source, count: text.count)
      return text.count
    }
  }

  /// Bytes that have no room in the window.
  @inline(never)
  @usableFromInline
  mutating func putLarge(_ text: UnsafeBufferPointer<UInt8>) {
    // The end of the text still comes: room for it saves a large value a second copy.
    let due = count &+ text.count &+ Self.windowSize
    if due > kept.capacity { kept.reserveCapacity(max(due, kept.capacity &* 2)) }
    keep()
    kept.append(contentsOf: text)
  }

  /// A comma if due, then `value`, which must not be empty.
  @inline(__always)
  private mutating func splice(_ value: UnsafeBufferPointer<UInt8>) {
    precondition(value.count > 0, "an empty text is no JSON value")
    if comma == 1 { put(Byte.comma) }
    put(value)
    comma = 1
  }
}
