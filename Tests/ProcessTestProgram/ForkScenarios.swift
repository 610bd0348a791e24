import Glibc
import Multiprocessing

/// The fork server itself.
enum ForkScenarios {
  static let reportingEntry: UInt32 = 5

  /// A forked child that writes its payload to descriptor 5 and exits with its length.
  static func report(_ entry: EntryPoint) -> Never {
    let isLeader = getpgrp() == getpid()
    _ = write(5, entry.payload, entry.payload.count)
    exit(isLeader ? Int32(entry.payload.count & 0x7f) : 100)
  }

  /// Takes events until `condition` holds for the last one.
  static func events(
    _ forkServer: ForkServer, within seconds: Double = 5, line: Int = #line,
    until condition: (ForkServerEvent) -> Bool
  ) -> [ForkServerEvent] {
    var all: [ForkServerEvent] = []
    let deadline = now() + UInt64(seconds * 1e9)
    while true {
      forkServer.drain(into: &all)
      if all.contains(where: condition) { return all }
      guard now() < deadline else { fail("not in time; so far \(all)", line: line) }
      var set = pollfd(fd: forkServer.fileDescriptor, events: Int16(POLLIN), revents: 0)
      poll(&set, 1, Int32((deadline - min(now(), deadline)) / 1_000_000 + 1))
    }
  }

  static func isExit(of token: ProcessToken) -> (ForkServerEvent) -> Bool {
    { if case .exited(token, _, _) = $0 { true } else { false } }
  }

  /// Everything that comes out of a pipe until all its writers are gone.
  static func readAll(_ descriptor: Int32, within seconds: Double = 5) -> String? {
    var bytes: [UInt8] = []
    let deadline = now() + UInt64(seconds * 1e9)
    while true {
      var set = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let time = now()
      if time >= deadline || poll(&set, 1, Int32((deadline - time) / 1_000_000 + 1)) != 1 {
        return nil
      }
      var buffer = [UInt8](repeating: 0, count: 65536)
      let count = read(descriptor, &buffer, buffer.count)
      if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }

  static func makePipe() -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    check(pipe(&ends), equals: 0)
    return (ends[0], ends[1])
  }

  static func exec(_ forkServer: ForkServer) throws {
    let output = makePipe()
    var specification = ProcessSpecification(
      .exec(
        path: "sh",
        arguments: ["sh", "-c", "echo $0 $A $PWD; ls /proc/self/fd | wc -l; exit 7", "a b"],
        environment: ["PATH=/usr/bin:/bin", "A=1"]),
      descriptors: [.init(output.write, as: 1)])
    specification.workingFolder = "/tmp"
    specification.nice = 3
    specification.limits = [.init(resource: Int32(RLIMIT_NOFILE.rawValue), soft: 64, hard: 64)]
    let token = try forkServer.startProcess(specification)
    close(output.write)
    let all = events(forkServer, until: isExit(of: token))
    guard all.count == 2, case .started(token, let process, let sentinel) = all[0],
      case .exited(token, .exited(7), let use) = all[1], process > 0, sentinel > 2
    else { fail("\(all)") }
    check(use.residentKilobytesMax > 100, "no resident set")
    // 0, 1, 2 and the folder that ls reads.
    check(readAll(output.read), equals: "a b 1 /tmp\n4\n")
  }

  static func execFails(_ forkServer: ForkServer) throws {
    func failure(_ path: String, folder: String? = nil) throws -> StartFailure {
      var specification = ProcessSpecification(
        .exec(path: path, arguments: [path], environment: ["PATH=/usr/bin:/bin"]))
      specification.workingFolder = folder
      let token = try forkServer.startProcess(specification)
      let all = events(forkServer) {
        if case .startFailed = $0 { true } else { false }
      }
      guard all.count == 1, case .startFailed(token, let failure) = all[0] else { fail("\(all)") }
      return failure
    }
    check(
      try failure("/no/such/program"), equals: StartFailure(stage: .exec, errorNumber: ENOENT))
    check(
      try failure("no-such-program"), equals: StartFailure(stage: .exec, errorNumber: ENOENT))
    check(try failure("/etc/passwd"), equals: StartFailure(stage: .exec, errorNumber: EACCES))
    check(
      try failure("/bin/true", folder: "/no/such/folder"),
      equals: StartFailure(stage: .workingFolder, errorNumber: ENOENT))
    // No message about a failed start follows, and the next one works.
    let token = try forkServer.startProcess(
      ProcessSpecification(.exec(path: "/bin/true", arguments: ["true"], environment: [])))
    check(events(forkServer, until: isExit(of: token)).count, equals: 2)
  }

  static func largeRequest(_ forkServer: ForkServer) throws {
    func specification(_ bytes: Int) -> ProcessSpecification {
      let piece = String(repeating: "x", count: 64 << 10)
      return ProcessSpecification(
        .exec(
          path: "/bin/true", arguments: ["true"],
          environment: (0..<bytes / piece.utf8.count).map { "V\($0)=\(piece)" }))
    }
    let token = try forkServer.startProcess(specification(256 << 10))
    check(events(forkServer, until: isExit(of: token)).count, equals: 2)
    do throws(StartFailure) {
      _ = try forkServer.startProcess(specification(1 << 20))
      fail("a request of 1 MiB was accepted")
    } catch {
      check(error, equals: StartFailure(stage: .request, errorNumber: EMSGSIZE))
    }
  }

