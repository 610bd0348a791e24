/// A pull reader: a cursor over one JSON text (RFC 8259) that validates what it passes and builds
/// nothing that it was not asked for.
///
/// Reading an object looks like this; arrays work the same with ``beginArray()`` and
/// ``nextElement()``:
///
///     let job = try JSONReader.read(body) { (reader) throws(JSONError) in
///       var job = Submission()
///       try reader.beginObject()
///       while let name = try reader.nextMember() {
///         switch name {
///         case "task": job.task = try reader.readString()
///         case "args": job.args = try reader.readText()
///         default: try reader.skipValue()
///         }
///       }
///       return job
///     }
///
/// - A value that is not read is skipped, and validated, by the next ``nextMember()``,
///   ``nextElement()`` or ``end()``. Reading a value where none is next (twice in a row, or right
///   after a `begin…()`) is a mistake of the program and stops it.
/// - After an error the reader must not be used any more.
/// - A copy is a saved place: read on with either. Nothing here is shared or locked.
/// - It accepts exactly what RFC 8259 does, in UTF-8 without a byte order mark, with no lone
///   surrogate (I-JSON, RFC 7493, section 2.1), nested to at most a given depth. Duplicate names
///   pass; see ``duplicateName(_:)``.
public struct JSONReader {
  /// What stands at the cursor.
  enum Place {
    /// A value, after white space.
    case beforeValue
    /// The first member, the first element, or the closing bracket.
    case afterOpening
    /// A comma, a closing bracket, or the end of the text.
    case afterValue
  }

  /// The whole text.
  let lexer: JSONLexer
  /// The greatest number of arrays and objects within one another.
  public let depthMax: Int
  /// The cursor: bytes from the beginning of the text, from 0.
  public internal(set) var offset = 0
  /// Where the opening quote of the name that ``nextMember()`` answered last stands; 0 before.
  public private(set) var nameOffset = 0
  var place = Place.beforeValue
  var containers = ContainerStack()

  /// A reader at the beginning of `bytes`, which the caller keeps alive and unchanged while the
  /// reader, or a copy of it, is used. Prefer ``read(_:depthMax:_:)-([UInt8],_,_)``.
  ///
  /// - Parameter depthMax: how many arrays and objects may stand within one another; a scalar has
  ///   depth 0, `[]` has depth 1.
  public init(_ bytes: UnsafeBufferPointer<UInt8>, depthMax: Int = 64) {
    lexer = JSONLexer(bytes: bytes)
    self.depthMax = depthMax
  }

  /// The kind of the next value. Skips the white space before it and consumes nothing else.
  ///
  /// - Throws: ``JSONError/Reason/unexpectedByte`` when what follows begins no value.
  public mutating func kind() throws(JSONError) -> JSONKind {
    try lexer.kind(at: valueStart())
  }

  /// Enters the object that is next.
  ///
  /// - Throws: ``JSONError/Reason/wrongType(expected:found:)`` when it is something else,
  ///   ``JSONError/Reason/tooDeep`` when it lies deeper than ``depthMax``.
  public mutating func beginObject() throws(JSONError) {
    try open(.object)
  }

  /// Goes to the next member of the innermost object: answers its decoded name and stands at its
  /// value, or consumes the closing brace and answers `nil`.
  public mutating func nextMember() throws(JSONError) -> String? {
    precondition(
      containers.depth > 0 && containers.isObject, "nextMember() is for the inside of an object")
    guard try !closes(Byte.closeBrace) else { return nil }
    let start = offset
    guard start < lexer.bytes.count, lexer.bytes[start] == Byte.quote else {
      throw lexer.unexpected(start, expected: "a member's name")
    }
    nameOffset = start
    let (end, hasEscapes) = try lexer.endOfString(from: start)
    offset = try afterColon(from: end)
    place = .beforeValue
    return lexer.decodedString(start..<end, hasEscapes: hasEscapes)
  }

  /// Enters the array that is next.
  ///
  /// - Throws: ``JSONError/Reason/wrongType(expected:found:)`` when it is something else,
  ///   ``JSONError/Reason/tooDeep`` when it lies deeper than ``depthMax``.
  public mutating func beginArray() throws(JSONError) {
    try open(.array)
  }

