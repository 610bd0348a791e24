import Glibc
import Multiprocessing

/// What processes that may linger leave behind, and processes that survive their fork server.
enum StrayScenarios {
  /// A process that lingers and, once `release` is closed, ends after `pause` seconds.
  private struct Leaver {
    var token: ProcessToken
    /// Ends with the last of those that it has left behind.
    var output: Int32
    var release: Int32
  }

  /// Starts one with a process beside it, in a session of its own, which runs a line of sh.
  private static func start(
    _ forkServer: ForkServer, leaving line: String, pause: String = "0"
  ) throws -> Leaver {
    let input = ForkScenarios.makePipe()
    let output = ForkScenarios.makePipe()
    var specification = ProcessSpecification(
      .exec(
        path: "sh",
        arguments: ["sh", "-c", "setsid sh -c \"$LINE\" & read x; exec sleep \(pause)"],
        environment: ["PATH=/usr/bin:/bin", "LINE=\(line)"]),
      descriptors: [.init(input.read, as: 0), .init(output.write, as: 1)])
    specification.lingers = true
    for end in [input.write, output.read] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let token = try forkServer.startProcess(specification)
    close(input.read)
    close(output.write)
    var text = [UInt8](repeating: 0, count: 2)
    check(read(output.read, &text, 2), equals: 2)
    check(text, equals: Array("x\n".utf8))
    return Leaver(token: token, output: output.read, release: input.write)
  }

  /// Milliseconds since `moment` until all of what it has left behind is gone.
  private static func wait(for leaver: Leaver, since moment: UInt64, line: Int = #line) -> UInt64 {
    if ForkScenarios.readAll(leaver.output, within: 5) == nil { fail("it goes on", line: line) }
    return (now() - moment) / 1_000_000
  }

  /// Each has its 450 ms, whenever the one before came.
  static func apart(_ forkServer: ForkServer) throws {
    let leavers = try (0..<2).map { _ in
      try start(forkServer, leaving: "echo x; exec sleep 300")
    }
    let first = now()
    close(leavers[0].release)
    // The first one's time is over soon when the second comes.
    var entry = pollfd(fd: leavers[0].output, events: Int16(POLLIN), revents: 0)
    check(poll(&entry, 1, 350), equals: 0)
    let second = now()
    close(leavers[1].release)
    let times = [wait(for: leavers[0], since: first), wait(for: leavers[1], since: second)]
    check(times.allSatisfy { $0 >= 440 }, "\(times) ms")
  }

  /// One that leaves another behind when it ends, and so on, has no more time than one.
  static func chain(_ forkServer: ForkServer) throws {
    let leaver = try start(
      forkServer,
      leaving: "echo x; export LINK='sleep 0.1; setsid sh -c \"$LINK\" &'; eval \"$LINK\"")
    let released = now()
    close(leaver.release)
    let time = wait(for: leaver, since: released)
    check(time >= 440 && time < 2_000, "\(time) ms")
  }

  /// One that comes late after the end of the client has its time as well.
  static func late(_ forkServer: ForkServer) throws {
    let leaver = try start(
      forkServer, leaving: "echo x; exec sleep 300", pause: "0.25")
    let released = now()
    close(leaver.release)
    forkServer.end()
    let time = wait(for: leaver, since: released)
    check(time >= 650 && time < 2_500, "\(time) ms")
  }

  /// The sentinel of a process that survives its fork server is closed with the object.
  static func leftover(_ forkServer: ForkServer) throws {
    let before = openDescriptors()
    let survivor = try loseServer()
    check(openDescriptors(), equals: before)
    check(kill(survivor, 0), equals: 0)
    // It is this process' child by now: see `adoptsOrphans`.
    kill(survivor, SIGKILL)
    check(waitpid(survivor, nil, 0), equals: survivor)
  }

  /// Has a fork server of its own, which is killed, and answers what survives that.
  private static func loseServer() throws -> Int32 {
    let forkServer = try ForkServer.execute()
    var specification = ProcessSpecification(
      .exec(path: "sleep", arguments: ["sleep", "300"], environment: ["PATH=/usr/bin:/bin"]))
    specification.survivesForkServer = true
    _ = try forkServer.startProcess(specification)
    let events = ForkScenarios.events(forkServer) { if case .started = $0 { true } else { false } }
    guard case .started(_, let process, _) = events.last else { fail("\(events)") }
    kill(forkServer.process, SIGKILL)
    _ = ForkScenarios.events(forkServer) { $0 == .lost }
    return process
  }
}
