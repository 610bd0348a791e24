import Glibc
import Multiprocessing

/// Pools of programs: what a program gets, what it gives, how it ends.
enum ProgramScenarios {
  /// It gets its arguments, its environment, its folder, its stdin, and nothing else.
  static func gets(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    var program = ProgramCall(
      arguments: [
        "sh", "-c",
        """
        printf '%s|' "$@"; env | sort | tr '\\n' '|'; pwd; stat -c %a .; ls /proc/self/fd | wc -l
        nice; ulimit -n; cat /proc/self/oom_score_adj; cut -d ' ' -f 41 /proc/self/stat; cat
        """, "sh", "a b", "$HOME", "", "'\"",
      ],
      environment: ["PATH=/usr/bin:/bin", "HOME=/nowhere", "A=1 2"],
      folderVariables: ["HOME", "TMPDIR", "PWD"], input: Array("stdin".utf8))
    program.nice = 3
    program.outOfMemoryAdjustment = 200
    program.limits = [.init(resource: Int32(RLIMIT_NOFILE.rawValue), soft: 77, hard: 77)]
    let end = driver.end(of: driver.run(program))
    let folder = "\(driver.folder)/1"
    check(
      String(decoding: end.output, as: UTF8.self),
      equals: """
        a b|$HOME||'"|A=1 2|HOME=\(folder)|PATH=/usr/bin:/bin|PWD=\(folder)|TMPDIR=\(folder)|\
        \(folder)
        700
        4
        3
        77
        200
        \(WorkerScenarios.batchPolicy)
        stdin
        """)
    check(end.status, equals: .exited(0))
    check(end.startFailure, equals: nil)
    check(end.log.count, equals: 0)
    check(end.isCutOff || end.isEndedByPool || end.isOutputTooLong, equals: false)
    check(end.use.residentKilobytesMax > 100, "no resident set")
    check(driver.began.count, equals: 1)
    check(ProgramDriver.entries(of: driver.folder), equals: [])
    // Without input there is nothing to read, and the end of it is there.
    check(driver.output("cat | wc -c"), equals: "0\n")
    driver.finish()
  }

  static func failing(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    let end = driver.end(of: driver.shell("echo out; echo first >&2; echo last >&2; exit 7"))
    check(end.status, equals: .exited(7))
    check(end.output, equals: Array("out\n".utf8))
    check(end.log.read(from: 0).bytes, equals: Array("first\nlast\n".utf8))
    check(end.isEndedByPool, equals: false)
    check(driver.end(of: driver.shell("kill -SEGV $$")).status, equals: .signalled(SIGSEGV))
    driver.finish()
  }

