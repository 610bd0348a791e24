import CMicroHTTPD
import Glibc

/// An HTTP/1.1 server of one thread, its owner's: it never blocks, starts no thread and reads no
/// clock. The only door to libmicrohttpd (0.9.75, external epoll mode).
///
/// The owner watches the descriptors for which the server asks it (`HTTPWatcher`), and calls
/// `run(at:)` when `nextDeadline` has come, which is at once after one of them was ready; a route's
/// action gets a value and gives a value, or owes one (`PendingResponse`). All calls are made on
/// one thread; the actions are called from within `run`.
///
/// The process must ignore SIGPIPE (`signal(SIGPIPE, SIG_IGN)`): libmicrohttpd is told that it
/// does. All descriptors are closed on exec.
public final class HTTPServer {
  /// Descriptors left to the rest of the process by the connection limit.
  private static let descriptorReserve = 64

  /// The port in force.
  public let port: Int
  /// Connections that may be open at once: as set, or what the limit of open files leaves.
  public let connectionsMax: Int
  /// Connections that are open.
  public internal(set) var connectionCount = 0
  /// Whether nobody is accepted for now: there is no room for one more, and nobody idle to close.
  public var isAcceptingHeld: Bool { acceptsAgainAt != nil }
  /// Answers that are owed.
  public internal(set) var pendingCount = 0
  /// Answers whose body is being streamed.
  public internal(set) var streamCount = 0

  let settings: HTTPServerSettings
  let router: Router
  let problem: (HTTPRefusal) -> HTTPResponse
  let admit: ((HTTPArrival) -> HTTPDenial?)?
  let observe: ((HTTPObservation) -> Void)?
  let fieldTable: FieldTable
  /// What was read in headers that may come again.
  var headerMemory = HeaderMemory()

  /// Calls of libmicrohttpd that had something to tell.
  var activity: UInt64 = 0
  /// Requests whose first line was read.
  var requestsBegun: UInt64 = 0
  /// The moment of the present or last run.
  var now: UInt64 = 0
  var lanes: DeadlineLanes
  /// What answers have as `Date`.
  var date = HTTPDate()
  /// The open connections by descriptor, for events and deadlines, which name a descriptor.
  var connections: [Connection?] = []
  /// Settled or lost, and not yet told to libmicrohttpd. May hold one that was answered meanwhile.
  var settled: [Connection] = []
  /// Ids that were made for requests without one.
  var requestIDsMade: UInt64 = 0
  /// How many of `settled` are done with.
  var settledHead = 0
  var suspendedCount = 0
  let watcher: any HTTPWatcher
  /// Somebody wants to connect.
  private var hasArrivals = false
  /// Watched clients that closed their side or reset the connection since the last run.
  var departures: [(connection: Connection, isReset: Bool)] = []
  /// As many as the connections need; all closed connections leave their daemon here.
  var daemons: [Daemon] = []
  /// The daemon that is being given a connection.
  unowned(unsafe) var accepting: Daemon?
  /// The listening socket; -1 once nothing is accepted any more.
  private(set) var listener: Int32
  /// Accepting is held until then, for want of room; nil while it is not.
  var acceptsAgainAt: UInt64?
  /// Takes a connection from the listening socket, or answers -1 and sets `errno`; tests put one in
  /// its place that has no descriptor left.
  var accept: (_ listener: Int32) -> Int32 = Listener.accept
  /// No further connection is accepted; keep-alive ends with the next answer.
  private(set) var isQuiesced = false
  private(set) var isStopping = false
  private var isStopped = false
  private var isRunning = false

  /// Binds, listens and starts. `watcher` watches the descriptors until `stop`; `problem` renders
  /// what the server refuses by itself; `admit` is asked before a request's body is read, and `nil`
  /// lets it in; `observe` is told of each finished request.
  public init(
    settings: HTTPServerSettings, router: Router, watcher: any HTTPWatcher,
    problem: @escaping (HTTPRefusal) -> HTTPResponse,
    admit: ((HTTPArrival) -> HTTPDenial?)? = nil,
    observe: ((HTTPObservation) -> Void)? = nil
  ) throws(HTTPServerError) {
    let address = "\(settings.host):\(settings.port)"
    connectionsMax = min(settings.connectionsMax, Self.descriptorsForConnections())
    guard connectionsMax > 0 else {
      throw HTTPServerError(.descriptorsExhausted, address: address)
    }
    let listener = try Listener(
      host: settings.host, port: settings.port, unsentBytesMax: settings.unsentBytesMax)
    self.settings = settings
    self.router = router
    self.watcher = watcher
    self.problem = problem
    self.admit = admit
    self.observe = observe
    self.listener = listener.descriptor
    port = listener.port
    fieldTable = FieldTable(keeping: settings.fieldsKept)
    lanes = DeadlineLanes(durations: [
      Self.lookAfter(settings.headerTimeout), Self.restAfterLook(settings.headerTimeout),
      Self.lookAfter(settings.bodyTimeout), Self.restAfterLook(settings.bodyTimeout),
      settings.idleTimeout.nanoseconds, settings.watchDelay.nanoseconds,
      max(1, settings.writeTimeout.nanoseconds / WriteProgress.checksPerTimeout),
    ])
    // Whoever reads `errno` later reads that of another call.
    let isWatched = watcher.watch(listener.descriptor, for: .readable) { [unowned self] _ in
      hasArrivals = true
    }
    if !isWatched {
      let number = errno
      forgetListener()
      stop()
      throw HTTPServerError(errorNumber: number, address: address)
    }
    if addDaemon() == nil {
      let number = errno
      stop()
      throw HTTPServerError(errorNumber: number, address: address)
    }
  }

