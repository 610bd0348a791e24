import Glibc
import Multiprocessing

/// Processes that use too much, and how soon that is found.
enum LimitScenarios {
  static let consumingEntry: UInt32 = 6
  static let mebibyte: UInt64 = 1 << 20

  /// A forked child that uses what its payload says, for ever.
  static func consume(_ entry: EntryPoint) -> Never {
    if String(decoding: entry.payload, as: UTF8.self) == "memory" { grow(to: 256 << 20) }
    while true {}
  }

  /// Touches page after page, and stays that large.
  static func grow(to size: Int) -> Never {
    let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
    madvise(memory, size, MADV_NOHUGEPAGE)
    for offset in stride(from: 0, to: size, by: 4096) {
      memory.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
    }
    while true { pause() }
  }

  static func consumer(of what: String) -> ProcessSpecification {
    ProcessSpecification(.fork(EntryPoint(code: consumingEntry, payload: Array(what.utf8))))
  }

  static func shell(_ script: String) -> ProcessSpecification {
    ProcessSpecification(
      .exec(path: "sh", arguments: ["sh", "-c", script], environment: ["PATH=/usr/bin:/bin"]))
  }

  static func started(
    _ forkServer: ForkServer, _ specification: ProcessSpecification
  ) throws -> (token: ProcessToken, process: Int32) {
    let token = try forkServer.startProcess(specification)
    let all = ForkScenarios.events(forkServer) {
      if case .started(token, _, _) = $0 { true } else { false }
    }
    guard case .started(_, let process, _) = all.last else { fail("\(all)") }
    return (token, process)
  }

  struct Catch {
    var limit: PassedLimit
    /// By how much readings were late, together, in nanoseconds: this process is not alone here.
    var lateness: UInt64
    var readings: Int

    var overshoot: UInt64 { limit.used! - limit.max }
  }

  /// Waits for each deadline and reads, until a limit is passed.
  static func run(_ watches: inout UsageWatches) -> Catch {
    let giveUp = now() + 30_000_000_000
    var lateness: UInt64 = 0
    for readings in 1... {
      guard let deadline = watches.nextDeadline else { fail("nothing is watched") }
      let nanoseconds = deadline - min(deadline, now())
      poll(nil, 0, Int32((nanoseconds + 999_999) / 1_000_000))
      let passed = watches.deadlineReached(at: now())
      lateness += now() - deadline
      if let passed = passed.first {
        return Catch(limit: passed.limit, lateness: lateness, readings: readings)
      }
      check(now() < giveUp, "no limit was passed")
    }
    fail("unreachable")
  }

  static func end(_ forkServer: ForkServer, _ token: ProcessToken) -> ResourceUse {
    forkServer.signal(token, SIGKILL)
    let all = ForkScenarios.events(forkServer, until: ForkScenarios.isExit(of: token))
    guard case .exited(_, .signalled(SIGKILL), let use) = all.last else { fail("\(all)") }
    return use
  }

  /// What a reading can be late by design, 20 ms, and what this machine adds to it.
  static func checkSoon(_ found: Catch, threads: UInt64 = 1, line: Int = #line) {
    check(found.limit.kind == .cpuTime, "\(found)", line: line)
    let most = 20_000 + threads * found.lateness / 1000
    check(
      found.overshoot <= most,
      "\(found.overshoot) µs too much, \(found.lateness / 1000) µs late", line: line)
  }

  static func catchCPU(_ forkServer: ForkServer, _ specification: ProcessSpecification) throws
    -> (found: Catch, use: ResourceUse)
  {
    let (token, process) = try started(forkServer, specification)
    var watches = UsageWatches()
    watches.begin(
      call: 1, process: process, limits: UsageLimits(cpuMicroseconds: 150_000), isFresh: true,
      at: now())
    let found = run(&watches)
    return (found, end(forkServer, token))
  }

  static func cpuLimit(_ forkServer: ForkServer) throws {
    let (found, use) = try catchCPU(forkServer, consumer(of: "cpu"))
    checkSoon(found)
    check(use.cpuMicroseconds > 150_000, "it was ended after \(use.cpuMicroseconds) µs")
  }

  static func catchMemory(_ forkServer: ForkServer) throws -> Catch {
    let (token, process) = try started(forkServer, consumer(of: "memory"))
    var watches = UsageWatches()
    watches.begin(
      call: 1, process: process, limits: UsageLimits(memoryBytes: 96 * mebibyte), isFresh: true,
      at: now())
    let found = run(&watches)
    _ = end(forkServer, token)
    check(found.limit.kind == .memory, "\(found)")
    return found
  }

  static func memoryLimit(_ forkServer: ForkServer) throws {
    let found = try catchMemory(forkServer)
    let most = 32 * mebibyte + found.lateness * 2  // 2 GiB/s while nobody looked.
    check(
      found.overshoot <= most,
      "\(found.overshoot / mebibyte) MiB too much, \(found.lateness / 1000) µs late")
  }