  /// Large inputs arrive whole; those that nobody reads, or not now, hold nobody up.
  static func inputs(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    let large = (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    let copy = driver.end(of: driver.shell("cat", input: large) { $0.outputBytesMax = 8 << 20 })
    check(copy.status, equals: .exited(0))
    check(copy.output == large, "\(copy.output.count) bytes came back, or others")

    // It reads only once the other has run: the order of the two ends shows that nothing waited.
    let gate = driver.folder + "-gate"
    let slow = driver.shell("until [ -e \(gate) ]; do sleep 0.01; done; wc -c", input: large)
    check(driver.output("echo fast", input: large), equals: "fast\n")
    check(driver.ends[slow] == nil, "it did not wait")
    check(driver.output("touch \(gate)"), equals: "")
    check(driver.end(of: slow).output, equals: Array("8388608\n".utf8))

    // One that leaves with stdin unread, one that closes it and goes on, one that reads a little.
    check(driver.output("exit 0", input: large), equals: "")
    check(driver.output("exec 0<&-; sleep 0.05; echo x", input: large), equals: "x\n")
    check(driver.output("head -c 3", input: Array("abcdef".utf8) + large), equals: "abc")
    driver.finish()
  }

  /// What is written to stdout and stderr, too much of it included.
  static func outputs(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    let long = driver.end(of: driver.shell("yes") { $0.outputBytesMax = 100_000 })
    check(long.isOutputTooLong, "it was not noticed")
    check(long.status, equals: .signalled(SIGKILL))
    check(long.output, equals: [])
    check(long.isEndedByPool, equals: false)
    let exact = driver.end(
      of: driver.shell("head -c 100000 /dev/zero") { $0.outputBytesMax = 100_000 })
    check(exact.isOutputTooLong, equals: false)
    check(exact.output.count, equals: 100_000)
    let over = driver.end(
      of: driver.shell("head -c 100001 /dev/zero") { $0.outputBytesMax = 100_000 })
    check(over.isOutputTooLong, "one byte too many is too many")
    let none = driver.end(of: driver.shell("echo x") { $0.outputBytesMax = 0 })
    check(none.isOutputTooLong, "none is allowed")

    // It ends in spite of being deaf to signals, and goes on without a stdout.
    let deaf = driver.end(of: driver.shell("trap '' TERM PIPE; yes") { $0.outputBytesMax = 1000 })
    check(deaf.status, equals: .signalled(SIGKILL))
    let early = driver.end(of: driver.shell("echo x; exec 1>&-; sleep 0.05; echo y >&2; exit 3"))
    check(early.status, equals: .exited(3))
    check(early.output, equals: Array("x\n".utf8))
    check(early.log.read(from: 0).bytes, equals: Array("y\n".utf8))
    let both = driver.end(of: driver.shell("exec 1>&- 2>&-; sleep 0.05; exit 4"))
    check(both.status, equals: .exited(4))

    let flood = driver.end(
      of: driver.shell("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2") {
        $0.logBytesMax = 1000
      })
    check(flood.status, equals: .exited(0))
    check(flood.log.count, equals: 3_000_008)
    check(flood.log.leftOut, equals: 500..<2_999_508)
    check(
      String(decoding: flood.log.read(from: flood.log.count - 9).bytes, as: UTF8.self),
      equals: "xthe end\n")
    driver.finish()
  }

  /// A follower reads the log while the program runs.
  static func follows(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    let gate = driver.folder + "-gate"
    let call = driver.shell(
      "echo one >&2; until [ -e \(gate) ]; do sleep 0.01; done; echo two >&2")
    driver.run(until: "the first line") { !driver.growths.isEmpty }
    let first = driver.pool.log(of: call)!.read(from: 0)
    check(first.bytes, equals: Array("one\n".utf8))
    check(driver.ends[call] == nil, "it has ended already")
    check(driver.output("touch \(gate)"), equals: "")
    let end = driver.end(of: call)
    check(driver.growths, equals: [call, call])
    check(end.log.read(from: first.nextOffset).bytes, equals: Array("two\n".utf8))
    check(driver.pool.log(of: call) == nil, "the log of a call that is over")
    driver.finish()
  }

  /// Starts that fail by the call's own fault, for good; the slot goes on.
  static func failures(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer, processes: 1)
    func failure(_ arguments: [String], line: Int = #line) -> StartFailure? {
      let end = driver.end(
        of: driver.run(ProgramCall(arguments: arguments, environment: ["PATH=/usr/bin:/bin"])),
        line: line)
      check(end.status, equals: .unknown, line: line)
      return end.startFailure
    }
    check(
      failure(["no-such-program"]), equals: StartFailure(stage: .exec, errorNumber: ENOENT))
    check(failure(["/no/such"]), equals: StartFailure(stage: .exec, errorNumber: ENOENT))
    check(failure(["/etc/passwd"]), equals: StartFailure(stage: .exec, errorNumber: EACCES))
    check(
      failure(["true", String(repeating: "x", count: 200 << 10)]),
      equals: StartFailure(stage: .exec, errorNumber: E2BIG))
    check(
      failure(["true", String(repeating: "x", count: 400 << 10)]),
      equals: StartFailure(stage: .request, errorNumber: EMSGSIZE))
    check(driver.began.isEmpty && driver.notStarted.isEmpty, "something began")

    // Limits that no program can live with are its own end, not a failed start to be tried again.
    func ending(_ limit: ProcessSpecification.Limit) -> ProgramEnd {
      driver.end(of: driver.shell("sleep 0") { $0.limits = [limit] })
    }
    let files = ending(.init(resource: Int32(RLIMIT_NOFILE.rawValue), soft: 3, hard: 3))
    check(files.status, equals: .exited(127))
    check(files.log.count > 0, "it did not say why")
    let memory = ending(.init(resource: Int32(RLIMIT_AS.rawValue), soft: 4096, hard: 4096))
    check(memory.status, equals: .signalled(SIGSEGV))
    check(driver.output("echo x"), equals: "x\n")
    driver.finish()
  }

