public import JobCore

/// When what was appended to the journal is synced: what an acknowledged job survives when the
/// power fails. It survives the death of the server in all of them.
public enum SyncPolicy: Equatable, Sendable {
  /// Before it is acknowledged: nothing acknowledged is lost.
  case always
  /// At most this many milliseconds after it was appended (from 1).
  case every(milliseconds: Milliseconds)
  /// When the kernel likes; the last half minute may be lost.
  case never

  /// A text that names no policy.
  public struct InvalidText: Error, Equatable, Sendable, CustomStringConvertible {
    /// The text.
    public let text: String

    /// A sentence for the person who wrote it.
    public var description: String {
      "\"\(text)\" is no sync policy: it is \"always\", \"never\", or a time from 1 ms to 1 h,"
        + " as in \"50ms\", \"50\" (milliseconds) or \"2s\""
    }
  }

  /// Reads `always`, `never`, or a time: digits, then `ms`, `s` or nothing for milliseconds.
  public init(parsing text: String) throws(InvalidText) {
    switch text {
    case "always": self = .always
    case "never": self = .never
    default:
      let (digits, scale): (Substring, Milliseconds) =
        if text.hasSuffix("ms") {
          (text.dropLast(2), 1)
        } else if text.hasSuffix("s") {
          (text.dropLast(), 1_000)
        } else {
          (text[...], 1)
        }
      // `Int64("+5")` is a number; a time is digits only.
      guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
        let number = Milliseconds(digits), 1...3_600_000 / scale ~= number
      else { throw InvalidText(text: text) }
      self = .every(milliseconds: number * scale)
    }
  }
}

extension SyncPolicy: CustomStringConvertible {
  /// The policy as `init(parsing:)` reads it.
  public var description: String {
    switch self {
    case .always: "always"
    case .every(let milliseconds): "\(milliseconds)ms"
    case .never: "never"
    }
  }
}
