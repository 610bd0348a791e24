import JobCore
import Logging

/// Makes one line of the log. A value in, bytes out.
///
/// Names of tasks, ids and messages of errors come from clients, so that nothing in a value may end
/// the line, hide a part of it or steer a terminal: control and format characters (C0, C1, those
/// that turn the direction of text) and the two separators of lines are escaped in both formats.
///
/// A line has at most 4,096 bytes, its end included: what write(2) puts into a pipe at once (see
/// pipe(7), `PIPE_BUF`). Values are cut to fit, with `…` where something is missing.
struct LogLine {
  /// Most bytes of a line.
  static let bytesMax = 4_096
  /// Most bytes of one value, escaped.
  private static let valueBytesMax = 1_024
  /// What has to be left for the ends of everything that is open.
  private static let reserve = 64
  /// What a line has by itself: a member of that name is written with `_` behind it.
  private static let ownNames: Set = ["time", "level", "message"]

  /// The line, with its line feed.
  private(set) var bytes: [UInt8] = []
  private let format: LogFormat

  /// - Parameters:
  ///   - timestamp: when it was written.
  ///   - metadata: written in the order of the names.
  init(
    _ format: LogFormat, at timestamp: Timestamp, _ level: Logger.Level, _ message: String,
    _ metadata: Logger.Metadata
  ) {
    self.format = format
    bytes.reserveCapacity(256)
    let members = metadata.sorted { $0.key < $1.key }
    switch format {
    case .text: writeText(timestamp, level, message, members)
    case .json: writeJSON(timestamp, level, message, members)
    }
    bytes.append(UInt8(ascii: "\n"))
  }

  private typealias Member = (key: String, value: Logger.MetadataValue)

  // MARK: Text

  private mutating func writeText(
    _ timestamp: Timestamp, _ level: Logger.Level, _ message: String, _ members: [Member]
  ) {
    bytes += "\(RFC3339.text(of: timestamp)) \(level.rawValue) ".utf8
    escape(message)
    for (key, value) in members where hasRoom(for: key) {
      bytes.append(UInt8(ascii: " "))
      escape(key)
      bytes.append(UInt8(ascii: "="))
      let text = LogLine.text(of: value)
      if LogLine.isWord(text) {
        escape(text)
      } else {
        quote(text)
      }
    }
  }

  /// Whether a text can stand without quotes and be told from what follows.
  private static func isWord(_ text: String) -> Bool {
    !text.isEmpty
      && text.unicodeScalars.allSatisfy {
        !mustEscape($0) && !$0.properties.isWhitespace && $0 != "\"" && $0 != "=" && $0 != "\\"
      }
  }

  /// A value in one piece, the elements of a list with commas between them.
  private static func text(of value: Logger.MetadataValue) -> String {
    switch value {
    case .string(let text): text
    case .stringConvertible(let value): value.description
    case .array(let values): values.map(text(of:)).joined(separator: ",")
    case .dictionary(let members):
      members.sorted { $0.key < $1.key }.map { "\($0.key):\(text(of: $0.value))" }
        .joined(separator: ",")
    }
  }

  // MARK: JSON

  private mutating func writeJSON(
    _ timestamp: Timestamp, _ level: Logger.Level, _ message: String, _ members: [Member]
  ) {
    bytes += #"{"time":"\#(RFC3339.text(of: timestamp))","level":"\#(level.rawValue)""#.utf8
    bytes += #","message":"#.utf8
    quote(message)
    for (key, value) in members where hasRoom(for: key) {
      bytes.append(UInt8(ascii: ","))
      quote(LogLine.ownNames.contains(key) ? key + "_" : key)
      bytes.append(UInt8(ascii: ":"))
      writeJSON(value)
    }
    bytes.append(UInt8(ascii: "}"))
  }

  private mutating func writeJSON(_ value: Logger.MetadataValue) {
    switch value {
    case .string(let text): quote(text)
    case .stringConvertible(let value): writeJSON(value)
    case .array(let values):
      bytes.append(UInt8(ascii: "["))
      for (index, value) in values.enumerated() where hasRoom(for: "") {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        writeJSON(value)
      }
      bytes.append(UInt8(ascii: "]"))
    // No line has one; it would be as flat as this.
    case .dictionary: quote(LogLine.text(of: value))
    }
  }

  private mutating func writeJSON(_ value: any CustomStringConvertible) {
    switch value {
    case let number as any BinaryInteger: bytes += number.description.utf8
    case let number as Double where number.isFinite: bytes += number.description.utf8
    case let truth as Bool: bytes += truth.description.utf8
    default: quote(value.description)
    }
  }

  // MARK: Characters

  /// Whether a member, or an element, with a value of any length can begin here.
  private func hasRoom(for key: String) -> Bool {
    bytes.count + key.utf8.count + LogLine.reserve * 2 <= LogLine.bytesMax
  }

  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    escape(text, isQuoted: true)
    bytes.append(UInt8(ascii: "\""))
  }

  /// Appends a text, escaped as the format has it, and cut where it gets too long.
  private mutating func escape(_ text: String, isQuoted: Bool = false) {
    let end = min(bytes.count + LogLine.valueBytesMax, LogLine.bytesMax - LogLine.reserve)
    for scalar in text.unicodeScalars {
      guard bytes.count < end else {
        bytes += "…".utf8
        return
      }
      switch scalar {
      case "\"" where isQuoted: bytes += "\\\"".utf8
      case "\\" where isQuoted: bytes += "\\\\".utf8
      case "\n": bytes += "\\n".utf8
      case "\r": bytes += "\\r".utf8
      case "\t": bytes += "\\t".utf8
      case _ where LogLine.mustEscape(scalar): appendCode(of: scalar)
      default: bytes += UTF8.encode(scalar).map(Array.init) ?? []
      }
    }
  }

  /// Characters that do something instead of being seen.
  private static func mustEscape(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value < 0x20 || scalar.value == 0x7F }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: return true
    default: return false
    }
  }

  /// `\u00e9`, by units of UTF-16 (RFC 8259, section 7).
  private mutating func appendCode(of scalar: Unicode.Scalar) {
    for unit in UTF16.encode(scalar).map(Array.init) ?? [] {
      let digits = String(unit, radix: 16)
      bytes += "\\u\(String(repeating: "0", count: 4 - digits.utf8.count))\(digits)".utf8
    }
  }
}