  deinit {
    stop()
  }

  /// The moment at which `run(at:)` must be called in any case, in nanoseconds of the owner's
  /// monotonic clock; `now` itself when at once; `nil` when only the descriptors matter.
  public func nextDeadline(at now: UInt64) -> UInt64? {
    if settledHead < settled.count || hasArrivals || !departures.isEmpty { return now }
    var earliest = lanes.earliest ?? .max
    if let acceptsAgainAt { earliest = min(earliest, acceptsAgainAt) }
    for daemon in daemons {
      if daemon.isReady { return now }
      if let parksAt = daemon.parksAt {
        earliest = min(earliest, parksAt)
        continue
      }
      guard let milliseconds = daemon.timeout() else { continue }
      if milliseconds == 0 { return now }
      earliest = min(earliest, now + milliseconds * 1_000_000)
    }
    return earliest == .max ? nil : max(earliest, now)
  }

  /// Does all that is ready, without blocking: answers what was settled, reads requests, calls
  /// actions. `now` is in nanoseconds of a monotonic clock and never goes back. `wallSecond` counts
  /// from 1970 and is what answers have as `Date`, those of `stop` too; without it, libmicrohttpd
  /// asks the system's clock for each. Not to be called from within an action or another closure
  /// that this server calls.
  public func run(at now: UInt64, wallSecond: Int64? = nil) {
    precondition(!isRunning, "run(at:) is called from within itself")
    guard !isStopped else { return }
    isRunning = true
    defer { isRunning = false }
    self.now = now
    if let wallSecond { date.set(wallSecond) } else { date = HTTPDate() }
    resumeAccepting()
    if hasArrivals {
      hasArrivals = false
      acceptConnections()
    }
    noteDepartures()
    expireDeadlines()
    answerSettled()
    for daemon in daemons { run(daemon) }
  }

  private func run(_ daemon: Daemon) {
    let isDue =
      if let parksAt = daemon.parksAt { parksAt <= now } else { daemon.timeout() == 0 }
    guard daemon.isReady || daemon.hasResumed || isDue else { return }
    let hasResumed = daemon.hasResumed
    daemon.isReady = false
    daemon.hasResumed = false
    let (before, activityBefore) = (requestsBegun, activity)
    daemon.reads = 0
    daemon.owedSince = nil
    daemon.run()
    // A resumed connection has its answer built in one run and sent in the next; and a request is
    // seen in one run and read in the next. Once requests were read, what else is pending can
    // wait for the next turn: by then, most of their answers are there.
    if hasResumed || requestsBegun == before && daemon.timeout() == 0 {
      daemon.owedSince = nil
      daemon.run()
    }
    let isQuiet = activity == activityBefore
    // It did nothing but ask: only what happens elsewhere leads on.
    let parksAt = daemon.owedSince.map { $0 + Self.parkDelay }
    daemon.parksAt = isQuiet && daemon.reads == 0 ? parksAt : nil
    if isQuiet, daemon.owedSince == nil, daemon.timeout() == 0 {
      daemon.quietRuns += 1
      if daemon.quietRuns >= Self.quietRunsMax { endSpinning(daemon) }
    } else {
      daemon.quietRuns = 0
    }
  }

  /// Accepts no further connection, and closes the listening socket. Open connections are served
  /// on, each closed after its next answer. Idempotent.
  public func stopAccepting() {
    guard !isQuiesced else { return }
    watcher.unwatch(listener)
    forgetListener()
  }

  private func forgetListener() {
    isQuiesced = true
    hasArrivals = false
    acceptsAgainAt = nil
    close(listener)
    listener = -1
  }

  /// Ends everything: every answer that is owed becomes the `draining` problem, every stream is
  /// cut, all connections are closed. What the kernel does not take at once of an answer is lost.
  /// Idempotent.
  public func stop() {
    precondition(!isRunning, "stop is called from within run(at:)")
    stopAccepting()
    guard !isStopped else { return }
    isRunning = true
    isStopping = true
    for connection in connections {
      guard let connection else { continue }
      if let pending = connection.pending {
        pending.end()
        settle(connection, with: problem(.draining))
      } else if let stream = connection.stream {
        settled.append(connection)
        stream.close()
      } else if connection.isSuspended {
        settled.append(connection)
      }
    }
    // libmicrohttpd aborts the process if it is stopped with a connection suspended.
    repeat {
      answerSettled()
      for daemon in daemons { daemon.run() }
    } while suspendedCount > 0 || settledHead < settled.count
    for daemon in daemons {
      daemon.run()
      watcher.unwatch(daemon.descriptor)
      daemon.stop()
    }
    daemons = []
    settled = []
    settledHead = 0
    departures = []
    isStopped = true
    isRunning = false
  }

  /// What the limit of open files leaves to connections, less a descriptor for each daemon.
  private static func descriptorsForConnections() -> Int {
    let count = openFilesMax() - descriptorReserve
    return count - (count + connectionsPerDaemonMax) / (connectionsPerDaemonMax + 1)
  }

  private static func openFilesMax() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
    return Int(clamping: limit.rlim_cur)
  }
}
