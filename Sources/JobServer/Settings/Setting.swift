import Glibc
import JobCore
import JobStorage
import Multiprocessing

/// One setting: its name in every place, its default, its explanation, and how its text is read.
///
/// The flag is `--snapshot-interval`, the variable `LIDO_SNAPSHOT_INTERVAL`, the key in `lido.yaml`
/// `snapshot_interval`; all three are derived from the one name here.
enum Setting: String, CaseIterable, Sendable {
  case listen
  case data
  case config
  case processes
  case startMethod = "start-method"
  case maxTasksPerChild = "maxtasksperchild"
  case sync
  case snapshotInterval = "snapshot-interval"
  case maxBody = "max-body"
  case maxConnections = "max-connections"
  case maxHeader = "max-header"
  case headerTimeout = "header-timeout"
  case bodyTimeout = "body-timeout"
  case maxQueued = "max-queued"
  case maxQueuedBytes = "max-queued-bytes"
  case maxPools = "max-pools"
  case maxProcesses = "max-processes"
  case retentionAge = "retention-age"
  case retentionCount = "retention-count"
  case retentionBytes = "retention-bytes"
  case shutdownGrace = "shutdown-grace"
  case portFile = "port-file"
  case tokenFile = "token-file"
  case insecure
  case allowPickle = "allow-pickle"
  case logLevel = "log-level"
  case logFormat = "log-format"

  /// The environment variable.
  var variable: String {
    "LIDO_" + key.uppercased()
  }

  /// The key in the configuration file.
  var key: String {
    String(rawValue.map { $0 == "-" ? "_" : $0 })
  }

  /// What stands for the value in the help.
  var placeholder: String {
    switch self {
    case .listen: "host:port"
    case .data: "dir"
    case .config, .portFile, .tokenFile: "file"
    case .insecure, .allowPickle: "true|false"
    case .processes: "n|auto"
    case .startMethod: "forkserver|spawn"
    case .sync: "always|ms|never"
    case .snapshotInterval, .shutdownGrace, .retentionAge, .headerTimeout, .bodyTimeout: "s"
    case .maxBody, .maxHeader, .maxQueuedBytes, .retentionBytes: "bytes"
    case .maxConnections, .maxQueued, .retentionCount, .maxTasksPerChild, .maxPools,
      .maxProcesses:
      "n"
    case .logLevel: "level"
    case .logFormat: "text|json"
    }
  }

  /// The explanation, with the default.
  var help: String {
    switch self {
    case .listen:
      "Address and port to listen on; port 0 picks a free one. (default: 127.0.0.1:8080)"
    case .data:
      "Folder of the journal and the snapshots; made if missing. (default: ./lido-data)"
    case .config: "Configuration file (YAML). (default: none)"
    case .processes:
      "Worker processes of the default pool; auto: one per CPU that may be used. (default: auto)"
    case .startMethod: "How workers are started. (default: forkserver)"
    case .maxTasksPerChild: "Calls after which a worker is replaced; 0: never. (default: 0)"
    case .sync:
      """
      When the journal is synced to disk: always (before each answer), every so many milliseconds, \
      or never (the system decides). It bounds what a power loss can take; an acknowledged job \
      survives a crash of the service with any of them. (default: 50)
      """
    case .snapshotInterval:
      "Seconds between snapshots, when something changed. (default: 60)"
    case .maxBody: "Largest request body, in bytes or with KiB, MiB, GiB. (default: 8MiB)"
    case .maxConnections:
      "Most connections; fewer if the limit of open files leaves fewer. (default: 16384)"
    case .maxHeader: "Largest request line and header together. (default: 8KiB)"
    case .headerTimeout: "Seconds in which a request's header must be there. (default: 10)"
    case .bodyTimeout: "Seconds in which the rest of a request must be there. (default: 60)"
    case .maxQueued: "Most jobs that are not finished; more are refused. (default: 1000000)"
    case .maxQueuedBytes: "Most bytes of arguments of unfinished jobs. (default: 1GiB)"
    case .maxPools:
      "Most pools that clients created and that are not joined; 0: none. (default: 64)"
    case .maxProcesses:
      "Most workers of a pool that a client creates or resizes. (default: 256)"
    case .retentionAge: "Seconds (or 24h) that a finished job is kept. (default: 24h)"
    case .retentionCount: "Most finished jobs that are kept. (default: 1000000)"
    case .retentionBytes: "Most bytes of finished jobs that are kept. (default: 1GiB)"
    case .shutdownGrace:
      "Seconds that running jobs get to finish after SIGTERM, SIGINT or SIGHUP. (default: 8)"
    case .portFile:
      "File to write the port to when the service is ready; removed when it ends. (default: none)"
    case .tokenFile:
      """
      File of bearer tokens, one a line: clients need one of them. More may stand in the variable \
      \(TokenVariable.name), with commas between them. (default: none)
      """
    case .insecure:
      "Let in whoever reaches the address, without a token and by any name. (default: false)"
    case .allowPickle:
      """
      Pass on values in the pickle of Python to and from pools that allow it: whoever may submit \
      may then run any code there. (default: false)
      """
    case .logLevel:
      "trace, debug, info, notice, warning, error or critical. (default: info)"
    case .logFormat: "Log lines as text, or as JSON objects. (default: text)"
    }
  }