  /// Without descriptors nothing starts, nothing is lost and nothing spins; with them it goes on.
  static func noDescriptors(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer)
    check(driver.output("echo x"), equals: "x\n")
    let before = openDescriptors()
    // Room for one pipe, and for a half.
    for spare in [0, 1, 2, 3, 5] {
      var limit = rlimit(rlim_cur: rlim_t(before.last! + 1 + spare), rlim_max: 1024)
      let free = (0...before.last!).filter { !before.contains($0) }.count
      if spare == 0 && free > 3 { continue }
      check(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), equals: 0)
      driver.requeues = false
      let known = driver.notStarted.count
      let turns = driver.turns
      let call = driver.shell("echo y", input: [1])
      driver.run(until: "the refusal") {
        driver.notStarted.count > known || driver.ends[call] != nil
      }
      if driver.ends[call] == nil {
        check(driver.notStarted.last!.failure.isTransient, "\(driver.notStarted.last!)")
        check(driver.credit, equals: [0: 0, 1: 0])
      }
      limit.rlim_cur = 1024
      check(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit), equals: 0)
      driver.requeues = true
      check(driver.output("echo z"), equals: "z\n")
      check(driver.turns - turns < 60, "\(driver.turns - turns) turns")
      driver.waitSwept()
      check(openDescriptors(), equals: before)
      check(ProgramDriver.entries(of: driver.folder), equals: [])
    }
    check(driver.notStarted.count >= 3, "\(driver.notStarted)")
    driver.finish()
  }

  /// Some hundred calls leave no descriptor, no process and no folder.
  static func leaks(_ forkServer: ForkServer) throws {
    let driver = try ProgramDriver(forkServer, processes: 4)
    check(driver.output("echo x"), equals: "x\n")
    let before = openDescriptors()
    let mark = "MARK=\(getpid())-leaks"
    let scripts = [
      "cat", "echo x > file; echo e >&2", "exit 3", "kill -9 $$", "setsid sleep 300 &",
      "mkdir -p a/b/c; echo x > a/b/c/file",
    ]
    for round in 0..<300 {
      driver.shell(scripts[round % scripts.count], input: round % 2 == 0 ? [1, 2, 3] : []) {
        $0.environment.append(mark)
      }
      if round % 50 == 0 { driver.run(ProgramCall(arguments: ["/no/such"])) }
    }
    driver.run(until: "all calls", within: 60) { driver.ends.count == 307 }
    driver.waitSwept()
    check(openDescriptors(), equals: before)
    check(ProgramDriver.entries(of: driver.folder), equals: [])
    // What a killed group leaves behind is reaped a moment later.
    waitUntil("no process is left") { processes(with: mark).isEmpty }
    waitUntil("the fork server has no children") { children(of: forkServer.process).isEmpty }
    driver.finish()
  }

  // MARK: Processes

  /// Waits for a condition that no descriptor announces.
  static func waitUntil(
    _ what: String, within seconds: Double = 1, line: Int = #line, _ condition: () -> Bool
  ) {
    let deadline = now() + UInt64(seconds * 1e9)
    while !condition() {
      if now() > deadline { fail("not within \(seconds) s: \(what)", line: line) }
      poll(nil, 0, 5)
    }
  }

  /// The processes that have a variable in their environment.
  static func processes(with variable: String) -> [Int32] {
    ProgramDriver.entries(of: "/proc").compactMap(Int32.init).filter { process in
      contents(of: "/proc/\(process)/environ").split(separator: 0).contains {
        $0.elementsEqual(variable.utf8)
      }
    }
  }

  /// The children of a process, zombies included.
  static func children(of process: Int32) -> [Int32] {
    let text = String(
      decoding: contents(of: "/proc/\(process)/task/\(process)/children"), as: UTF8.self)
    return text.split(separator: " ").compactMap { Int32($0) }
  }

  static func contents(of path: String) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(file, &buffer, buffer.count)
      if count <= 0 { return all }
      all += buffer[..<count]
    }
  }
}