  static func forkPayload(_ forkServer: ForkServer) throws {
    let output = makePipe()
    let token = try forkServer.startProcess(
      ProcessSpecification(
        .fork(EntryPoint(code: reportingEntry, payload: Array("payload".utf8))),
        descriptors: [.init(output.write, as: 5)]))
    close(output.write)
    let all = events(forkServer, until: isExit(of: token))
    guard case .exited(token, .exited(7), _) = all.last else { fail("\(all)") }
    check(readAll(output.read), equals: "payload")
  }

  /// A client that reads nothing for a while loses no message.
  static func slowClient(_ forkServer: ForkServer) throws {
    var tokens = Set<ProcessToken>()
    for _ in 0..<1500 {
      tokens.insert(
        try forkServer.startProcess(
          ProcessSpecification(.exec(path: "/no/such", arguments: ["x"], environment: []))))
    }
    var last: [ForkServerEvent] = []
    let deadline = now() + 20_000_000_000
    while !tokens.isEmpty {
      check(now() < deadline, "\(tokens.count) messages are missing")
      var set = pollfd(fd: forkServer.fileDescriptor, events: Int16(POLLIN), revents: 0)
      poll(&set, 1, 1000)
      forkServer.drain(into: &last)
      for event in last {
        guard case .startFailed(let token, _) = event else { fail("\(event)") }
        check(tokens.remove(token) != nil, "a message came twice")
      }
      last.removeAll()
    }
  }

  /// What a worker leaves behind dies with it, in its group or out of it.
  static func groupDies(_ forkServer: ForkServer) throws {
    let output = makePipe()
    let token = try forkServer.startProcess(
      ProcessSpecification(
        .exec(
          path: "sh", arguments: ["sh", "-c", "sleep 300 & setsid sleep 300 & sleep 0.05; echo x"],
          environment: ["PATH=/usr/bin:/bin"]),
        descriptors: [.init(output.write, as: 1)]))
    close(output.write)
    _ = events(forkServer, until: isExit(of: token))
    // The pipe ends when the last of them is gone.
    check(readAll(output.read, within: 1), equals: "x\n")
  }

  /// The fork server ignores what ends others, and a child is forked from it: a signal that comes
  /// before the child has its own dispositions must not be lost.
  static func signalledAtOnce(_ forkServer: ForkServer) throws {
    for round in 0..<100 {
      let token = try forkServer.startProcess(
        ProcessSpecification(
          .exec(path: "sleep", arguments: ["sleep", "60"], environment: ["PATH=/usr/bin:/bin"])))
      forkServer.signal(token, SIGTERM)
      let end = events(forkServer, until: isExit(of: token)).last
      guard case .exited(token, let status, _) = end else { fail("round \(round): \(end!)") }
      check(status, equals: .signalled(SIGTERM))
    }
  }

  static func forkServerKilled(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer)
    driver.waitReady(2)
    let running = [
      CallScenarios.started(driver) { driver.call("hold", "[]", CallScenarios.hold($0, 60_000)) },
      CallScenarios.started(driver) { driver.call("orphan", "[\"\($0)\"]") },
    ]
    let first = forkServer.process
    kill(first, SIGKILL)
    for call in running {
      check(driver.ending(of: call), equals: .lost(.unknown, started: true, reason: nil))
    }
    check(driver.events.contains(.lost), "no loss was reported")
    driver.waitReady(2)
    check(forkServer.process != first, "it is the same fork server")
    check(driver.result("square", "[6]"), equals: "36")
    check(driver.result("descriptors"), equals: "[0,1,2,3,60]")
    check(
      driver.ending(of: driver.call("leave", "[2]")),
      equals: .lost(.exited(2), started: true, reason: nil))
    driver.end()
  }

  static func forkServerSignals(_ forkServer: ForkServer) throws {
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT] {
      kill(forkServer.process, signal)
    }
    let driver = try PoolDriver(forkServer)
    check(driver.result("square", "[6]"), equals: "36")
    check(driver.events.contains(.lost), equals: false)
    driver.end()
  }

  /// The end takes everything with it, before it returns.
  static func end(_ forkServer: ForkServer) throws {
    let output = makePipe()
    let token = try forkServer.startProcess(
      ProcessSpecification(
        .exec(
          path: "sh", arguments: ["sh", "-c", "setsid sleep 300 & echo x; wait"],
          environment: ["PATH=/usr/bin:/bin"]),
        descriptors: [.init(output.write, as: 1)]))
    close(output.write)
    var set = pollfd(fd: output.read, events: Int16(POLLIN), revents: 0)
    check(poll(&set, 1, 5000), equals: 1)
    _ = token
    forkServer.end()
    check(readAll(output.read, within: 0.05), equals: "x\n")
    check(waitpid(-1, nil, WNOHANG), equals: -1)  // No child is left, not even a zombie.
  }

  /// Runs for ever, with a task that has a grandchild in a session of its own. For the test that
  /// kills this process and waits until nobody holds its stdout any more.
  static func victim(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer)
    driver.call("orphan", "[\"/dev/stdout\"]")
    driver.call("stubborn", "[\"/dev/stdout\"]")
    driver.run(until: "killed", within: 60) { false }
  }
}
