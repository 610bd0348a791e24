import Glibc
import Multiprocessing

/// How programs are ended, what becomes of their folders, and what a lost fork server does.
enum ProgramEndScenarios {
  private static let second: UInt64 = 1_000_000_000

  /// Runs a script with a mark in its environment, until it has said something on stderr.
  private static func begin(
    _ driver: ProgramDriver, _ script: String, mark: String = "MARK=none"
  ) -> UInt64 {
    let call = driver.shell(script) { $0.environment.append(mark) }
    driver.run(until: "its first words") { driver.growths.contains(call) }
    return call
  }

  static func ladder(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    // It is asked, and answers in its own way.
    let polite = begin(
      driver, "trap 'echo bye; exit 5' TERM; echo x >&2; while :; do sleep 0.01; done")
    driver.pool.end(polite, grace: 60 * second, at: now())
    check(driver.pool.workers.map(\.state), equals: [.ending])
    let end = driver.end(of: polite)
    check(end.status, equals: .exited(5))
    check(end.output, equals: Array("bye\n".utf8))
    check(end.isEndedByPool, "it was ended")

    // It does not listen, and a shorter second wish holds.
    let deaf = begin(driver, "trap '' TERM; echo x >&2; while :; do sleep 0.01; done")
    driver.pool.end(deaf, grace: 60 * second, at: now())
    driver.pool.end(deaf, grace: second / 20, at: now())
    driver.pool.end(deaf, grace: 60 * second, at: now())
    let began = now()
    check(driver.end(of: deaf).status, equals: .signalled(SIGKILL))
    check(now() - began < 2 * second, "the grace was not kept")

    driver.pool.end(deaf, grace: 0, at: now())  // It is over; nothing happens.
    driver.pool.end(999, grace: 0, at: now())  // There is no such call.
    check(driver.output("echo x"), equals: "x\n")
    driver.finish()
  }

  /// Ended while its start is under way, again and again.
  static func atOnce(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    let mark = "MARK=\(getpid())-at-once"
    for round in 0..<100 {
      let call = driver.shell("sleep 300") { $0.environment.append(mark) }
      driver.run(until: "its start") { !driver.pool.workers.isEmpty }
      driver.pool.end(call, grace: round % 2 == 0 ? 60 * second : 0, at: now())
      let end = driver.end(of: call)
      check(end.isEndedByPool, "it was ended")
      guard case .signalled(let number) = end.status, number == SIGTERM || number == SIGKILL
      else { fail("\(end.status)") }
    }
    // One that fails to start meanwhile.
    let failing = driver.run(ProgramCall(arguments: ["/no/such"]))
    driver.run(until: "its start") { !driver.pool.workers.isEmpty }
    driver.pool.end(failing, grace: second, at: now())
    let end = driver.end(of: failing)
    check(
      end.startFailure?.errorNumber == ENOENT || end.status == .signalled(SIGTERM),
      "\(end.status), \(String(describing: end.startFailure))")
    check(end.isEndedByPool, "it was ended")
    ProgramScenarios.waitUntil("nothing is left") {
      ProgramScenarios.processes(with: mark).isEmpty
    }
    driver.finish()
  }

  /// Grandchildren in its group and out of it die with it, however it ends.
  static func grandchildren(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    let mark = "MARK=\(getpid())-grandchildren"
    let script = "sleep 100 & setsid sleep 100 & setsid sh -c 'sleep 100 & wait' & echo x >&2; wait"
    func expectNothing(since time: UInt64, line: Int = #line) {
      let left = Double(time + second) - Double(now())
      ProgramScenarios.waitUntil("nothing is left", within: max(left, 0) / 1e9, line: line) {
        ProgramScenarios.processes(with: mark).isEmpty
      }
    }
    let ended = begin(driver, script, mark: mark)
    ProgramScenarios.waitUntil("there are grandchildren") {
      ProgramScenarios.processes(with: mark).count >= 4
    }
    var time = now()
    driver.pool.end(ended, grace: second, at: time)
    check(driver.end(of: ended, within: 1).isCutOff, equals: false)
    expectNothing(since: time)

    // They hold its pipes when it has left by itself.
    time = now()
    let left = driver.end(
      of: driver.shell(script.dropLast(4) + "exit 6") {
        $0.environment.append(mark)
      }, within: 1)
    check(left.status, equals: .exited(6))
    check(left.isCutOff, equals: false)
    expectNothing(since: time)

    // The end of the pool.
    _ = begin(driver, script, mark: mark)
    time = now()
    driver.finish()
    expectNothing(since: time)
  }

