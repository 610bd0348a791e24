import CPlatform
import Glibc

/// The client's side of the fork server: the one process that starts all others.
///
/// It belongs to one thread, never waits, and is told what happens by `drain`, to be called
/// whenever `fileDescriptor` is readable. The server process ends, and kills everything that it
/// has started, when this object's process ends, however that happens.
public final class ForkServer {
  /// A process that was asked for and is not known to be gone.
  struct Child {
    var process: Int32
    /// -1 until it has started.
    var sentinel: Int32
  }

  /// A request that the socket did not take, with descriptors of its own.
  struct Waiting {
    /// The process that it is to start; nil if it is anything else.
    var token: ProcessToken?
    var message: RequestMessage
    var descriptors: [Int32]
  }

  /// Whether processes that lose the fork server are reparented to this process and reaped by it.
  let adoptsOrphans: Bool
  /// Holds the socket, and after a loss the sentinels: readable when `drain` has something to do.
  private(set) var events: Int32
  /// The fork server's process id; 0 once it is lost.
  public internal(set) var process: Int32
  /// -1 while there is no fork server.
  var socket: Int32
  var children: [ProcessToken: Child] = [:]
  var waiting: [Waiting] = []
  /// Processes of a lost fork server that are not known to be gone, by sentinel.
  var leftovers: [Int32: Leftover] = [:]
  var silence = Silence()
  /// Sentinels of processes whose end was reported. They are closed at the end of `drain`, or, if
  /// its caller wants to look at them still, by `closeSpent`.
  var spent: [Int32] = []
  var keepsSpent = false
  /// Whether the fork server that was lost last has not read the start that it was asked for last.
  private(set) var leftStart = false
  /// Whether nothing was sent after that: what is unread is the start then.
  var isStartLast = false
  /// How many of them `events` does not hold, for want of a watch: `drain` looks at them.
  var unwatchedCount = 0
  /// When it does so next; nil until `timePassed` has told the time.
  var lookAt: UInt64?
  private var lastToken: UInt64 = 0
  /// A copy of what every fork server is to hold; -1: nothing.
  var held: Int32 = -1

  private init(process: Int32, socket: Int32, events: Int32, adoptsOrphans: Bool) {
    self.process = process
    self.socket = socket
    self.events = events
    self.adoptsOrphans = adoptsOrphans
  }

  /// Forks the fork server. Call it at the very start of `main`, after `Bootstrap.takeRole`: this
  /// process must have one thread, and everything it has allocated or opened until then is copied
  /// into every worker.
  ///
  /// Returns only in the calling process. In each process that the fork server forks, `entries`
  /// runs and never returns.
  ///
  /// With `adoptsOrphans` this process becomes a subreaper and takes over what a *killed* fork
  /// server leaves behind, so that it can end and reap it: right for a program that starts
  /// children by no other means, because any other child would be ended as well.
  public static func start(
    adoptsOrphans: Bool, entries: (EntryPoint) -> Never
  ) throws(SystemCallError) -> ForkServer {
    try fork(adoptsOrphans: adoptsOrphans, leaving: nil, entries: entries)
  }

  /// Forks a fork server whose forks have all that this process has open, under the same numbers,
  /// but for what `leaving` closes, which is called in the fork server at its beginning.
  static func start(
    leaving: () -> Void, entries: (EntryPoint) -> Never
  ) throws(SystemCallError) -> ForkServer {
    try withoutActuallyEscaping(leaving) { (leaving) throws(SystemCallError) in
      try fork(adoptsOrphans: false, leaving: leaving, entries: entries)
    }
  }

  private static func fork(
    adoptsOrphans: Bool, leaving: (() -> Void)?, entries: (EntryPoint) -> Never
  ) throws(SystemCallError) -> ForkServer {
    Bootstrap.requireOneThread("the fork server is started")
    // Before anything is opened: what would take number 0, 1 or 2 would be somebody's stdout.
    guard lido_reserve_standard_descriptors() == 0 else {
      throw SystemCallError("/dev/null", number: errno)
    }
    let events = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard events >= 0 else { throw SystemCallError("epoll_create1", number: errno) }
    var process: Int32 = 0
    var socket: Int32 = -1
    switch lido_forkserver_fork(&process, &socket) {
    case 0:
      close(events)
      leaving?()
      entries(serve(over: socket, bequeaths: leaving != nil))
    case 1:
      if adoptsOrphans { lido_become_subreaper() }
      let server = ForkServer(
        process: process, socket: socket, events: events, adoptsOrphans: adoptsOrphans)
      do throws(SystemCallError) {
        try server.watch(socket)
      } catch {
        server.end()
        throw error
      }
      return server
    default:
      let number = errno
      close(events)
      throw SystemCallError("fork server", number: number)
    }
  }

  /// Is the fork server, which ends inside: returns in a child alone, with what that is to do.
  static func serve(over socket: Int32, bequeaths: Bool) -> EntryPoint {
    var entry = lido_entry()
    let result = lido_forkserver_run(socket, bequeaths ? 1 : 0, &entry)
    precondition(result == 0)
    return EntryPoint(taking: entry)
  }

