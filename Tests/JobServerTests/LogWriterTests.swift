import Glibc
import Logging
import Testing

@testable import JobServer

/// That the log never makes the service wait, and says so when it lost something.
@Suite struct LogWriterTests {
  /// A pipe whose reader is this test.
  private final class Pipe {
    let reader: Int32
    let writer: Int32

    init() throws {
      var ends: [Int32] = [-1, -1]
      try #require(Glibc.pipe(&ends) == 0)
      (reader, writer) = (ends[0], ends[1])
      // Only this end: that of the writer blocks, as standard error does.
      try #require(fcntl(reader, F_SETFL, O_NONBLOCK) == 0)
    }

    deinit {
      close(reader)
      close(writer)
    }

    /// All that is there.
    func lines() -> [String] {
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        let count = read(reader, &buffer, buffer.count)
        guard count > 0 else { break }
        bytes += buffer[..<count]
      }
      return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
  }

  private func log(_ pipe: Pipe, _ level: Logger.Level = .info) -> Logger {
    let writer = LogWriter(.json, level, descriptor: pipe.writer)
    return Logger(label: "test") { _ in writer }
  }

  @Test func `a line is written with its members`() throws {
    let pipe = try Pipe()
    var log = log(pipe)
    log[metadataKey: "always"] = "there"
    log.info("first", metadata: ["number": .count(1)])
    log.debug("not at this level")
    log.error("second", error: Setting.InvalidValue(reason: "why"))
    let lines = try pipe.lines().map { try JSONTree(Array($0.utf8)) }
    #expect(lines.map { $0["message"]?.string } == ["first", "second"])
    #expect(lines.map { $0["level"]?.string } == ["info", "error"])
    #expect(lines.map { $0["always"]?.string } == ["there", "there"])
    #expect(lines[1]["error"]?.string?.contains("why") == true)
  }

  @Test func `a reader that stops is not waited for, and hears how much it missed`() throws {
    let pipe = try Pipe()
    let log = log(pipe)
    let long = String(repeating: "x", count: 900)
    // More than a pipe holds; a write that waited would end the test by its time limit.
    for number in 0..<1_000 {
      log.info("line", metadata: ["number": .count(number), "text": "\(long)"])
    }
    let kept = try pipe.lines().map { try JSONTree(Array($0.utf8)) }
    #expect((1..<1_000).contains(kept.count), "\(kept.count)")
    log.info("later")
    let lines = try pipe.lines().map { try JSONTree(Array($0.utf8)) }
    #expect(lines.count == 2)
    #expect(lines.first?["lines"] == .number("\(1_000 - kept.count)"))
    #expect(lines.last?["message"]?.string == "later")
  }

  @Test func `a reader that is gone is not waited for either`() throws {
    signal(SIGPIPE, SIG_IGN)
    let pipe = try Pipe()
    let log = log(pipe)
    var ends: [Int32] = [-1, -1]
    try #require(Glibc.pipe(&ends) == 0)
    // The reader's end of the pipe becomes that of another.
    try #require(dup2(ends[0], pipe.reader) == pipe.reader)
    log.info("nobody reads this")
    close(ends[0])
    close(ends[1])
  }
}
