import Glibc
import Multiprocessing

/// A fork server that somebody has stopped.
enum BadTimesScenarios {
  /// While it is stopped, living workers go on; what waited for it is done when it goes on.
  static func stoppedForAWhile(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer, processes: 2)
    driver.waitReady(2)
    kill(forkServer.process, SIGSTOP)
    for number in 0..<200 {
      check(driver.result("square", "[\(number)]"), equals: "\(number * number)")
    }
    // One that dies is missed, and nothing else: its call ends when the fork server can tell.
    let dying = driver.call("die", "[9]")
    check(driver.result("square", "[3]"), equals: "9")
    check(driver.endings[dying] == nil, "somebody told how it died")
    kill(forkServer.process, SIGCONT)
    check(driver.ending(of: dying), equals: .lost(.signalled(9), started: true, reason: nil))
    driver.waitReady(2)
    check(driver.hungForkServers, equals: 0)
    driver.end()
  }

  /// One that never goes on is given up, and another takes its place. Nobody waits for ever.
  static func stoppedForGood(_ forkServer: ForkServer) throws {
    forkServer.silenceMax = 600_000_000
    let driver = try PoolDriver(forkServer, processes: 3)
    // A worker may be ready before the fork server has told that it runs, and then that is missed.
    driver.run(until: "all starts are answered") {
      driver.events.count { if case .started = $0 { true } else { false } } == 3
        && driver.pool.readyWorkers == 3
    }
    let stopped = forkServer.process
    kill(stopped, SIGSTOP)
    // Nothing is asked of it, so that nothing is missed.
    check(driver.result("wait", "[1000]"), equals: "null")
    check(driver.hungForkServers, equals: 0)
    let calls = [driver.call("stubborn", "[\"/dev/null\"]"), driver.call("wait", "[60000]")]
    // By then both have begun.
    check(driver.result("wait", "[500]"), equals: "null")
    driver.pool.end(calls[0], grace: 0, at: now())
    for call in calls {
      check(driver.ending(of: call), equals: .lost(.unknown, started: true, reason: nil))
    }
    check(driver.hungForkServers, equals: 1)
    check(forkServer.process != stopped && forkServer.process > 0, "it was not replaced")
    driver.waitReady(3)
    check(driver.result("square", "[3]"), equals: "9")
    driver.end()
  }

  /// A request that had to wait and is refused then is told, as is one that is refused at once.
  static func refusedWhileWaiting(_ forkServer: ForkServer) throws {
    let socket = (Int32(3)..<100).first { number in
      var status = stat()
      return fstat(number, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }
    guard let socket else { fail("no socket") }
    kill(forkServer.process, SIGSTOP)
    let variables = (0..<2).map { "V\($0)=" + String(repeating: "x", count: 64 << 10) }
    let specification = ProcessSpecification(
      .exec(path: "/bin/true", arguments: ["true"], environment: variables))
    var open = Set<ProcessToken>()
    for _ in 0..<40 { open.insert(try forkServer.startProcess(specification)) }
    // What waits is larger now than the socket will ever take.
    var size: Int32 = 8_192
    check(setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, 4), equals: 0)
    kill(forkServer.process, SIGCONT)
    var refused = 0
    while !open.isEmpty {
      let all = ForkScenarios.events(forkServer) {
        if case .started = $0 { false } else { true }
      }
      for event in all {
        switch event {
        case .exited(let token, _, _): open.remove(token)
        case .startFailed(let token, let failure):
          check(failure, equals: StartFailure(stage: .request, errorNumber: EMSGSIZE))
          open.remove(token)
          refused += 1
        default: break
        }
      }
    }
    check(refused > 0, "none had to wait")
  }

  /// The end of the program does not wait for it either, and leaves nothing behind.
  static func stoppedAtTheEnd(_ forkServer: ForkServer) throws {
    let output = ForkScenarios.makePipe()
    _ = try forkServer.startProcess(
      ProcessSpecification(
        .exec(
          path: "sh", arguments: ["sh", "-c", "setsid sleep 300 & echo x; sleep 300"],
          environment: ["PATH=/usr/bin:/bin"]),
        descriptors: [.init(output.write, as: 1)]))
    close(output.write)
    var byte: UInt8 = 0
    check(read(output.read, &byte, 1), equals: 1)
    kill(forkServer.process, SIGSTOP)
    let began = now()
    forkServer.end()
    check(now() - began < 10_000_000_000, "it took \((now() - began) / 1_000_000) ms")
    // The pipe has ended because the last of them is gone.
    check(ForkScenarios.readAll(output.read, within: 0.5), equals: "\n")
    check(waitpid(-1, nil, WNOHANG), equals: -1)
    check(errno, equals: ECHILD)
  }
}