  /// Starts a fork server by executing this program anew (`/proc/self/exe`), so that it has one
  /// thread and has touched nothing, whatever this process has. For a program whose main begins
  /// with `bootstrap`, or `Bootstrap.takeRole`.
  public static func execute() throws(SystemCallError) -> ForkServer {
    // As in `start`: what took such a number would be handed on as somebody's stdout.
    guard lido_reserve_standard_descriptors() == 0 else {
      throw SystemCallError("/dev/null", number: errno)
    }
    let events = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard events >= 0 else { throw SystemCallError("epoll_create1", number: errno) }
    let server = ForkServer(process: 0, socket: -1, events: events, adoptsOrphans: false)
    try server.replace()
    return server
  }

  deinit {
    abandon()
  }

  /// In a fork of the owner: closes what is the owner's, so that the fork server ends with that,
  /// whoever still refers to this object. Of no use from then on.
  func abandon() {
    letGo()
    if socket >= 0 { close(socket) }
    if held >= 0 { close(held) }
    if events >= 0 { close(events) }
    (socket, held, events) = (-1, -1, -1)
  }

  /// Readable when `drain` has something to do. The same number for this object's whole life.
  public var fileDescriptor: Int32 { events }

  /// Whether there is no fork server, so that `replace` is due.
  public var isLost: Bool { socket < 0 }

  /// Asks for a process; what became of it comes by `drain`. The descriptors it is to inherit stay
  /// the caller's, who may close them at once.
  ///
  /// Throws what is wrong with the request itself: it is too large (EMSGSIZE: argv and environment
  /// of 128 KiB together always fit) or a descriptor is not open (EBADF).
  public func startProcess(
    _ specification: ProcessSpecification
  ) throws(StartFailure) -> ProcessToken {
    lastToken += 1
    let token = ProcessToken(rawValue: lastToken)
    let message = RequestMessage(starting: specification, token: token)
    if message.bytes.count > LIDO_REQUEST_BYTES_MAX {
      throw StartFailure(stage: .request, errorNumber: EMSGSIZE)
    }
    if isLost { throw StartFailure(stage: .forkServerLost, errorNumber: ECONNRESET) }
    leftStart = false
    isStartLast = true
    try send(message, descriptors: specification.descriptors.map(\.source), starting: token)
    children[token] = Child(process: 0, sentinel: -1)
    silence.asked(forStart: true)
    return token
  }

  /// Sends a signal to the whole group of a process. Nothing happens if it has ended: its number
  /// cannot be another's, because the fork server sends it, before it reaps.
  public func signal(_ token: ProcessToken, _ number: Int32) {
    guard !isLost, children[token] != nil else { return }
    // The only failure left is that the server is lost, and then the process is as well.
    isStartLast = false
    try? send(RequestMessage(signalling: token, number: number), descriptors: [])
    silence.asked(forStart: false)
  }

