import CMicroHTTPD
import Glibc

/// An HTTP/1.1 server of one thread, its owner's: it never blocks, starts no thread and reads no
/// clock. The only door to libmicrohttpd (0.9.75, external epoll mode).
///
/// The owner waits until `fileDescriptor` is readable or `nextDeadline` has come, then calls
/// `run(at:)`; a route's action gets a value and gives a value, or owes one (`PendingResponse`).
/// All calls are made on one thread; the actions are called from within `run`.
///
/// The process must ignore SIGPIPE (`signal(SIGPIPE, SIG_IGN)`): libmicrohttpd is told that it
/// does. All descriptors are closed on exec.
public final class HTTPServer {
  /// Descriptors left to the rest of the process by the connection limit.
  private static let descriptorReserve = 64
  /// Answers queued in one run, so that ten thousand waiters released at once do not hold up the
  /// rest; 500 cost about 10 ms.
  private static let answersPerRunMax = 500

  /// The port in force.
  public let port: Int
  /// Connections that may be open at once: as set, or what the limit of open files leaves.
  public let connectionsMax: Int
  /// Readable when `run(at:)` has something to do, for the owner's epoll or poll; -1 once stopped.
  public private(set) var fileDescriptor: Int32
  /// Connections that are open.
  public internal(set) var connectionCount = 0
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

  /// The moment of the present or last run.
  var now: UInt64 = 0
  var lanes: DeadlineLanes
  /// The open connections by descriptor, for events and deadlines, which name a descriptor.
  var connections: [Connection?] = []
  /// Settled or lost, and not yet told to libmicrohttpd. May hold one that was answered meanwhile.
  var settled: [Connection] = []
  var watchCount = 0
  /// Ids that were made for requests without one.
  var requestIDsMade: UInt64 = 0
  /// No further connection is accepted; keep-alive ends with the next answer.
  private(set) var isQuiesced = false
  private(set) var isStopping = false

  private var daemon: Daemon?
  private var listener: Int32
  private var settledHead = 0
  private var suspendedCount = 0
  private var serial: UInt32 = 0
  private var isRunning = false

  /// Binds, listens and starts. `problem` renders what the server refuses by itself; `admit` is
  /// asked before a request's body is read, and `nil` lets it in; `observe` is told of each
  /// finished request.
  public init(
    settings: HTTPServerSettings, router: Router,
    problem: @escaping (HTTPRefusal) -> HTTPResponse,
    admit: ((HTTPArrival) -> HTTPDenial?)? = nil,
    observe: ((HTTPObservation) -> Void)? = nil
  ) throws(HTTPServerError) {
    let address = "\(settings.host):\(settings.port)"
    connectionsMax = min(settings.connectionsMax, Self.openFilesMax() - Self.descriptorReserve)
    guard connectionsMax > 0 else {
      throw HTTPServerError(.descriptorsExhausted, address: address)
    }
    let listener = try Listener(
      host: settings.host, port: settings.port, unsentBytesMax: settings.unsentBytesMax)
    self.settings = settings
    self.router = router
    self.problem = problem
    self.admit = admit
    self.observe = observe
    self.listener = listener.descriptor
    port = listener.port
    fieldTable = FieldTable(keeping: settings.fieldsKept)
    lanes = DeadlineLanes(durations: [
      settings.headerTimeout.nanoseconds, settings.bodyTimeout.nanoseconds,
      settings.idleTimeout.nanoseconds, settings.watchDelay.nanoseconds,
      max(1, settings.writeTimeout.nanoseconds / WriteProgress.checksPerTimeout),
    ])
    fileDescriptor = Self.makeInstance()
    try start(address: address)
  }

  deinit {
    stop()
  }

  /// The moment at which `run(at:)` must be called in any case, in nanoseconds of the owner's
  /// monotonic clock; `now` itself when at once; `nil` when only the descriptor matters.
  public func nextDeadline(at now: UInt64) -> UInt64? {
    guard let daemon else { return nil }
    if settledHead < settled.count { return now }
    var earliest = lanes.earliest
    if let milliseconds = daemon.timeout() {
      if milliseconds == 0 { return now }
      earliest = min(earliest ?? .max, now + milliseconds * 1_000_000)
    }
    return earliest.map { max($0, now) }
  }

