import Glibc
import Multiprocessing

/// The life of workers.
enum WorkerScenarios {
  static func maxTasksPerChild(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer, configure: { $0.callsPerWorkerMax = 1 })
    let calls = (0..<2000).map { _ in driver.call("process") }
    driver.run(until: "all calls", within: 60) { driver.endings.count == calls.count }
    var processes = Set<String>()
    for call in calls {
      guard case .ended(.returned(let process)) = driver.endings[call]! else { fail("lost") }
      processes.insert(process)
    }
    check(processes.count > 1900, "only \(processes.count) processes for 2000 calls")
    driver.end()
  }

  /// A worker's hello may overtake the fork server's news of its start: they are two sockets.
  static func helloFirst(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer, processes: 1)
    driver.hearsForkServer = false
    driver.waitReady(1)
    let process = driver.pool.process(of: 0)
    check(process > 0, "a ready worker without a process id")
    check(driver.pool.workers.map(\.process), equals: [process])
    check(driver.result("process"), equals: "\(process)")
    driver.hearsForkServer = true
    driver.end()
    check(driver.pool.goneWorkers.map(\.process), equals: [process])
  }

  /// The policy (sched(7)) of what works for a pool: `SCHED_BATCH`, which Swift's Glibc leaves out,
  /// unless somebody has chosen one for this run.
  static var batchPolicy: Int32 {
    let own = sched_getscheduler(0)
    return own == SCHED_OTHER ? 3 : own
  }

  /// Who works for a pool is batch work for the kernel, whatever its start method, and nobody else.
  static func batch(_ forkServer: ForkServer) throws {
    let output = ForkScenarios.makePipe()
    var other = ProcessSpecification(
      .exec(
        path: "cut", arguments: ["cut", "-d", " ", "-f", "41", "/proc/self/stat"],
        environment: ["PATH=/usr/bin:/bin"]))
    other.descriptors = [.init(output.write, as: 1)]
    let token = try forkServer.startProcess(other)
    close(output.write)
    _ = ForkScenarios.events(forkServer, until: ForkScenarios.isExit(of: token))
    check(ForkScenarios.readAll(output.read), equals: "\(sched_getscheduler(0))\n")
    for startMethod in [StartMethod.forkserver, .spawn] {
      var workers = WorkerSettings()
      workers.startMethod = startMethod
      let driver = try PoolDriver(forkServer, workers: workers)
      driver.waitReady(2)
      let policies = driver.pool.workers.map { sched_getscheduler($0.process) }
      check(policies, equals: [batchPolicy, batchPolicy])
      driver.end()
    }
  }

  static func initializerFails(_ forkServer: ForkServer) throws {
    var workers = WorkerSettings()
    workers.initializer = "cold"
    let driver = try PoolDriver(
      forkServer, configure: { $0.backOffMin = 1_000_000 }, workers: workers)
    driver.run(until: "the pool breaks") { driver.brokenReason != nil }
    check(driver.brokenReason!.contains("not today"), driver.brokenReason!)
    driver.run(until: "the end") { driver.isEnded }
    let exits = driver.events.filter { if case .exited = $0 { true } else { false } }.count
    check(exits >= 6 && exits <= 7, "\(exits) workers were tried")
    check(driver.pool.workers, equals: [])
  }

  static func initializerRuns(_ forkServer: ForkServer) throws {
    var workers = WorkerSettings()
    workers.initializer = "warm"
    workers.initializerArguments = "[\"very\"]"
    let driver = try PoolDriver(forkServer, workers: workers)
    check(driver.result("warmed"), equals: "\"very\"")
    check(driver.pool.taskNames!.contains("warm"), equals: false)
    driver.end()
  }

  static func garbage(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer)
    driver.waitReady(2)
    for task in ["garbage", "lie", "backward"] {
      driver.waitReady(2)
      let other = driver.call("wait", "[100]")
      let ending = driver.ending(of: driver.call(task))
      guard case .lost(.signalled(SIGKILL), true, let reason?) = ending else { fail("\(ending)") }
      check(reason.contains("protocol"), reason)
      check(driver.ending(of: other), equals: .ended(.returned("null")))
    }
    driver.waitReady(2)
    check(driver.result("square", "[3]"), equals: "9")
    driver.end()
  }

  static func hundredWorkers(_ forkServer: ForkServer) throws {
    let before = openDescriptors()
    let driver = try PoolDriver(forkServer, processes: 100)
    driver.waitReady(100, within: 30)
    let calls = (0..<1000).map { driver.call("square", "[\($0)]") }
    driver.run(until: "all calls") { driver.endings.count == calls.count }
    driver.end()
    check(driver.pool.workers, equals: [])
    check(openDescriptors(), equals: before)
  }

  /// Every worker sees the same few descriptors, and none is left when all are gone.
  static func descriptors(_ forkServer: ForkServer) throws {
    let before = openDescriptors()
    // Strangers that must not be inherited, one of them beyond a gap.
    let stranger = open("/dev/null", O_RDONLY)
    check(dup2(stranger, 500), equals: 500)
    let driver = try PoolDriver(forkServer, processes: 5)
    driver.waitReady(5)
    let calls = (0..<5).map { _ in driver.call("descriptors") }
    driver.run(until: "all") { calls.allSatisfy { driver.endings[$0] != nil } }
    for call in calls {
      check(driver.endings[call]!, equals: .ended(.returned("[0,1,2,3,60]")))
    }
    driver.end()
    close(stranger)
    close(500)
    check(openDescriptors(), equals: before)
  }

  /// Workers are killed all the time, and now and then the fork server: every call ends once,
  /// either with its result or because it ran in one that died.
  static func chaos(_ forkServer: ForkServer) throws {
    let before = openDescriptors()
    let driver = try PoolDriver(forkServer, processes: 4)
    let calls = (0..<20_000).map { driver.call("square", "[\($0)]") }
    var kills = 0
    driver.run(until: "all calls", within: 60) {
      let next = kills * 100
      if driver.endings.count >= next {
        kills += 1
        let workers = driver.pool.workers.filter { $0.process > 0 }
        if kills % 50 == 0 {
          kill(forkServer.process, SIGKILL)
        } else if !workers.isEmpty {
          kill(workers[kills % workers.count].process, SIGKILL)
        }
      }
      return driver.endings.count == calls.count
    }
    var lost = 0
    for (index, call) in calls.enumerated() {
      switch driver.endings[call]! {
      case .ended(.returned("\(index * index)")): break
      case .lost(.signalled(SIGKILL), true, nil), .lost(.unknown, true, nil): lost += 1
      case let other: fail("\(index): \(other)")
      }
    }
    check(kills > 100 && lost <= kills * 4, "\(lost) calls lost by \(kills) kills")
    driver.end()
    // The socket of another fork server may have another number.
    driver.run(until: "descriptors are closed") { openDescriptors().count == before.count }
  }

  /// The program was started with 0, 1 and 2 closed: no socket of ours may take their place.
  static func closedStandardDescriptors(_ forkServer: ForkServer) throws {
    check(forkServer.fileDescriptor > 2, "epoll took a standard number")
    let driver = try PoolDriver(forkServer)
    check(driver.result("descriptors"), equals: "[0,1,2,3,60]")
    driver.end()
  }

  static func resize(_ forkServer: ForkServer) throws {
    let driver = try PoolDriver(forkServer, processes: 1)
    driver.waitReady(1)
    driver.pool.resize(to: 4, at: now())
    driver.waitReady(4)
    let running = (0..<4).map { _ in driver.call("wait", "[200]") }
    driver.settle()
    driver.pool.resize(to: 1, at: now())
    driver.run(until: "slots gone") { driver.goneSlots.count == 3 }
    for call in running { check(driver.ending(of: call), equals: .ended(.returned("null"))) }
    check(driver.goneSlots.sorted(), equals: [1, 2, 3])
    check(driver.pool.workers.count, equals: 1)
    check(driver.result("square", "[3]"), equals: "9")
    driver.pool.close(at: now())
    driver.run(until: "the end") { driver.isEnded }
    check(driver.pool.goneWorkers.last?.exitStatus, equals: .exited(0))
  }
}
