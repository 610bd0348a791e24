import Glibc
import JobCore
import Logging
import Reactor

/// Writes each line of the log with one write(2), and never waits for whoever reads it.
///
/// The loop has one thread. If standard error is a pipe or a socket that nobody empties, a write
/// would hold up every client, so each is preceded by poll(2): a line that does not fit now is
/// dropped, and the next that fits is preceded by one that says how many were. A line is no longer
/// than a pipe takes at once, so that a pipe which poll calls writable takes it whole (pipe(7));
/// only if a worker that prints fills the last page in that very moment does the write wait.
///
/// For one thread of a process.
struct LogWriter: LogHandler {
  /// The least level that is written.
  var logLevel: Logger.Level
  /// Members of every line.
  var metadata: Logger.Metadata = [:]
  /// Not asked: nothing here is known by the thread that runs.
  var metadataProvider: Logger.MetadataProvider?

  private let format: LogFormat
  private let descriptor: Int32
  private let past = Past()

  /// What copies of a writer share.
  private final class Past: Sendable {
    /// Lines that were dropped since the last one that was written.
    nonisolated(unsafe) var lostCount = 0  // reason: one thread of a process logs.
    /// Whether the last line was written in part, so that the next one begins with its end.
    nonisolated(unsafe) var isTorn = false  // reason: one thread of a process logs.
  }

  init(_ format: LogFormat, _ level: Logger.Level, descriptor: Int32 = STDERR_FILENO) {
    self.format = format
    self.descriptor = descriptor
    logLevel = level
  }

  /// A logger that writes to standard error.
  static func makeLog(_ format: LogFormat, _ level: String) -> Logger {
    let writer = LogWriter(format, Logger.Level(rawValue: level) ?? .info)
    var log = Logger(label: "lido") { _ in writer }
    log.logLevel = writer.logLevel
    return log
  }

  subscript(metadataKey key: String) -> Logger.MetadataValue? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  /// Writes a line, or drops it.
  func log(event: LogEvent) {
    var members = metadata.merging(event.metadata ?? [:]) { $1 }
    if let error = event.error { members["error"] = "\(error)" }
    let timestamp = SystemClock.wallMilliseconds
    if past.lostCount > 0 {
      let notice = LogLine(
        format, at: timestamp, .warning, "log lines were lost: standard error took no more",
        ["lines": .count(past.lostCount)])
      if put(notice.bytes) { past.lostCount = 0 }
    }
    let line = LogLine(format, at: timestamp, event.level, event.message.description, members)
    guard past.lostCount == 0, put(line.bytes) else {
      past.lostCount += 1
      return
    }
  }

  /// Whether the line was written whole.
  private func put(_ line: [UInt8]) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard poll(&entry, 1, 0) == 1, entry.revents & Int16(POLLOUT) != 0 else { return false }
    let bytes = past.isTorn ? [UInt8(ascii: "\n")] + line : line
    let written = bytes.withUnsafeBytes { buffer in
      while true {
        let count = write(descriptor, buffer.baseAddress, buffer.count)
        if count >= 0 || errno != EINTR { return count }
      }
    }
    if written > 0 { past.isTorn = written < bytes.count }
    return written == bytes.count
  }
}

extension Logger.MetadataValue {
  /// A number, which is one in JSON too.
  static func count(_ value: Int) -> Logger.MetadataValue { .stringConvertible(value) }

  /// A time in seconds, to the millisecond.
  static func seconds(milliseconds: Int64) -> Logger.MetadataValue {
    .stringConvertible(Double(milliseconds) / 1_000)
  }

  /// The time from one instant to a later one in seconds, to the millisecond.
  static func seconds(from earlier: Instant, to later: Instant) -> Logger.MetadataValue {
    let nanoseconds = later.nanoseconds - min(earlier.nanoseconds, later.nanoseconds)
    return .seconds(milliseconds: Int64(nanoseconds / 1_000_000))
  }
}
