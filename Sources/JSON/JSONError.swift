/// Why a text was refused, and where.
///
/// Two errors are equal when their reason and offset are; the words of ``description`` are for
/// people and are no part of the promise.
public struct JSONError: Error, Equatable, Sendable {
  /// What is wrong. Where ``JSONError/offset`` points is said with each case.
  public enum Reason: Equatable, Sendable {
    /// The text is the beginning of a valid one, but ends too early. The offset is its length.
    case unexpectedEnd
    /// A byte that cannot stand here. The offset is that byte's.
    case unexpectedByte
    /// The text begins with U+FEFF, which RFC 8259 (section 8.1) forbids to add. The offset is 0.
    case byteOrderMark
    /// Bytes in a string that are not UTF-8 (RFC 3629): overlong, an encoded surrogate, above
    /// U+10FFFF, or a stray or missing continuation byte. The offset is the sequence's first byte.
    case invalidUTF8
    /// A backslash that no escape follows. The offset is the backslash.
    case invalidEscape
    /// A `\u` escape of one half of a surrogate pair without its other half. The offset is its
    /// backslash.
    case loneSurrogate
    /// A byte below 0x20 in a string, which must be escaped. The offset is that byte's.
    case controlCharacter
    /// A number that breaks the grammar, like `01`, `-x` or `1.`. The offset is the first byte
    /// that cannot stand there.
    case invalidNumber
    /// More arrays and objects within one another than allowed. The offset is the first bracket
    /// too many.
    case tooDeep
    /// Something after the end of the value. The offset is its first byte.
    case trailingText
    /// A valid value of another kind than the one asked for. The offset is the value's first byte.
    case wrongType(expected: String, found: String)
    /// A number that does not fit the type asked for. The offset is its first byte.
    case numberOutOfRange
    /// A number with a fraction or an exponent where an integer was asked for, `1.0` and `1e3`
    /// included. The offset is its first byte.
    case notAnInteger
    /// A member whose name the same object had before. The reader never says so by itself: RFC
    /// 8259 allows it, and an opaque text passes as it is. It is for whoever reads the members of
    /// a request. The offset is the second name's opening quote.
    case duplicateName(String)
  }

  /// What is wrong.
  public let reason: Reason
  /// Where it is wrong: bytes from the beginning of the text, from 0.
  public let offset: Int
  /// What could have stood at `offset`, in words; `nil` when the reason says it all.
  let expected: String?
  /// The byte at `offset`; `nil` when the text ends there or the byte explains nothing.
  let found: UInt8?

  /// An error for a rule that a reader's user enforces, like ``Reason/duplicateName(_:)``.
  public init(reason: Reason, offset: Int) {
    self.init(reason, at: offset)
  }

  /// An error with the words for its description. Out of line: no hot path pays for its failure.
  @inline(never)
  init(_ reason: Reason, at offset: Int, expected: String? = nil, found: UInt8? = nil) {
    self.reason = reason
    self.offset = offset
    self.expected = expected
    self.found = found
  }

  /// Equal when reason and offset are.
  public static func == (left: JSONError, right: JSONError) -> Bool {
    left.reason == right.reason && left.offset == right.offset
  }
}

extension JSONError: CustomStringConvertible {
  /// One sentence: what is wrong, at which byte, and what would be right.
  public var description: String {
    switch reason {
    case .unexpectedEnd: "the text ends at byte \(offset) where \(expectation) should follow"
    case .unexpectedByte: "\(culprit) at byte \(offset), where \(expectation) should stand"
    case .byteOrderMark: "a byte order mark at byte \(offset): the text must begin with a value"
    case .invalidUTF8: "bytes that are not UTF-8 at byte \(offset): text must be valid UTF-8"
    case .invalidEscape:
      #"an unknown escape at byte \#(offset): one of \" \\ \/ \b \f \n \r \t or \u and "#
        + "four hexadecimal digits should stand there"
    case .loneSurrogate:
      "half of a surrogate pair at byte \(offset): an escape of the other half must go with it"
    case .controlCharacter:
      "\(culprit) in a string at byte \(offset): control characters must be escaped"
    case .invalidNumber: "\(culprit) in a number at byte \(offset), where \(expectation) is right"
    case .tooDeep:
      "too many arrays and objects within one another at byte \(offset): "
        + "at most \(expectation) are taken"
    case .trailingText:
      "\(culprit) at byte \(offset), after the end of the value: nothing may follow"
    case .wrongType(let expected, let found):
      "a value of type \(found) at byte \(offset), where one of type \(expected) should stand"
    case .numberOutOfRange: "a number at byte \(offset) is out of range: \(expectation) is right"
    case .notAnInteger:
      "a number at byte \(offset) is no integer: it must have no fraction and no exponent"
    case .duplicateName(let name):
      "a second member \"\(name)\" at byte \(offset): a name may be given only once"
    }
  }

  private var expectation: String { expected ?? "something else" }

  private var culprit: String {
    guard let found else { return "an unexpected byte" }
    switch found {
    case 0x21...0x7E where found != 0x22:
      return "an unexpected \"\(Character(Unicode.Scalar(found)))\""
    case 0x22: return "an unexpected quote"
    default:
      let digits = String(found, radix: 16, uppercase: true)
      return "an unexpected byte 0x" + (found < 16 ? "0" : "") + digits
    }
  }
}
