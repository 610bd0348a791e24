import ArgumentParser
import Glibc

/// `lido serve`: every flag has a variable and a key of the same name; see `Setting`.
struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve jobs over HTTP until SIGTERM, SIGINT or SIGHUP.",
    discussion: """
      Each setting comes from its flag, else from its environment variable (--snapshot-interval: \
      LIDO_SNAPSHOT_INTERVAL), else from the configuration file (snapshot_interval), else it has \
      its default. Times are seconds, or have a unit: 250ms, 2s, 5m, 24h.
      """)

  @Option(help: help(.listen)) var listen: String?
  @Option(help: help(.data)) var data: String?
  @Option(help: help(.config)) var config: String?
  @Option(help: help(.processes)) var processes: String?
  @Option(help: help(.startMethod)) var startMethod: String?
  @Option(name: .customLong("maxtasksperchild"), help: help(.maxTasksPerChild))
  var maxTasksPerChild: String?
  @Option(help: help(.sync)) var sync: String?
  @Option(help: help(.snapshotInterval)) var snapshotInterval: String?
  @Option(help: help(.maxBody)) var maxBody: String?
  @Option(help: help(.maxConnections)) var maxConnections: String?
  @Option(help: help(.maxHeader)) var maxHeader: String?
  @Option(help: help(.headerTimeout)) var headerTimeout: String?
  @Option(help: help(.bodyTimeout)) var bodyTimeout: String?
  @Option(help: help(.maxQueued)) var maxQueued: String?
  @Option(help: help(.maxQueuedBytes)) var maxQueuedBytes: String?
  @Option(help: help(.maxPools)) var maxPools: String?
  @Option(help: help(.maxProcesses)) var maxProcesses: String?
  @Option(help: help(.retentionAge)) var retentionAge: String?
  @Option(help: help(.retentionCount)) var retentionCount: String?
  @Option(help: help(.retentionBytes)) var retentionBytes: String?
  @Option(help: help(.shutdownGrace)) var shutdownGrace: String?
  @Option(help: help(.portFile)) var portFile: String?
  @Option(help: help(.tokenFile)) var tokenFile: String?
  @Option(defaultAsFlag: "true", parsing: .next, help: help(.insecure)) var insecure: String?
  @Option(defaultAsFlag: "true", parsing: .next, help: help(.allowPickle)) var allowPickle: String?
  @Option(help: help(.logLevel)) var logLevel: String?
  @Option(help: help(.logFormat)) var logFormat: String?

  private static func help(_ setting: Setting) -> ArgumentHelp {
    ArgumentHelp(
      "\(setting.help) [\(setting.variable)]", valueName: setting.placeholder)
  }

  /// What stood on the command line.
  var flags: [Setting: String] {
    let values: [Setting: String?] = [
      .listen: listen, .data: data, .config: config, .processes: processes,
      .startMethod: startMethod, .maxTasksPerChild: maxTasksPerChild, .sync: sync,
      .snapshotInterval: snapshotInterval, .maxBody: maxBody, .maxConnections: maxConnections,
      .maxHeader: maxHeader, .headerTimeout: headerTimeout, .bodyTimeout: bodyTimeout,
      .maxQueued: maxQueued, .maxPools: maxPools, .maxProcesses: maxProcesses,
      .maxQueuedBytes: maxQueuedBytes, .retentionAge: retentionAge,
      .retentionCount: retentionCount, .retentionBytes: retentionBytes,
      .shutdownGrace: shutdownGrace, .portFile: portFile, .tokenFile: tokenFile,
      .insecure: insecure, .allowPickle: allowPickle, .logLevel: logLevel, .logFormat: logFormat,
    ]
    return values.compactMapValues { $0 }
  }

  func run() throws {
    guard let forkServer = ServiceProgram.forkServer else {
      throw ValidationError("serve is started by the program itself")
    }
    do {
      let settings = try SettingSources.join(flags: flags, environment: Environment.variables)
      try settings.checkInitializers(known: ServiceProgram.initializerNames)
      let door = try Door.open(settings, variable: ServiceProgram.tokensGiven)
      try ServiceProgram.serve(settings, door, forkServer)
    } catch let error as SettingError {
      // Not as a `ValidationError`: that is told with the usage of the whole program, in which no
      // setting is named.
      let help = "See '\(ServiceProgram.name) serve --help' for every setting."
      ServiceProgram.tell("Error: \(error)\n\(help)\n")
      throw ExitCode.validationFailure
    } catch is ServiceProgram.Told {
      throw ExitCode.failure
    }
  }
}

/// The whole command line.
struct RootCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: ServiceProgram.name,
    abstract: "A public pool for your processes: Python's multiprocessing over HTTP.",
    version: Server.version,
    subcommands: [ServeCommand.self, CheckCommand.self, SnapshotCommand.self])
}

/// The process's environment.
enum Environment {
  static var variables: [String: String] {
    var variables: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)
      if let equals = text.firstIndex(of: "=") {
        variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      next += 1
    }
    return variables
  }
}