  static func limitOfDescendants(_ forkServer: ForkServer) throws {
    let burn = "while :; do :; done"
    // A child in a session of its own; and one whose parent is gone.
    checkSoon(try catchCPU(forkServer, shell("setsid sh -c '\(burn)' & wait")).found)
    checkSoon(
      try catchCPU(forkServer, shell("(setsid sh -c '\(burn)' &); exec sleep 300")).found)
    checkSoon(
      try catchCPU(forkServer, shell("sh -c '\(burn)' & setsid sh -c '\(burn)' & wait")).found,
      threads: 2)

    // tail keeps a line that does not end, and may still write it between the death of the
    // other end of its pipe and its own.
    let (token, process) = try started(
      forkServer,
      shell("(head -c 33554432 /dev/zero; exec sleep 300) | setsid tail > /dev/null & wait"))
    var watches = UsageWatches()
    watches.begin(
      call: 1, process: process, limits: UsageLimits(memoryBytes: 16 * mebibyte), isFresh: true,
      at: now())
    check(run(&watches).limit.kind == .memory, "tail has no memory")
    _ = end(forkServer, token)
  }

  /// What a worker has used before a call is not the call's.
  static func limitOfAWorker(_ forkServer: ForkServer) throws {
    let (token, process) = try started(forkServer, consumer(of: "cpu"))
    let limits = UsageLimits(cpuMicroseconds: 100_000)
    var watches = UsageWatches()
    watches.begin(call: 1, process: process, limits: limits, isFresh: true, at: now())
    checkSoon(run(&watches))
    let before = ProcessTree.usage(of: process)!
    check(before.cpuMicroseconds > 100_000, "\(before)")
    watches.begin(call: 2, process: process, limits: limits, isFresh: false, at: now())
    checkSoon(run(&watches))
    let after = ProcessTree.usage(of: process)!
    check(after.cpuMicroseconds > before.cpuMicroseconds + 90_000, "\(before), \(after)")
    check(after.startedAt == before.startedAt, "\(before), \(after)")
    _ = end(forkServer, token)
    check(ProcessTree.usage(of: process) == nil, "it is still there")
  }

  static func kernelLimits(_ forkServer: ForkServer) throws {
    let limits = TaskLimits(
      cpuMicroseconds: 1_500_000, memoryBytes: 1 << 30, openFilesMax: 20, fileBytesMax: 512 * 8)
    let output = ForkScenarios.makePipe()
    var specification = shell(
      "ulimit -S -t; ulimit -H -t; ulimit -n; ulimit -f; ulimit -c; ulimit -v;"
        + "exec head -c 10000 /dev/zero > /tmp/lido-limits-$$")
    specification.limits = limits.forProgram
    specification.descriptors = [.init(output.write, as: 1)]
    let token = try forkServer.startProcess(specification)
    close(output.write)
    let all = ForkScenarios.events(forkServer, until: ForkScenarios.isExit(of: token))
    guard case .exited(_, let status, let use) = all.last,
      case .started(_, let process, _) = all.first
    else { fail("\(all)") }
    unlink("/tmp/lido-limits-\(process)")
    check(ForkScenarios.readAll(output.read), equals: "3\n4\n20\n8\n0\nunlimited\n")
    check(status, equals: .signalled(SIGXFSZ))
    check(
      limits.passed(by: status, use: use), equals: PassedLimit(.fileSize, used: nil, max: 4096))
  }

  /// Alone in its process, so nobody else lacks the descriptors.
  static func openFileLimit(_: ForkServer) throws {
    let before = openDescriptors()
    let limit = try OpenFileLimit(lowering: UInt64(before.last! + 2))
    let first = open("/dev/null", O_RDONLY)
    check(first >= 0, "none could be opened")
    var opened = [first]
    while opened.last! >= 0 { opened.append(open("/dev/null", O_RDONLY)) }
    check(errno, equals: EMFILE)
    check(opened.dropLast().max()! <= Int32(before.last! + 1), "\(opened)")
    limit.restore()
    check(dup2(first, 200), equals: 200)
    close(200)
    for descriptor in opened where descriptor >= 0 { close(descriptor) }
    check(openDescriptors(), equals: before)
  }

  /// Figures, for a release build on an idle machine.
  static func measure(_ forkServer: ForkServer) throws {
    for _ in 0..<5 {
      let (cpu, use) = try catchCPU(forkServer, consumer(of: "cpu"))
      let truth = Int(use.cpuMicroseconds) - 150_000
      print(
        "CPU: read \(cpu.overshoot) µs over, ended \(truth) µs over, \(cpu.readings) readings,"
          + " \(cpu.lateness / 1000) µs late")
      let memory = try catchMemory(forkServer)
      print(
        "memory: \(memory.overshoot / 1024) KiB over, \(memory.readings) readings,"
          + " \(memory.lateness / 1000) µs late")
    }
    for count in [1, 10, 100] {
      let script = "i=1; while [ $i -lt \(count) ]; do sleep 300 & i=$((i+1)); done; exec sleep 300"
      let (token, process) = try started(forkServer, shell(script))
      while ProcessTree.usage(of: process)?.processCount != count {}
      var times: [UInt64] = []
      for _ in 0..<1000 {
        let began = now()
        _ = ProcessTree.usage(of: process)
        times.append(now() - began)
      }
      times.sort()
      print("tree of \(count): \(times[0] / 1000) µs at best, median \(times[500] / 1000) µs")
      _ = end(forkServer, token)
    }
  }
}