  /// What is in the folders is removed, whatever it is, and nothing else.
  static func folders(_ forkServer: ForkServer) throws {
    let outside = ProgramDriver.temporaryFolder()
    let driver = try ProgramDriver(forkServer)
    let scripts = [
      "echo x > file; ln -s \(outside) link; ln -s \(outside)/kept other; mkfifo fifo",
      "mkdir -p a/b/c d; echo x > a/b/c/file; chmod 0500 a/b/c a/b; chmod 0 d; chmod 0500 a .",
      "i=0; while [ $i -lt 300 ]; do mkdir x; cd x; echo $i > file; i=$((i+1)); done",
      "i=0; while [ $i -lt 2000 ]; do : > f$i; i=$((i+1)); done",
      "cd ..; rm -r \"$PWD\"/[0-9]* ; ln -s \(outside) 6",
      "mkdir -- '-rf' '\u{fc}' '..x' gone.1; : > 'gone.1/a b'; : > \"$(printf 'a\\nb')\"",
    ]
    check(driver.output("echo kept > \(outside)/kept"), equals: "")
    for script in scripts { check(driver.end(of: driver.shell(script)).status, equals: .exited(0)) }
    driver.waitSwept()
    check(ProgramDriver.entries(of: driver.folder), equals: [])
    check(ProgramDriver.entries(of: outside), equals: ["kept"])

    // One that is being written to while it is removed: the writer is a stray that dies meanwhile.
    check(
      driver.end(
        of: driver.shell("setsid sh -c 'while :; do : > $$.$RANDOM; mkdir -p q/$$; done' &")
      )
      .status, equals: .exited(0))
    driver.waitSwept()
    driver.finish()
    unlink(outside + "/kept")
    rmdir(outside)
  }

  /// What a crash has left is removed at the start, and calls of the same numbers are not held up.
  static func leftovers(_ forkServer: ForkServer) throws {
    let folder = ProgramDriver.temporaryFolder() + "/programs"
    let first = try ProgramDriver(forkServer, in: folder)
    check(
      first.output("mkdir -p ../7/a/b ../70/a ../8 ../gone.1/c ../gone.2 ../kept; : > ../7/a/file"),
      equals: "")
    let second = try ProgramDriver(forkServer, in: folder)
    second.waitSwept()
    check(ProgramDriver.entries(of: folder), equals: ["kept"])
    // One that is in the way of a later call.
    check(second.output("mkdir -p ../2/x; : > ../2/x/file"), equals: "")
    check(second.output("echo x > file; ls -A"), equals: "file\n")
    second.waitSwept()
    check(ProgramDriver.entries(of: folder), equals: ["kept"])
    check(rmdir(folder + "/kept"), equals: 0)
    first.finish(removesFolder: false)
    second.finish()
  }

