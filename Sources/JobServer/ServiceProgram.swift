import ArgumentParser
import Glibc
import HTTPServer
import JobCore
import JobStorage
import Logging
public import Multiprocessing
import Reactor

/// The program around the service: which role this process has, and in which order it opens things.
public enum ServiceProgram {
  // Each of these has the same reason: the first thread writes it before there is a second.

  /// The fork server, forked before anything else was touched; nil for every other subcommand.
  nonisolated(unsafe) static var forkServer: ForkServer?  // reason: above.
  /// The tasks that the program was written with, and the initializers.
  nonisolated(unsafe) static var taskNames: Set<String> = []  // reason: above.
  nonisolated(unsafe) static var initializerNames: Set<String> = []  // reason: above.
  /// What `LIDO_TOKENS` held for `serve`; taken out of the environment before the fork server was
  /// forked, which has none of it, and so no worker and no program has.
  // reason: above.
  nonisolated(unsafe) static var tokensGiven: Result<TokenSet, SettingError>?

  /// What the program is called by: `lido`, or the name of a program with tasks of its own.
  static let name: String = {
    let path = CommandLine.arguments.first ?? ""
    return path.split(separator: "/").last.map(String.init) ?? "lido"
  }()

  /// Runs the program: its first and only statement in a synchronous `main`.
  ///
  /// A process of the service that was started by its fork server takes its role here and never
  /// returns. For `serve` the fork server is forked first, while this process has one thread and
  /// has opened nothing: what it holds then, every worker inherits. Only the tokens of the
  /// environment are taken out before, which no worker is to have.
  ///
  /// `initializers` are what the settings of a pool, and who creates one, may name for its workers
  /// to run first.
  public static func main(tasks: [AnyTask], initializers: [AnyTask] = []) -> Never {
    // In every role, the server's as well: names that stand twice are to be told at once.
    let registry = TaskRegistry(tasks, initializers: initializers)
    signal(SIGPIPE, SIG_IGN)
    // A file beyond RLIMIT_FSIZE is an error of write(2) like a full disk, not the end.
    signal(SIGXFSZ, SIG_IGN)
    Bootstrap.takeRole { entry in run(entry, registry) }
    if CommandLine.arguments.dropFirst().first == "serve" {
      tokensGiven = TokenVariable.take(from: environ)
      taskNames = Set(tasks.map(\.name))
      initializerNames = Set(initializers.map(\.name))
      do throws(SystemCallError) {
        forkServer = try ForkServer.start(adoptsOrphans: true) { entry in run(entry, registry) }
      } catch {
        fail("the fork server cannot be started: \(error)")
      }
    }
    let arguments = Array(CommandLine.arguments.dropFirst())
    if let why = CommandLineArguments.whyUnknown(arguments) {
      RootCommand.exit(withError: ValidationError(why))
    }
    RootCommand.main(CommandLineArguments.prepared(arguments))
    exit(0)
  }

  /// The role of a forked child.
  private static func run(_ entry: EntryPoint, _ tasks: TaskRegistry) -> Never {
    switch entry.code {
    case EntryPoint.worker: WorkerLoop.run(tasks: tasks, as: entry)
    case Server.compactorEntry: compact(entry.payload)
    case EntryPoint.sweeper: FolderSweeper.run()
    default: fail("unknown role \(entry.code)")
    }
  }

  /// The compactor: recovers what the sealed segments hold and writes it as a snapshot.
  private static func compact(_ payload: [UInt8]) -> Never {
    Bootstrap.name("lido-snapshot")
    let parts = String(decoding: payload, as: UTF8.self).split(separator: "\n", maxSplits: 2)
    guard parts.count == 3, let sequence = UInt64(parts[0]),
      let format = LogFormat(rawValue: String(parts[1]))
    else { fail("the compactor was told nonsense") }
    do throws(StorageError) {
      _ = try Compaction.run(
        String(parts[2]), through: sequence, at: SystemClock.wallMilliseconds)
      _exit(0)
    } catch {
      LogWriter.makeLog(format, "warning").warning(
        "the compactor ends without a snapshot", metadata: ["error": "\(error)"])
      _exit(70)
    }
  }

  private static func fail(_ reason: String) -> Never {
    tell("lido: \(reason)\n")
    _exit(70)
  }

  /// Writes to standard error, without a buffer that a process which ends at once would lose.
  static func tell(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
  }

  // MARK: Serving

  /// The service ended by an error, which the log has told.
  struct Told: Error {}

  /// Serves until a signal has drained the service.
  ///
  /// - Throws: `SettingError` before anything was begun; `Told`.
  static func serve(_ settings: Settings, _ door: Door, _ forkServer: ForkServer) throws {
    // Last, whatever happens: when this process is gone, so is everything that it has started.
    defer { forkServer.end() }
    let log = LogWriter.makeLog(settings.logFormat, settings.logLevel)
    do {
      try serve(settings, door, forkServer, log)
    } catch let error as SettingError {
      throw error
    } catch {
      log.critical("the service ends by an error", metadata: ["error": "\(error)"])
      throw Told()
    }
  }

