import Logging
import Testing

@testable import JobServer

/// How a line of the log looks, and that nothing in a value can change how.
@Suite struct LogLineTests {
  private static let moment: Int64 = 1_795_258_290_004

  private static func line(
    _ format: LogFormat, _ message: String = "ready", _ metadata: Logger.Metadata = [:]
  ) -> String {
    String(
      decoding: LogLine(format, at: moment, .info, message, metadata).bytes, as: UTF8.self)
  }

  /// Values that would end a line, hide a part of it, steer a terminal or look like another member.
  static let hostile = [
    "", " ", "a b", "a=b", "a\"b", "a\\b", "a\\", "\n", "x\n2026-11-21T00:00:00.000Z info forged",
    "\r\n", "\r", "\t", "\u{0}", "\u{1B}[2K", "\u{7F}", "\u{85}", "\u{9B}31m", "\u{2028}",
    "\u{2029}", "\u{202E}txt.exe", "\u{200B}", "\u{FEFF}", "\u{E0041}", "\",\"level\":\"x", "{}",
    "null", "é 東 😀", "\u{FFFD}", "}\n{", "a, b", "[1]",
  ]

  @Test func `a line of text has its time, its level, a message and members by name`() {
    let text = Self.line(
      .text, "worker ended",
      [
        "pool": "default", "pid": .count(12), "exitcode": .count(-9), "note": "no paper left",
        "pools": ["a", "b"], "seconds": .seconds(milliseconds: 21), "ok": .stringConvertible(true),
      ])
    #expect(
      text == """
        2026-11-21T10:51:30.004Z info worker ended exitcode=-9 note="no paper left" ok=true pid=12 \
        pool=default pools=a,b seconds=0.021

        """)
  }

  @Test func `a line of JSON has members of their types`() throws {
    let text = Self.line(
      .json, "worker ended",
      [
        "pid": .count(12), "exitcode": .count(-9), "seconds": .seconds(milliseconds: 21),
        "pools": ["a", "b"], "ok": .stringConvertible(true), "size": .stringConvertible(UInt64.max),
        "endless": .stringConvertible(Double.infinity), "number": "12", "kept": ["a": "b"],
      ])
    #expect(
      text == """
        {"time":"2026-11-21T10:51:30.004Z","level":"info","message":"worker ended",\
        "endless":"inf","exitcode":-9,"kept":"a:b","number":"12","ok":true,"pid":12,\
        "pools":["a","b"],"seconds":0.021,"size":18446744073709551615}

        """)
    #expect(try JSONTree(Array(text.utf8))["size"] != nil)
  }

  @Test(arguments: hostile)
  func `a value of JSON comes back as it was`(value: String) throws {
    for text in [
      Self.line(.json, value, ["time": "\(value)", "job": "\(value)"]),
      Self.line(.json, "m", ["message": "\(value)", "list": ["\(value)"], "\(value)": "x"]),
    ] {
      try Self.expectOneLine(text)
      let tree = try JSONTree(Array(text.utf8))
      #expect(tree["time"]?.string == "2026-11-21T10:51:30.004Z")
      #expect(tree["level"]?.string == "info")
    }
    let tree = try JSONTree(
      Array(Self.line(.json, value, ["job": "\(value)", "time": "\(value)"]).utf8))
    #expect(tree["message"]?.string == value)
    #expect(tree["job"]?.string == value)
    #expect(tree["time_"]?.string == value)
  }

  @Test(arguments: hostile)
  func `a value of text stays in its line and in its place`(value: String) throws {
    let text = Self.line(.text, "m", ["a": "\(value)", "b": .count(1)])
    try Self.expectOneLine(text)
    #expect(text.hasPrefix("2026-11-21T10:51:30.004Z info m a="))
    #expect(text.hasSuffix(" b=1\n"))
    let inside = text.dropFirst("2026-11-21T10:51:30.004Z info m a=".count).dropLast(5)
    if inside.first == "\"" {
      // Quotes inside are escaped, so that the last one is the end.
      var isEscaped = false
      var ends = 0
      for scalar in inside.dropFirst().unicodeScalars {
        if isEscaped {
          isEscaped = false
        } else if scalar == "\\" {
          isEscaped = true
        } else if scalar == "\"" {
          ends += 1
        }
      }
      #expect(ends == 1 && inside.last == "\"", "\(inside)")
    } else {
      #expect(!inside.contains(" ") && !inside.contains("=") && !inside.contains("\""))
    }
  }

  /// One line feed, at the end, and nothing that does something instead of being seen.
  private static func expectOneLine(_ text: String) throws {
    #expect(text.utf8.filter { $0 == 0x0A }.count == 1 && text.utf8.last == 0x0A)
    for scalar in text.unicodeScalars.dropLast() {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        Issue.record("U+\(String(scalar.value, radix: 16)) in \(text.debugDescription)")
      default: break
      }
    }
  }

  @Test(arguments: LogFormat.allCases, ["x", "\u{0}", "é", "😀", "\u{E0041}", "\""])
  func `a line fits into a pipe at once`(format: LogFormat, unit: String) throws {
    let long = String(repeating: unit, count: 5_000)
    for count in [1, 40] {
      var metadata: Logger.Metadata = [:]
      for index in 0..<count {
        metadata["member\(index)"] = index % 3 == 2 ? ["\(long)"] : "\(long)"
      }
      let text = Self.line(format, long, metadata)
      try Self.expectOneLine(text)
      #expect(text.utf8.count <= LogLine.bytesMax)
      #expect(text.contains("…"), "what was cut is marked")
      guard format == .json else { continue }
      let tree = try JSONTree(Array(text.utf8))
      #expect(tree["message"]?.string?.unicodeScalars.first == unit.unicodeScalars.first)
      #expect(tree["member0"]?.string?.unicodeScalars.first == unit.unicodeScalars.first)
    }
  }
}
