import CPlatform
import Glibc
import Multiprocessing
import TestSupport

/// Tasks that reach for the channel of their worker: the socket of its calls, the pipe of its
/// answers.
enum ChannelScenarios {
  static let andGoOn = TaskDefinition<ChannelDeed, NoResult>("deedAndOn") { deed in
    deed.perform()
    while true { pause() }
  }
  static let andReturn = TaskDefinition<ChannelDeed, NoResult>("deed") { deed in
    deed.perform()
    return NoResult()
  }
  static let atSignal = TaskDefinition<ChannelDeed, NoResult>("deedAtSignal") { deed in
    deed.performAtSignal()
    return NoResult()
  }
  static let replaceAll = TaskDefinition<String, NoResult>("replaceAll") { path in
    ChannelDeed.replaceAll(by: path)
    return NoResult()
  }

  struct Wish: Codable, Sendable {
    var deed: ChannelDeed?
    var path: String
  }
  /// Says in the file `path` that it runs, and never ends. Does the deed at a signal; without one
  /// it has closed by then the half of its calls' socket that it reads.
  static let sayAndGoOn = TaskDefinition<Wish, NoResult>("sayAndGoOn") { wish in
    if let deed = wish.deed {
      deed.performAtSignal()
    } else {
      shutdown(ChannelDeed.calls, Int32(SHUT_RD))
    }
    let file = open(wish.path, O_WRONLY)
    _ = write(file, "running\n", 8)
    while true { pause() }
  }

  /// Writes a byte where its calls come from, says in the file `path` that it has, and never ends.
  static let writeBack = TaskDefinition<Wish, NoResult>("writeBack") { wish in
    check(send(ChannelDeed.calls, "x", 1, Int32(MSG_NOSIGNAL)), equals: 1)
    let file = open(wish.path, O_WRONLY)
    _ = write(file, "written\n", 8)
    while true { pause() }
  }
  /// Writes an urgent byte there, where there is such a thing.
  static let writeUrgently = TaskDefinition<NoArgument, NoResult>("writeUrgently") { _ in
    _ = send(ChannelDeed.calls, "x", 1, Int32(MSG_OOB) | Int32(MSG_NOSIGNAL))
    return NoResult()
  }
  /// Makes the pipe one that does not wait.
  static let waitForNothing = TaskDefinition<NoArgument, NoResult>("waitForNothing") { _ in
    let pipe = ChannelDeed.answers
    check(fcntl(pipe, F_SETFL, fcntl(pipe, F_GETFL) | O_NONBLOCK), equals: 0)
    return NoResult()
  }

  static let tasks: [AnyTask] = [
    andGoOn.erased, andReturn.erased, atSignal.erased, replaceAll.erased, sayAndGoOn.erased,
    writeBack.erased, writeUrgently.erased, waitForNothing.erased,
  ]

  /// What `body` leaves behind: no descriptor, and no watch of one.
  private static func withDriver(
    _ forkServer: ForkServer, _ body: (PoolDriver) throws -> Void
  ) throws {
    let before = openDescriptors()
    let driver = try PoolDriver(
      forkServer, processes: 1, configure: { $0.hangUpMax = 200_000_000 })
    driver.waitReady(1)
    try body(driver)
    driver.end()
    check(driver.watchCount, equals: 0)
    check(openDescriptors(), equals: before)
  }

  private static let goneOn = PoolDriver.Ending.lost(
    .signalled(SIGKILL), started: true, reason: "the worker closed its channel and went on")

  private static func argument(_ deed: ChannelDeed) -> String { "[\"\(deed.rawValue)\"]" }

  /// The next worker takes calls, also one that a socket does not take at once.
  private static func checkWorks(_ driver: PoolDriver, line: Int = #line) {
    let text = "\"\(String(repeating: "x", count: 300_000))\""
    check(driver.result("echo", "[\(text)]", line: line) == text, "another text", line: line)
  }

  /// A worker that goes on when it cannot be reached any more is killed.
  static func busy(_ forkServer: ForkServer) throws {
    try withDriver(forkServer) { driver in
      for deed in ChannelDeed.allCases {
        check(
          driver.ending(of: driver.call("deedAndOn", argument(deed)), within: 5), equals: goneOn)
        checkWorks(driver)
      }
    }
  }

  /// So is one that has a call before it which does not fit into its socket; the call goes to
  /// another.
  static func full(_ forkServer: ForkServer) throws {
    try withDriver(forkServer) { driver in
      for deed in ChannelDeed.allCases.map(Optional.some) + [nil] {
        for _ in 0..<20 { check(driver.result("square", "[3]"), equals: "9") }
        let process = driver.pool.process(of: 0)
        let call = CallScenarios.started(driver) { path in
          let wish = deed.map { "\"deed\":\"\($0.rawValue)\"," } ?? ""
          return driver.call("sayAndGoOn", "[]", "{\(wish)\"path\":\"\(path)\"}")
        }
        let text = "\"\(String(repeating: "x", count: 1_000_000))\""
        let behind = driver.call("echo", "[\(text)]")
        driver.settle()
        check(driver.slot(of: behind), equals: 0)
        if deed != nil { kill(process, SIGUSR1) }
        check(driver.ending(of: call, within: 5), equals: goneOn)
        check(driver.ending(of: behind, within: 5) == .ended(.returned(text)), "it is lost")
      }
    }
  }