  private static func serve(
    _ settings: Settings, _ door: Door, _ forkServer: ForkServer, _ log: Logger
  ) throws {
    raiseDescriptorLimit()
    if let path = settings.portFile { try check(portFile: path) }
    let signals = try SignalSource(
      Server.drainSignals.map(\.number).filter { $0 != SIGHUP || !isIgnored($0) })
    let now = Moment.read()
    tellStart(settings, door, log)
    let (storage, store, report) = try openStorage(settings, at: now, log)
    // While one of them lives, which may be a moment longer than this process, no other service
    // runs a job of this folder that one of them still runs.
    try forkServer.hold(storage.lockDescriptor)
    // The folder is ours now, so a port file that stands there is one that a crash left behind.
    if let path = settings.portFile { PortFile.remove(path) }
    tell(report, of: store, since: now.instant, log)
    var random = SystemRandomNumberGenerator()
    let reactor = try Reactor()
    let logs = try LogFolder(
      "\(settings.directory)/logs", bytesMax: settings.limits.retentionBytesMax,
      isHeld: { store[$0] != nil })
    if let (count, first) = logs.passedOver {
      log.warning(
        "logs of jobs are passed over, as they can be neither read nor removed",
        metadata: ["count": .count(count), "error": "\(first)"])
    }
    let server = Server(
      settings: settings, workerTasks: taskNames, workerInitializers: initializerNames,
      door: door, log: log, forkServer: forkServer,
      pools: try Server.drivers(settings, forkServer, reactor), logs: logs, storage: storage,
      store: store, seed: random.next(), now: now)
    server.makePool = { id, pool in
      try Server.driver(of: pool, id, settings, forkServer, reactor)
    }
    try server.open(reactor, signals)
    try server.run(on: reactor)
    try server.shutDown()
    server.tellStop(at: Moment.read())
  }

  /// Whether a signal was ignored when this program was started, as nohup(1) does with SIGHUP. It
  /// is to stay so; signalfd(2) would read it all the same.
  private static func isIgnored(_ signal: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(signal, nil, &action) == 0 else { return false }
    // A function cannot be compared with another, and this one is the number 1.
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }

  private static func tellStart(_ settings: Settings, _ door: Door, _ log: Logger) {
    var metadata: Logger.Metadata = [
      "version": "\(Server.version)", "pid": .count(Int(getpid())),
      "data": "\(settings.directory)", "sync": "\(settings.sync)",
    ]
    if let path = settings.configFile { metadata["config"] = "\(path)" }
    log.info("starting", metadata: metadata)
    for warning in door.warnings { log.warning("\(warning)") }
  }

  private static func tell(
    _ report: RecoveryReport, of store: JobStore, since begin: Instant, _ log: Logger
  ) {
    for note in report.notes { log.warning("recovery", metadata: ["note": "\(note)"]) }
    let end = Instant(nanoseconds: SystemClock.monotonicNanoseconds)
    log.info(
      "recovered",
      metadata: [
        "jobs": .count(store.count), "open": .count(store.openCount),
        "snapshot": .stringConvertible(report.snapshotSequence),
        "records": .count(report.recordsReplayed), "torn_bytes": .count(report.tornBytes),
        "seconds": .seconds(from: begin, to: end),
      ])
  }

  /// How long a start waits for the end of what a killed service has left behind: its fork server
  /// and its workers, which may be slow or stopped. In nanoseconds: ten seconds.
  private static let leftoversMax: UInt64 = 10_000_000_000

  private static func openStorage(
    _ settings: Settings, at now: Moment, _ log: Logger
  ) throws -> (storage: JobStorage, store: JobStore, report: RecoveryReport) {
    var isTold = false
    while true {
      do throws(StorageError) {
        return try JobStorage.open(
          settings.directory, into: JobStore(forgottenIDsMax: settings.limits.forgottenIDsMax),
          sync: settings.sync, snapshotInterval: settings.snapshotInterval, processID: getpid(),
          at: now)
      } catch {
        // Whoever took the lock just now has not written his name yet, and one who has just ended
        // is not found any more: these are looked at once more as well.
        guard error.code == .inUse, let left = FolderHolder.leftovers(of: settings.directory)
        else { throw error }
        let waited = SystemClock.monotonicNanoseconds - now.instant.nanoseconds
        guard waited < leftoversMax else {
          throw left.isEmpty ? error : Self.stillThere(left, error.path)
        }
        if !isTold, waited > 500_000_000 {
          log.notice(
            "waiting for processes of the service before to end",
            metadata: ["processes": "\(left.joined(separator: ", "))"])
          isTold = true
        }
        // flock(2) has no wait with a bound.
        _ = poll(nil, 0, 10)
      }
    }
  }

  private static func stillThere(_ processes: [String], _ path: String) -> StorageError {
    StorageError(
      .inUse, path: path,
      reason: "the service that used this folder is gone, but not what it has started: process "
        + "\(processes.joined(separator: ", ")); end it first")
  }

  /// Refuses a port file that could not be written later: whoever waits for it would wait for ever.
  private static func check(portFile path: String) throws(SettingError) {
    do throws(PortFile.Unwritable) {
      try PortFile.check(path)
    } catch {
      throw SettingError(source: "port file \(path)", reason: "cannot be written: \(error.reason)")
    }
  }

  /// Each waiting client holds a descriptor: the soft limit is raised to the hard one.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
