import Glibc
import Multiprocessing

/// Drives one pool of programs the way the service does, with poll(2).
final class ProgramDriver {
  let forkServer: ForkServer
  /// Where the working folders are.
  let folder: String
  private(set) var pool: ProgramPool!
  private var watched: [Int32: Bool] = [:]
  private var queue: [(call: UInt64, program: ProgramCall)] = []
  private var inFlight: [UInt64: ProgramCall] = [:]
  private var lastCall: UInt64 = 0
  private var unseen: [ForkServerEvent] = []

  private(set) var ends: [UInt64: ProgramEnd] = [:]
  private(set) var began: [UInt64: Int32] = [:]
  private(set) var notStarted: [(call: UInt64, failure: StartFailure)] = []
  private(set) var growths: [UInt64] = []
  private(set) var credit: [Int: Int] = [:]
  private(set) var isEnded = false
  /// How often it has waited.
  private(set) var turns = 0
  /// Whether calls that came back are queued again.
  var requeues = true
  /// Whether a lost fork server is replaced.
  var replaces = true

  init(
    _ forkServer: ForkServer, processes: Int = 2, in folder: String? = nil,
    configure: (inout ProgramPoolSettings) -> Void = { _ in }
  ) throws {
    self.forkServer = forkServer
    self.folder = folder ?? Self.temporaryFolder() + "/programs"
    var settings = ProgramPoolSettings(processes: processes, folder: self.folder)
    configure(&settings)
    pool = try ProgramPool(
      settings, forkServer: forkServer,
      watch: { [unowned self] descriptor, writable in
        check(watched[descriptor] == nil, "\(descriptor) is watched twice")
        watched[descriptor] = writable
      },
      unwatch: { [unowned self] descriptor in
        check(watched.removeValue(forKey: descriptor) != nil, "\(descriptor) was not watched")
        check(fcntl(descriptor, F_GETFD) >= 0, "\(descriptor) was closed before it was unwatched")
      })
    pool.start(at: now())
  }

  static func temporaryFolder() -> String {
    var template = Array("/tmp/lido-test-XXXXXX".utf8CString)
    guard let path = mkdtemp(&template) else { fail("mkdtemp: \(errno)") }
    return String(cString: path)
  }

  /// Queues a run of a program and returns its number.
  @discardableResult
  func run(_ program: ProgramCall) -> UInt64 {
    lastCall += 1
    queue.append((lastCall, program))
    return lastCall
  }

  /// Queues a shell script.
  @discardableResult
  func shell(
    _ script: String, input: [UInt8] = [], _ configure: (inout ProgramCall) -> Void = { _ in }
  ) -> UInt64 {
    var program = ProgramCall(
      arguments: ["sh", "-c", script], environment: ["PATH=/usr/bin:/bin"],
      folderVariables: ["PWD"], input: input)
    configure(&program)
    return run(program)
  }

  /// Runs turns until `condition` holds; ends the scenario after `seconds`.
  func run(
    until what: String, within seconds: Double = 10, line: Int = #line, _ condition: () -> Bool
  ) {
    let deadline = now() + UInt64(seconds * 1e9)
    settle()
    while !condition() {
      let time = now()
      if time >= deadline { fail("not within \(seconds) s: \(what); \(situation)", line: line) }
      turn(until: deadline, at: time)
    }
  }

  private var situation: String {
    """
    \(queue.count) queued, in flight \(inFlight.keys.sorted()), credit \(credit), \
    workers \(pool.workers), not started \(notStarted.suffix(3)), watched \(watched)
    """
  }

  /// Runs turns until the call is over, and returns how it ended.
  func end(of call: UInt64, within seconds: Double = 10, line: Int = #line) -> ProgramEnd {
    run(until: "call \(call)", within: seconds, line: line) { ends[call] != nil }
    return ends[call]!
  }

  /// What a script that must succeed writes to stdout.
  func output(_ script: String, input: [UInt8] = [], line: Int = #line) -> String {
    let end = end(of: shell(script, input: input), line: line)
    check(end.status, equals: .exited(0), line: line)
    return String(decoding: end.output, as: UTF8.self)
  }

  /// Ends the pool, waits for that, and checks that nothing is left of it.
  func finish(removesFolder: Bool = true, line: Int = #line) {
    pool.terminate(grace: 200_000_000, at: now())
    run(until: "the end", line: line) { isEnded }
    check(watched.isEmpty, "descriptors are still watched: \(watched)", line: line)
    check(Self.entries(of: folder), equals: [], line: line)
    check(pool.nextDeadline == nil, "an ended pool waits for something", line: line)
    guard removesFolder else { return }
    unlink(folder + "-gate")
    if rmdir(folder) == 0 { rmdir(folder.dropLast("/programs".count) + "") }
  }

  /// Waits until no working folder of a call that is over is left.
  func waitSwept(line: Int = #line) {
    run(until: "the sweep", line: line) { !pool.isSweepPending }
  }

  static func entries(of folder: String) -> [String] {
    guard let stream = opendir(folder) else { return ["cannot be read: \(errno)"] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  private func turn(until deadline: UInt64, at time: UInt64) {
    turns += 1
    var wake = deadline
    if let next = pool.nextDeadline { wake = min(wake, next) }
    var set = watched.map { entry in
      pollfd(
        fd: entry.key, events: Int16(POLLIN) | (entry.value ? Int16(POLLOUT) : 0), revents: 0)
    }
    set.append(pollfd(fd: forkServer.fileDescriptor, events: Int16(POLLIN), revents: 0))
    let milliseconds = wake <= time ? 0 : Int32(min((wake - time) / 1_000_000 + 1, 60_000))
    poll(&set, nfds_t(set.count), milliseconds)
    let time = now()
    forkServer.drain(into: &unseen)
    for event in unseen {
      if event == .lost, replaces { replace() }
      pool.forkServerEvent(event, at: time)
    }
    unseen.removeAll(keepingCapacity: true)
    let broken = Int16(POLLHUP) | Int16(POLLERR)
    for entry in set where entry.revents != 0 && entry.fd != forkServer.fileDescriptor {
      pool.descriptorReady(
        entry.fd, readable: entry.revents & (Int16(POLLIN) | broken) != 0,
        writable: entry.revents & Int16(POLLOUT) != 0, at: time)
    }
    if let next = pool.nextDeadline, next <= time { pool.deadlineReached(at: time) }
    settle()
  }

  func replace() {
    do { try forkServer.replace() } catch { fail("\(error)") }
  }

  /// Takes the reports and hands out calls.
  private func settle() {
    pool.drainReports(take)
    assign()
    pool.drainReports(take)
  }

  private func take(_ report: ProgramReport) {
    switch report {
    case .slotReady(let slot, let credit): self.credit[slot] = credit
    case .began(let call, let process):
      check(inFlight[call] != nil && process > 0, "call \(call) began out of order")
      began[call] = process
    case .logGrew(let call): growths.append(call)
    case .ended(let call, let end):
      check(inFlight.removeValue(forKey: call) != nil, "call \(call) ended twice")
      ends[call] = end
    case .notStarted(let call, let failure):
      guard let program = inFlight.removeValue(forKey: call) else { fail("call \(call) twice") }
      notStarted.append((call, failure))
      if requeues { queue.append((call, program)) }
    case .poolEnded: isEnded = true
    }
  }

  private func assign() {
    for slot in 0..<pool.processes where pool.room(in: slot) > 0 && !queue.isEmpty {
      check(credit[slot], equals: 1)
      let (call, program) = queue.removeFirst()
      inFlight[call] = program
      pool.assign(call, program, to: slot, at: now())
    }
  }
}