  /// Does all that is ready, without blocking: answers what was settled, reads requests, calls
  /// actions. `now` is in nanoseconds of a monotonic clock and never goes back. Not to be called
  /// from within an action or another closure that this server calls.
  public func run(at now: UInt64) {
    precondition(!isRunning, "run(at:) is called from within itself")
    guard let daemon else { return }
    isRunning = true
    defer { isRunning = false }
    self.now = now
    if watchCount > 0 { drainWatch() }
    expireDeadlines()
    let hasResumed = answerSettled()
    let before = serial
    daemon.run()
    // A resumed connection has its answer built in one run and sent in the next; and a request is
    // seen in one run and read in the next. Once requests were read, what else is pending can
    // wait for the next turn: by then, most of their answers are there.
    if hasResumed || serial == before && daemon.timeout() == 0 { daemon.run() }
  }

  /// Accepts no further connection, and closes the listening socket. Open connections are served
  /// on, each closed after its next answer. Idempotent.
  public func stopAccepting() {
    guard let daemon, !isQuiesced else { return }
    isQuiesced = true
    daemon.quiesce()
    close(listener)
    listener = -1
  }

  /// Ends everything: every answer that is owed becomes the `draining` problem, every stream is cut,
  /// all connections are closed. What the kernel does not take at once of an answer is lost.
  /// Idempotent.
  public func stop() {
    precondition(!isRunning, "stop is called from within run(at:)")
    stopAccepting()
    guard let daemon else { return }
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
      }
    }
    // libmicrohttpd aborts the process if it is stopped with a connection suspended.
    repeat {
      _ = answerSettled()
      daemon.run()
    } while suspendedCount > 0 || settledHead < settled.count
    daemon.run()
    self.daemon = nil
    daemon.stop()
    settled = []
    settledHead = 0
    close(fileDescriptor)
    fileDescriptor = -1
    isRunning = false
  }

  private static func openFilesMax() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
    return Int(clamping: limit.rlim_cur)
  }

  private func start(address: String) throws(HTTPServerError) {
    guard fileDescriptor >= 0 else {
      let number = errno
      close(listener)
      throw HTTPServerError(errorNumber: number, address: address)
    }
    let idleSeconds = max(1, Int(settings.idleTimeout.nanoseconds / 1_000_000_000))
    daemon = Daemon(
      listening: listener, connectionsMax: connectionsMax,
      memoryBytes: max(4_096, settings.headerBytesMax * 2), idleSeconds: idleSeconds, server: self)
    guard let daemon else {
      // libmicrohttpd closes the socket on some of its ways out; no call came between.
      if fcntl(listener, F_GETFD) != -1 { close(listener) }
      close(fileDescriptor)
      throw HTTPServerError(.systemFailure, address: address)
    }
    guard watch(daemon) else {
      let number = errno
      stop()
      throw HTTPServerError(errorNumber: number, address: address)
    }
  }

  /// Queues the answers that are there, up to a bound. Says whether a connection was resumed.
  private func answerSettled() -> Bool {
    var hasResumed = false
    let end = min(settled.count, settledHead + Self.answersPerRunMax)
    while settledHead < end {
      let connection = settled[settledHead]
      settledHead += 1
      guard !connection.isClosed else { continue }
      if connection.isWatched { unwatch(connection) }
      if connection.stage == .settled, !sendSettled(connection) {
        connection.stage = .lost
        shutdown(connection.descriptor, Int32(SHUT_RDWR))
      }
      if connection.isSuspended {
        connection.isSuspended = false
        suspendedCount -= 1
        if connection.stream != nil { beginWriting(connection) }
        MHD_resume_connection(connection.handle)
        hasResumed = true
      }
    }
    if settledHead == settled.count {
      settled.removeAll(keepingCapacity: true)
      settledHead = 0
    } else if settledHead >= Self.answersPerRunMax * 8 {
      // Under a load that never lets it run empty, it must not grow by what is done with.
      settled.removeFirst(settledHead)
      settledHead = 0
    }
    return hasResumed
  }

  /// Parks a connection whose answer is still owed when libmicrohttpd asks for it again, or whose
  /// stream has nothing to send.
  func suspend(_ connection: Connection) {
    connection.isSuspended = true
    suspendedCount += 1
    lanes.enter(.watch, connection.descriptor, at: now)
    MHD_suspend_connection(connection.handle)
  }

  /// Parks a connection whose stream has nothing to send; `false` when it must end instead.
  func suspendStream(_ connection: Connection) -> Bool {
    guard !isStopping else { return false }
    suspend(connection)
    return true
  }

  /// A number for the next request.
  func nextSerial() -> UInt32 {
    serial &+= 1
    return serial
  }
}
