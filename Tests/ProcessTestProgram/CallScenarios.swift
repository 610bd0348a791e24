import Glibc
import Multiprocessing

/// Calls, and how they end.
enum CallScenarios {
  static func callsInOrder(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer)
    // Beside a load, one that is ready later may find nothing left to do.
    driver.waitReady(2)
    let calls = (0..<5000).map { driver.call("square", "[\($0)]") }
    driver.run(until: "all calls") { driver.endings.count == calls.count }
    for (index, call) in calls.enumerated() {
      check(driver.endings[call]!, equals: .ended(.returned("\(index * index)")))
    }
    check(driver.pool.taskNames?.first, equals: "square")
    check(driver.pool.workers.map(\.callsDone).reduce(0, +), equals: 5000)
    check(driver.pool.workers.allSatisfy { $0.callsDone > 0 }, "one worker did it all")
    driver.end()
  }

  static func deaths(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer)
    driver.keepsTimes = true
    driver.waitReady(2)
    let cases: [(String, String, ExitStatus, Int32)] = [
      ("die", "[9]", .signalled(9), -9), ("die", "[11]", .signalled(11), -11),
      ("leave", "[3]", .exited(3), 3), ("leave", "[0]", .exited(0), 0),
    ]
    for (task, args, status, exitcode) in cases {
      driver.waitReady(2)
      let other = driver.call("wait", "[150]")
      let began = now()
      let victim = driver.call(task, args)
      check(
        driver.ending(of: victim), equals: .lost(status, started: true, reason: nil))
      check(status.exitcode, equals: exitcode)
      let took = driver.endedAt[victim]! - began
      check(took < 100_000_000, "the death was reported after \(took / 1_000_000) ms")
      check(driver.ending(of: other), equals: .ended(.returned("null")))
    }
    driver.waitReady(2)
    check(driver.result("square", "[4]"), equals: "16")
    check(
      driver.pool.goneWorkers.compactMap { $0.exitStatus?.exitcode }, equals: [-9, -11, 3, 0])
    driver.end()
  }

  static func arguments(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer)
    check(driver.result("sum", "[[1,2,3]]"), equals: "6")
    check(driver.result("sum", "[1,2,3]"), equals: "6")
    check(driver.result("point", "[{\"x\":1,\"y\":2}]"), equals: "3")
    check(driver.result("point", "[]", "{\"x\":1,\"y\":2}"), equals: "3")
    check(driver.result("nothing"), equals: "null")
    check(driver.result("ratio", "[4]"), equals: "0.25")
    let long = String(repeating: "123456789", count: 30)
    check(driver.result("digits", "[\(long)]"), equals: long)
    check(
      driver.result("echo", "[{\"a\":[1e400,\"\\u00e9\"]}]"), equals: "{\"a\":[1e400,\"\\u00e9\"]}")

    let wrong: [(String, String, String, String, String)] = [
      ("square", "[\"x\"]", "{}", "argument_decoding", "string"),
      ("square", "[]", "{}", "argument_decoding", "missing"),
      ("square", "[1]", "{\"n\":1}", "argument_decoding", "not both"),
      ("point", "[{\"x\":1,\"y\":\"a\"}]", "{}", "argument_decoding", ".y"),
      ("point", "[{\"x\":1}]", "{}", "argument_decoding", ".y"),
      ("nothing", "[1]", "{}", "argument_decoding", "no argument"),
      ("ratio", "[0]", "{}", "result_encoding", "inf"),
      ("digits", "[\"no\"]", "{}", "", ""),
      ("refuse", "[]", "{}", "raised", "not today"),
      ("absent", "[]", "{}", "raised", "absent"),
    ]
    for (task, args, kwargs, code, part) in wrong where !code.isEmpty {
      let ending = driver.ending(of: driver.call(task, args, kwargs))
      guard case .ended(.raised(let error)) = ending else { fail("\(task)\(args): \(ending)") }
      check(error.contains("\"code\":\"\(code)\""), "\(task)\(args): \(error)")
      check(error.contains(part), "\(task)\(args): \(error)")
    }
    driver.end()
  }

  static func largeValues(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer)
    let numbers = (0..<1_000_000).map(String.init).joined(separator: ",")
    check(driver.result("sum", "[[\(numbers)]]"), equals: "499999500000")
    check(driver.result("text", "[7000000]").utf8.count, equals: 7_000_002)
    let ending = driver.ending(of: driver.call("text", "[9000000]"))
    guard case .ended(.raised(let error)) = ending else { fail("\(ending)") }
    check(error.contains("output_limit"), error)
    driver.end()
  }

  static func ladder(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer)
    driver.waitReady(2)
    // One that SIGTERM ends, one that needs SIGKILL.
    let easy = started(driver) { driver.call("hold", "[]", hold($0, 60_000)) }
    driver.pool.end(easy, grace: 60_000_000_000, at: now())
    check(driver.ending(of: easy), equals: .lost(.signalled(SIGTERM), started: true, reason: nil))
    driver.waitReady(2)

    let hard = started(driver) { driver.call("stubborn", "[\"\($0)\"]") }
    let began = now()
    driver.pool.end(hard, grace: 50_000_000, at: began)
    check(driver.ending(of: hard), equals: .lost(.signalled(SIGKILL), started: true, reason: nil))
    let took = now() - began
    check(took >= 50_000_000 && took < 500_000_000, "the ladder took \(took / 1_000_000) ms")
    driver.waitReady(2)
    driver.end()
  }

  /// Makes a call that writes into the FIFO whose path it gets, and returns once it has.
  static func started(_ driver: PoolDriver, _ call: (String) -> UInt64) -> UInt64 {
    let path = "/tmp/lido-test-\(getpid())"
    check(mkfifo(path, 0o600), equals: 0)
    let word = open(path, O_RDONLY | O_NONBLOCK)
    let number = call(path)
    driver.settle()
    var set = pollfd(fd: word, events: Int16(POLLIN), revents: 0)
    check(poll(&set, 1, 5000), equals: 1)
    close(word)
    unlink(path)
    return number
  }

  /// The arguments of `TestTasks.hold`.
  static func hold(_ path: String, _ milliseconds: Int) -> String {
    "{\"path\":\"\(path)\",\"milliseconds\":\(milliseconds)}"
  }

  static func endPrefetched(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer, processes: 1)
    for _ in 0..<20 { driver.call("square", "[1]") }
    driver.run(until: "credit") { driver.endings.count == 20 }
    driver.requeues = false
    let long = started(driver) { driver.call("hold", "[]", hold($0, 300)) }
    let behind = driver.call("square", "[2]")
    let last = driver.call("square", "[3]")
    driver.settle()
    driver.pool.end(behind, grace: 0, at: now())
    check(
      driver.ending(of: behind, within: 0.1),
      equals: .lost(.unknown, started: false, reason: nil))
    check(driver.ending(of: last), equals: .lost(.unknown, started: false, reason: nil))
    check(driver.ending(of: long), equals: .ended(.returned("null")))
    check(driver.result("square", "[5]"), equals: "25")
    driver.end()
  }

  static func recall(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer, processes: 2)
    for _ in 0..<40 { driver.call("square", "[1]") }
    driver.run(until: "credit") { driver.endings.count == 40 }
    let began = now()
    let long = driver.call("wait", "[1000]")
    let short = (0..<20).map { _ in driver.call("square", "[2]") }
    driver.run(until: "short calls") { short.allSatisfy { driver.endings[$0] != nil } }
    let took = now() - began
    check(took < 500_000_000, "short calls waited \(took / 1_000_000) ms behind a long one")
    check(driver.ending(of: long), equals: .ended(.returned("null")))
    driver.end()
  }

  static func spawn(_ forkServer: ForkServer) throws {
    var workers = WorkerSettings()
    workers.startMethod = .spawn
    let driver = try PoolDriver(forkServer, workers: workers)
    check(driver.result("square", "[12]"), equals: "144")
    check(driver.result("descriptors"), equals: "[0,1,2,3,60]")
    check(
      driver.ending(of: driver.call("leave", "[4]")),
      equals: .lost(.exited(4), started: true, reason: nil))
    driver.end()
  }

  static func forkRefused(_ forkServer: ForkServer) throws {
    var workers = WorkerSettings()
    workers.startMethod = .fork
    do {
      _ = try PoolDriver(forkServer, workers: workers)
      fail("fork was accepted")
    } catch let error as UnsupportedStartMethod {
      check("\(error)".contains("use forkserver or spawn"), "\(error)")
    }
  }
}