  /// Reads `text` into `settings`.
  ///
  /// - Throws: the reason, in words, when the text is no value of this setting.
  func read(_ text: String, into settings: inout Settings) throws(InvalidValue) {
    switch self {
    case .listen: (settings.host, settings.port) = try Setting.address(text)
    case .data: settings.directory = try Setting.path(text)
    case .config: settings.configFile = try Setting.path(text)
    case .portFile: settings.portFile = try Setting.path(text)
    case .tokenFile: settings.tokenFile = try Setting.path(text)
    case .insecure: settings.isInsecure = try Setting.truth(text)
    case .allowPickle: settings.allowsPickle = try Setting.truth(text, isNumberTaken: true)
    case .processes: settings.defaultPool.processes = try Setting.processes(text)
    case .startMethod: settings.defaultPool.startMethod = try Setting.startMethod(text)
    case .maxTasksPerChild:
      settings.defaultPool.maxTasksPerChild = try Setting.maxTasksPerChild(text)
    case .sync: settings.sync = try Setting.sync(text)
    case .snapshotInterval:
      settings.snapshotInterval = try Setting.milliseconds(text, atLeast: 100)
    case .maxBody: settings.bodyBytesMax = try Setting.bytes(text, in: 1_024...(1 << 30))
    case .maxConnections: settings.connectionsMax = try Setting.count(text, in: 1...1_000_000)
    case .maxHeader: settings.headerBytesMax = try Setting.bytes(text, in: 4_096...(1 << 20))
    case .headerTimeout: settings.headerTimeout = try Setting.milliseconds(text, atLeast: 100)
    case .bodyTimeout: settings.bodyTimeout = try Setting.milliseconds(text, atLeast: 100)
    case .maxQueued: settings.limits.openJobsMax = try Setting.count(text, in: 1...100_000_000)
    case .maxQueuedBytes:
      settings.limits.openBytesMax = try Setting.bytes(text, in: 1_024...Quantity.bytesMax)
    case .maxPools: settings.limits.poolsMax = try Setting.count(text, in: 0...255)
    case .maxProcesses:
      settings.limits.poolProcessesMax = try Setting.count(text, in: 1...1_000)
    case .retentionAge:
      settings.limits.retentionAge = try Setting.milliseconds(text, atLeast: 1_000)
    case .retentionCount:
      settings.limits.retentionJobsMax = try Setting.count(text, in: 0...100_000_000)
    case .retentionBytes:
      settings.limits.retentionBytesMax = try Setting.bytes(text, in: 0...Quantity.bytesMax)
    case .shutdownGrace: settings.shutdownGrace = try Setting.milliseconds(text, atLeast: 0)
    case .logLevel: settings.logLevel = try Setting.logLevel(text)
    case .logFormat: settings.logFormat = try Setting.logFormat(text)
    }
  }

  /// A text that is no value of its setting: the reason.
  struct InvalidValue: Error {
    let reason: String
  }
}

// MARK: Reading values

extension Setting {
  static func path(_ text: String) throws(InvalidValue) -> String {
    guard !text.isEmpty else { throw InvalidValue(reason: "empty; a path is expected") }
    // Nobody else expands it either: a shell does so at the start of a word only, which
    // `--data=~/x` and a file are not.
    guard text != "~", !text.hasPrefix("~/") else {
      throw InvalidValue(reason: "'\(text)': ~ is not expanded here; write the whole path")
    }
    return text
  }