  /// Has the fork server, each that takes its place, and what they fork from now on keep an open
  /// descriptor until they end; what these processes start or fork does not have it. A lock of
  /// flock(2) is so held for as long as one of them lives, whatever becomes of this process.
  ///
  /// The descriptor itself stays the caller's. Throws EMFILE, or EBADF when it is not open.
  public func hold(_ descriptor: Int32) throws(SystemCallError) {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw SystemCallError("fcntl", number: errno) }
    if held >= 0 { close(held) }
    held = copy
    if !isLost { sendHeld() }
  }

  /// The only failure that is left here is that the fork server is lost: the next one is told.
  func sendHeld() {
    guard held >= 0 else { return }
    isStartLast = false
    try? send(.hold, descriptors: [held])
  }

  /// Appends everything that has happened, in order, and returns. To be called when
  /// `fileDescriptor` is readable or `isLookDue`; harmless at any other time.
  public func drain(into report: inout [ForkServerEvent]) {
    lookAt = nil
    sendWaiting(into: &report)
    if !isLost { receive(into: &report) }
    if !leftovers.isEmpty { collectLeftovers(into: &report) }
    if !keepsSpent { closeSpent() }
  }

  /// Closes the sentinels of those whose end the last `drain` has reported.
  func closeSpent() {
    for sentinel in spent { close(sentinel) }
    spent.removeAll(keepingCapacity: true)
  }

  /// Closes everything but the socket and `events`: nothing is reported any more.
  func letGo() {
    for child in children.values where child.sentinel >= 0 { close(child.sentinel) }
    children.removeAll()
    for request in waiting { for descriptor in request.descriptors { close(descriptor) } }
    waiting.removeAll()
    for sentinel in leftovers.keys { close(sentinel) }
    leftovers.removeAll()
    unwatchedCount = 0
    closeSpent()
  }

  // MARK: Sending

  func send(
    _ message: RequestMessage, descriptors: [Int32], starting token: ProcessToken? = nil
  ) throws(StartFailure) {
    if waiting.isEmpty {
      let number = transmit(message, descriptors)
      if number == 0 { return }
      guard Self.isFull(number) else {
        // A dead socket is found out by `drain`; the token ends there like all others.
        if number == EPIPE || number == ECONNRESET {
          leftStart = isStartLast
          return
        }
        throw StartFailure(stage: .request, errorNumber: number)
      }
    }
    var copies: [Int32] = []
    for descriptor in descriptors {
      let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
      guard copy >= 0 else {
        let number = errno
        for made in copies { close(made) }
        throw StartFailure(stage: .request, errorNumber: number)
      }
      copies.append(copy)
    }
    waiting.append(Waiting(token: token, message: message, descriptors: copies))
    watchSocket(writable: true)
  }

  /// Returns 0, or the error number.
  private func transmit(_ message: RequestMessage, _ descriptors: [Int32]) -> Int32 {
    message.bytes.withUnsafeBytes { bytes in
      lido_send_message(socket, bytes.baseAddress, bytes.count, descriptors, descriptors.count)
        == 0 ? 0 : errno
    }
  }

  private static func isFull(_ number: Int32) -> Bool {
    number == EAGAIN || number == ENOBUFS || number == ETOOMANYREFS || number == ENOMEM
  }

  private func sendWaiting(into report: inout [ForkServerEvent]) {
    guard !isLost, !waiting.isEmpty else { return }
    var sent = 0
    for request in waiting {
      let number = transmit(request.message, request.descriptors)
      if Self.isFull(number) { break }
      for descriptor in request.descriptors { close(descriptor) }
      sent += 1
      // Of a dead socket `receive` tells, and ends all that was asked for.
      guard number != 0, number != EPIPE, number != ECONNRESET, let token = request.token,
        children.removeValue(forKey: token) != nil
      else { continue }
      silence.startAnswered()
      let failure = StartFailure(stage: .request, errorNumber: number)
      report.append(.startFailed(token: token, failure: failure))
    }
    waiting.removeFirst(sent)
    if waiting.isEmpty { watchSocket(writable: false) }
  }

  /// Has `events` tell when a descriptor can be read. Throws when the kernel has no memory or the
  /// user no watch left.
  func watch(_ descriptor: Int32) throws(SystemCallError) {
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.fd = descriptor
    guard epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
      throw SystemCallError("epoll_ctl", number: errno)
    }
  }

  private func watchSocket(writable: Bool) {
    var event = epoll_event()
    event.events = EPOLLIN.rawValue | (writable ? EPOLLOUT.rawValue : 0)
    event.data.fd = socket
    let result = epoll_ctl(events, EPOLL_CTL_MOD, socket, &event)
    precondition(result == 0, "epoll_ctl: \(errno)")  // It is watched; a change takes no memory.
  }

  func unwatch(_ descriptor: Int32) {
    epoll_ctl(events, EPOLL_CTL_DEL, descriptor, nil)
  }

  // MARK: Receiving

  private func receive(into report: inout [ForkServerEvent]) {
    while true {
      var reply = lido_reply()
      var sentinel: Int32 = -1
      var count = 1
      let length = lido_receive_message(
        socket, &reply, MemoryLayout<lido_reply>.size, &sentinel, &count)
      if length < 0 && errno == EAGAIN { return }
      // The server died with requests unread. What it had sent is still to be read.
      if length < 0 && errno == ECONNRESET {
        leftStart = isStartLast
        continue
      }
      // This process has no free descriptor: the message came without its sentinel.
      let isBereft = length < 0 && errno == EMFILE
      guard isBereft || length == MemoryLayout<lido_reply>.size else {
        return lose(into: &report)
      }
      take(reply, sentinel: count == 1 ? sentinel : -1, into: &report)
    }
  }

  private func take(
    _ reply: lido_reply, sentinel: Int32, into report: inout [ForkServerEvent]
  ) {
    let token = ProcessToken(rawValue: reply.token)
    silence.heard()
    switch lido_reply_kind(reply.kind) {
    case LIDO_REPLY_PONG: silence.ponged()
    case LIDO_REPLY_STARTED:
      silence.startAnswered()
      children[token] = Child(process: reply.process, sentinel: sentinel)
      report.append(.started(token: token, process: reply.process, sentinel: sentinel))
    case LIDO_REPLY_START_FAILED:
      // A signal refused for its number has no child either, but then nobody waits for it.
      guard children.removeValue(forKey: token) != nil else { return }
      silence.startAnswered()
      let stage = StartFailure.Stage(rawValue: reply.stage) ?? .request
      report.append(
        .startFailed(
          token: token, failure: StartFailure(stage: stage, errorNumber: reply.error_number)))
    default:
      if let child = children.removeValue(forKey: token), child.sentinel >= 0 {
        spent.append(child.sentinel)
      }
      report.append(
        .exited(
          token: token, status: ExitStatus(waitStatus: reply.wait_status),
          use: ResourceUse(
            cpuMicroseconds: reply.cpu_microseconds,
            residentKilobytesMax: reply.resident_kilobytes_max)))
    }
  }
}