  /// One that returns ends by itself; if its answer arrives, it counts.
  static func returning(_ forkServer: ForkServer) throws {
    try withDriver(forkServer) { driver in
      for deed in ChannelDeed.allCases {
        let process = driver.pool.process(of: 0)
        check(
          driver.ending(of: driver.call("deed", argument(deed)), within: 5),
          equals: deed.leavesAnswers
            ? .ended(.returned("null")) : .lost(.exited(0), started: true, reason: nil))
        checkWorks(driver)
        check(driver.pool.goneWorkers.last?.process, equals: process)
        check(driver.pool.goneWorkers.last?.exitStatus, equals: .exited(0))
      }
    }
  }

  /// What happens between two calls is noticed before there is another.
  static func idle(_ forkServer: ForkServer) throws {
    try withDriver(forkServer) { driver in
      for deed in ChannelDeed.allCases {
        let process = driver.pool.process(of: 0)
        check(driver.result("deedAtSignal", argument(deed)), equals: "null")
        kill(process, SIGUSR1)
        driver.run(until: "it is gone: \(deed)", within: 5) {
          driver.pool.goneWorkers.last?.process == process
        }
        check(driver.pool.goneWorkers.last?.exitStatus, equals: .exited(0))
        checkWorks(driver)
      }
    }
  }

  /// Nothing is written to what has the numbers of the channel by now.
  static func replaced(_ forkServer: ForkServer) throws {
    let path = "/tmp/lido-channel-\(getpid())"
    defer { unlink(path) }
    try withDriver(forkServer) { driver in
      // A pipe, as the answers' is one, and a file.
      for isPipe in [true, false] {
        unlink(path)
        check(
          isPipe ? mkfifo(path, 0o600) : close(open(path, O_CREAT | O_WRONLY, 0o600)), equals: 0)
        let file = open(path, (isPipe ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC)
        check(
          driver.ending(of: driver.call("replaceAll", "[\"\(path)\"]"), within: 5),
          equals: .lost(.exited(0), started: true, reason: nil))
        var byte: UInt8 = 0
        check(read(file, &byte, 1), equals: isPipe ? -1 : 0)
        close(file)
        checkWorks(driver)
      }
    }
  }

  /// What it had answered counts, also if that and the fault are noticed together.
  static func backward(_ forkServer: ForkServer) throws {
    try withDriver(forkServer) { driver in
      for _ in 0..<10 {
        for _ in 0..<20 { check(driver.result("square", "[3]"), equals: "9") }
        var before: [UInt64] = []
        let fault = CallScenarios.started(driver) { path in
          before = (0..<6).map { driver.call("square", "[\($0)]") }
          return driver.call("writeBack", "[]", "{\"path\":\"\(path)\"}")
        }
        guard case .lost(.signalled(SIGKILL), true, let reason?) = driver.ending(of: fault) else {
          fail("it is not lost")
        }
        check(reason.contains("protocol"), reason)
        for (root, call) in before.enumerated() {
          check(driver.ending(of: call), equals: .ended(.returned("\(root * root)")))
        }
        checkWorks(driver)
      }
    }
  }

  /// It is nobody's, and must not be told of again and again.
  static func urgent(_ forkServer: ForkServer) throws {
    try withDriver(forkServer) { driver in
      check(driver.result("writeUrgently"), equals: "null")
      let began = clock()
      check(driver.result("wait", "[300]"), equals: "null")
      check(clock() - began < 100_000, "\(clock() - began) us of CPU in 300 ms of waiting")
      checkWorks(driver)
    }
  }

  /// An answer that does not fit into the pipe arrives all the same.
  static func hurried(_ forkServer: ForkServer) throws {
    try withDriver(forkServer) { driver in
      check(driver.result("waitForNothing"), equals: "null")
      for _ in 0..<3 { checkWorks(driver) }
    }
  }

  /// A worker is gone when it has ended, whoever still holds its pipe.
  static func held(_ forkServer: ForkServer) throws {
    try withDriver(forkServer) { driver in
      for task in ["leave", "die"] {
        let path = "/proc/\(driver.pool.process(of: 0))/fd/60"
        let held = open(path, O_WRONLY | O_CLOEXEC)
        check(held >= 0, "\(path) cannot be opened")
        let status: ExitStatus = task == "leave" ? .exited(SIGTERM) : .signalled(SIGTERM)
        check(
          driver.ending(of: driver.call(task, "[\(SIGTERM)]"), within: 5),
          equals: .lost(status, started: true, reason: nil))
        checkWorks(driver)
        close(held)
      }
    }
  }

  /// What cannot be moved off the standard numbers is closed, once, and told as not there.
  static func noRoomAboveStandard(_: ForkServer) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let before = limit
    let kept = (dup(0), dup(2))
    limit.rlim_cur = 3
    close(0)
    close(2)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    var ends: [Int32] = [7, 7]
    let results = [lido_socket_pair(Int32(SOCK_STREAM.rawValue), &ends), ends[0], ends[1]]
    let left = [fcntl(0, F_GETFD), fcntl(2, F_GETFD)]
    limit = before
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    dup2(kept.0, 0)
    dup2(kept.1, 2)
    check(results, equals: [-1, -1, -1])
    check(left, equals: [-1, -1])
  }
}