  static func milliseconds(
    _ text: String, atLeast least: Milliseconds
  ) throws(InvalidValue) -> Milliseconds {
    guard let value = Quantity.milliseconds(text), value >= least else {
      throw InvalidValue(
        reason: """
          '\(text)' is not a time from \(least) ms to \(Quantity.daysMax)d, \
          like 0.5, 30, 250ms or 24h
          """)
    }
    return value
  }

  static func bytes(
    _ text: String, in range: ClosedRange<Int>
  ) throws(InvalidValue) -> Int {
    guard let value = Quantity.bytes(text), range.contains(value) else {
      throw InvalidValue(
        reason: """
          '\(text)' is not a size from \(range.lowerBound) to \(range.upperBound) bytes, \
          like 65536, 8MiB or 1GiB
          """)
    }
    return value
  }

  static func count(_ text: String, in range: ClosedRange<Int>) throws(InvalidValue) -> Int {
    guard let value = Quantity.count(text), range.contains(value) else {
      throw InvalidValue(
        reason: "'\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// `host:port`, `[v6]:port`, `host` or `:port`, with a host as `HTTPServerSettings.host` takes
  /// it: an IPv4 or IPv6 address, or `localhost`. No name is looked up.
  static func address(_ text: String) throws(InvalidValue) -> (host: String, port: Int) {
    let hint = Int(text).map {
      (0...65_535).contains($0) ? "; did you mean 127.0.0.1:\(text)?" : ""
    }
    let invalid = InvalidValue(
      reason: """
        '\(text)' is not an address like 127.0.0.1:8080, [::1]:8080, 0.0.0.0:80 or \
        localhost:8080\(hint ?? "")
        """)
    guard !text.isEmpty else { throw invalid }
    var host = text
    var port = 8080
    if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]"),
      text.hasPrefix("[") || text.filter({ $0 == ":" }).count == 1
    {
      guard let number = Int(text[text.index(after: colon)...]), (0...65_535).contains(number)
      else { throw invalid }
      port = number
      host = String(text[..<colon])
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    if host.isEmpty { host = "127.0.0.1" }
    guard isHost(host) else { throw invalid }
    return (host, port)
  }

  /// inet_pton(3), and one name.
  private static func isHost(_ text: String) -> Bool {
    var four = in_addr()
    var six = in6_addr()
    return text == "localhost" || inet_pton(AF_INET, text, &four) == 1
      || inet_pton(AF_INET6, text, &six) == 1
  }

  static func processes(_ text: String) throws(InvalidValue) -> Int? {
    if text == "auto" { return nil }
    guard let value = Quantity.count(text), (1...1_000).contains(value) else {
      throw InvalidValue(reason: "'\(text)' is neither auto nor a number from 1 to 1000")
    }
    return value
  }

  static func startMethod(_ text: String) throws(InvalidValue) -> StartMethod {
    guard let method = StartMethod(rawValue: text), method != .fork else {
      throw InvalidValue(
        reason: """
          '\(text)' is not a start method of the service: forkserver or spawn \
          (fork is for programs that use the library)
          """)
    }
    return method
  }

  static func maxTasksPerChild(_ text: String) throws(InvalidValue) -> Int? {
    guard let value = Quantity.count(text), (0...1_000_000_000).contains(value) else {
      throw InvalidValue(
        reason: "'\(text)' is not a number of calls from 0 (never replaced) to 1000000000")
    }
    return value == 0 ? nil : value
  }

  static func sync(_ text: String) throws(InvalidValue) -> SyncPolicy {
    do {
      return try SyncPolicy(parsing: text)
    } catch {
      throw InvalidValue(reason: "\(error)")
    }
  }

  /// `true` or `false`; where `isNumberTaken`, 1 and 0 as well, as variables have it.
  static func truth(_ text: String, isNumberTaken: Bool = false) throws(InvalidValue) -> Bool {
    if isNumberTaken, text == "1" || text == "0" { return text == "1" }
    guard let value = Bool(text) else {
      throw InvalidValue(reason: "'\(text)' is neither true nor false")
    }
    return value
  }

  static func logLevel(_ text: String) throws(InvalidValue) -> String {
    let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
    guard levels.contains(text) else {
      throw InvalidValue(reason: "'\(text)' is not one of \(levels.joined(separator: ", "))")
    }
    return text
  }

  static func logFormat(_ text: String) throws(InvalidValue) -> LogFormat {
    guard let format = LogFormat(rawValue: text) else {
      let formats = LogFormat.allCases.map(\.rawValue).joined(separator: ", ")
      throw InvalidValue(reason: "'\(text)' is not one of \(formats)")
    }
    return format
  }
}
