import JobCore

/// How far a reader of a job's events is, as the `id:` of each event tells it and `Last-Event-ID`
/// brings it back.
///
/// Its text is five numbers with points between them; clients are not to read it.
struct EventCursor: Equatable {
  /// The version of the job that was told last; 0: none was.
  var version: UInt32 = 0
  /// When the run began whose news, and whose logs, the rest is about: each has its own.
  var run: Timestamp = 0
  /// The last piece of news that was told, from 1.
  var serial: UInt64 = 0
  /// Bytes of stderr, and of stdout, that were told.
  var stderr = 0
  var stdout = 0

  /// Nothing was told.
  init() {}

  /// Reads the text; nil for any other.
  init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 5, text.utf8.count <= 100, let version = UInt32(parts[0]),
      let run = Timestamp(parts[1]), let serial = UInt64(parts[2]), let stderr = Int(parts[3]),
      let stdout = Int(parts[4]), stderr >= 0, stdout >= 0
    else { return nil }
    (self.version, self.run, self.serial) = (version, run, serial)
    (self.stderr, self.stdout) = (stderr, stdout)
  }

  /// The text.
  var text: String { "\(version).\(run).\(serial).\(stderr).\(stdout)" }

  /// Another run begins, with news and logs of its own.
  mutating func begin(run: Timestamp) {
    guard run != self.run else { return }
    self.run = run
    serial = 0
    stderr = 0
    stdout = 0
  }
}