  /// Goes to the next element of the innermost array and answers `true`, or consumes the closing
  /// bracket and answers `false`.
  public mutating func nextElement() throws(JSONError) -> Bool {
    precondition(
      containers.depth > 0 && !containers.isObject, "nextElement() is for the inside of an array")
    guard try !closes(Byte.closeBracket) else { return false }
    place = .beforeValue
    return true
  }

  /// Requires the end of the text: only white space may remain. Every object and array that was
  /// entered must have been read to its end.
  ///
  /// - Throws: ``JSONError/Reason/trailingText``.
  public mutating func end() throws(JSONError) {
    precondition(containers.depth == 0, "end() inside of an array or object")
    if place == .beforeValue { try skipValue() }
    offset = lexer.skipSpace(from: offset)
    guard offset == lexer.bytes.count else {
      throw JSONError(.trailingText, at: offset, found: lexer.bytes[offset])
    }
  }

  /// The error to throw when the name that ``nextMember()`` answered last had come before in the
  /// same object.
  public func duplicateName(_ name: String) -> JSONError {
    JSONError(reason: .duplicateName(name), offset: nameOffset)
  }
}

// Moving the cursor.
extension JSONReader {
  /// Moves over white space to the first byte of the value that must be next.
  @inline(__always)
  mutating func valueStart() -> Int {
    precondition(place == .beforeValue, "no value is next: call nextMember() or nextElement()")
    offset = lexer.skipSpace(from: offset)
    return offset
  }

  /// Moves past a value that ends at `end`.
  @inline(__always)
  mutating func finish(at end: Int) {
    offset = end
    place = .afterValue
  }

  /// The error for a value at `start` that is not of the kind `expected`, or that is none.
  @inline(never)
  func wrongType(at start: Int, expected: JSONKind) -> JSONError {
    do {
      let found = try lexer.kind(at: start)
      return JSONError(
        .wrongType(expected: expected.rawValue, found: found.rawValue), at: start)
    } catch {
      return error
    }
  }

  private mutating func open(_ kind: JSONKind) throws(JSONError) {
    let start = valueStart()
    let bracket = kind == .object ? Byte.openBrace : Byte.openBracket
    guard start < lexer.bytes.count, lexer.bytes[start] == bracket else {
      throw wrongType(at: start, expected: kind)
    }
    try enter(isObject: kind == .object, at: start)
    offset = start + 1
    place = .afterOpening
  }

  /// Counts the container whose bracket is at `start`, unless it is one too many.
  @inline(__always)
  mutating func enter(isObject: Bool, at start: Int) throws(JSONError) {
    guard containers.depth < depthMax else {
      throw JSONError(.tooDeep, at: start, expected: "\(depthMax)")
    }
    containers.push(isObject: isObject)
  }

  /// Moves over the comma to what follows it, or past the closing bracket and answers `true`.
  private mutating func closes(_ bracket: UInt8) throws(JSONError) -> Bool {
    if place == .beforeValue { try skipValue() }
    offset = lexer.skipSpace(from: offset)
    guard offset < lexer.bytes.count else {
      throw lexer.unexpected(offset, expected: Self.follower(of: place, bracket))
    }
    let byte = lexer.bytes[offset]
    if byte == bracket {
      containers.pop()
      finish(at: offset + 1)
      return true
    }
    guard place == .afterValue else { return false }
    guard byte == Byte.comma else {
      throw lexer.unexpected(offset, expected: Self.follower(of: place, bracket))
    }
    offset = lexer.skipSpace(from: offset + 1)
    return false
  }

  /// What may follow at `place` in the container that `bracket` closes, in words.
  static func follower(of place: Place, _ bracket: UInt8) -> String {
    let isObject = bracket == Byte.closeBrace
    return switch place {
    case .afterOpening: isObject ? "a member's name or \"}\"" : "a value or \"]\""
    case .afterValue: isObject ? "a comma or \"}\"" : "a comma or \"]\""
    case .beforeValue: "a value"
    }
  }

  /// The offset of the first byte after the colon that must follow a name that ends at `end`.
  @inline(__always)
  func afterColon(from end: Int) throws(JSONError) -> Int {
    let colon = lexer.skipSpace(from: end)
    guard colon < lexer.bytes.count, lexer.bytes[colon] == Byte.colon else {
      throw lexer.unexpected(colon, expected: "a colon")
    }
    return colon &+ 1
  }
}