  /// Running calls end with an unknown status, and calls go on with the next fork server.
  static func forkServerLost(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    let mark = "MARK=\(getpid())-lost"
    let running = begin(driver, "setsid sleep 100 & echo x >&2; sleep 100", mark: mark)
    let started = driver.shell("sleep 100") { $0.environment.append(mark) }
    driver.run(until: "its start is asked for") { driver.pool.workers.count == 2 }
    driver.replaces = false
    let time = now()
    kill(forkServer.process, SIGKILL)
    for call in [running, started] {
      let end = driver.end(of: call, within: 2)
      check(end.status, equals: .unknown)
      check(end.startFailure, equals: nil)
      check(end.isEndedByPool || end.isCutOff, equals: false)
    }
    check(ProgramScenarios.processes(with: mark).isEmpty || now() - time < second, "it lives on")

    // While there is none, calls come back, ever more slowly.
    let turns = driver.turns
    let waiting = driver.shell("echo x")
    driver.run(until: "some starts failed") { driver.notStarted.count == 3 }
    check(driver.turns - turns < 20, "\(driver.turns - turns) turns")
    check(
      driver.notStarted.map(\.failure.stage),
      equals: [.forkServerLost, .forkServerLost, .forkServerLost])
    check(now() - time > (50 + 100) * 1_000_000, "there were no pauses")
    driver.replace()
    driver.replaces = true
    check(driver.end(of: waiting).output, equals: Array("x\n".utf8))
    ProgramScenarios.waitUntil("nothing is left") {
      ProgramScenarios.processes(with: mark).isEmpty
    }
    driver.waitSwept()
    driver.finish()
  }

  /// Nothing is reported after the end but the end.
  static func poolEnds(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer, processes: 3)
    let deaf = begin(
      driver, "trap '' TERM; echo x > file; echo x >&2; while :; do sleep 0.01; done")
    let polite = begin(driver, "echo x >&2; sleep 100")
    let closing = driver.shell("sleep 0.05; echo x")
    driver.run(until: "three run") { driver.began.count == 3 }
    driver.pool.close(at: now())
    check(driver.end(of: closing).output, equals: Array("x\n".utf8))
    check(driver.credit, equals: [0: 0, 1: 0, 2: 0])
    check((0..<3).map { driver.pool.room(in: $0) }, equals: [0, 0, 0])
    check(driver.isEnded, equals: false)
    driver.finish()
    check(driver.ends[deaf]?.status, equals: .signalled(SIGKILL))
    check(driver.ends[polite]?.status, equals: .signalled(SIGTERM))
  }

  /// Programs that come and go, are ended at random moments, and a fork server that dies now and
  /// then: every call is over exactly once, and nothing is left.
  static func chaos(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer, processes: 4)
    check(driver.output("echo x"), equals: "x\n")
    let before = openDescriptors()
    var random = SystemRandomNumberGenerator()
    let mark = "MARK=\(getpid())-chaos"
    let scripts = [
      "sleep 0.01", "cat", "yes", "yes >&2", "exit 3", "trap '' TERM; sleep 0.05 & wait; sleep 1",
      "setsid sleep 300 & mkdir -p a/b; exit 1",
    ]
    for round in 0..<40 {
      for _ in 0..<8 {
        driver.shell(
          scripts.randomElement(using: &random)!,
          input: Array(repeating: 7, count: [0, 10, 200_000].randomElement(using: &random)!)
        ) {
          $0.environment.append(mark)
          $0.outputBytesMax = 300_000
        }
      }
      let wanted = (round + 1) * 8 + 1
      while driver.ends.count < wanted {
        driver.run(until: "one runs") {
          !driver.pool.workers.isEmpty || driver.ends.count == wanted
        }
        let calls = driver.pool.workers.compactMap(\.call)
        if let call = calls.randomElement(using: &random) {
          driver.pool.end(call, grace: UInt64.random(in: 0...20_000_000), at: now())
        }
        let count = min(driver.ends.count, wanted - 1)
        driver.run(until: "a call ends") { driver.ends.count > count }
      }
      if round % 10 == 5 { kill(forkServer.process, SIGKILL) }
    }
    driver.waitSwept()
    check(driver.output("echo x"), equals: "x\n")
    waitForDescriptors(before)
    ProgramScenarios.waitUntil("nothing is left") {
      ProgramScenarios.processes(with: mark).isEmpty
    }
    driver.finish()
  }

  private static func waitForDescriptors(_ before: [Int], line: Int = #line) {
    // Another fork server has another socket: the number counts.
    check(openDescriptors().count, equals: before.count, line: line)
  }
}
