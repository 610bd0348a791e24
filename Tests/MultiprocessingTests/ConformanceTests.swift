internal import CPlatform
import Glibc
import TestSupport
import Testing

/// The conformance list, each row in a process of its own and by each start method. Which test
/// shows which row stands in `ConformanceList.swift`.
@Suite(.serialized) struct ConformanceTests {
  static let methods = ["fork", "spawn", "forkserver"]

  private func run(_ row: String, _ method: String) throws {
    let run = try TestProgram("ConformanceProgram", [method, row])
    let output = run.readToEnd(within: 60)
    #expect(output?.hasSuffix("ok\n") == true, "\(output ?? "it did not end in time")")
    if row == "T11" { #expect(output == "ok\n") }
    #expect(run.wait() == 0)
    #expect(run.remains() == [])
  }

  @Test(
    arguments: [
      "P1", "P3", "P4", "P5", "P7", "P8", "P9", "P10", "P12", "P13", "P14", "P15", "P16", "P17",
      "P18", "P20", "P22", "P29", "P30", "P31", "misuse", "join-itself", "names",
      "fault", "worker-starts", "P7-key", "P23", "C16", "C18", "folder", "closed-at-start",
      "file-size", "no-descriptors", "asked-meanwhile",
    ], methods)
  func process(_ row: String, by method: String) throws { try run(row, method) }

  @Test("1,000 processes (by spawn 100), started and joined", arguments: methods)
  func thousand(by method: String) throws { try run("thousand", method) }

  @Test(
    arguments: [
      "T1", "T2", "T3", "T4", "T6", "T9", "T11", "T12", "P24", "P25", "worker-identity",
      "stopped-server", "thread-ends",
    ], methods)
  func startMethods(_ row: String, by method: String) throws { try run(row, method) }

  @Test(arguments: ["V1", "V3", "A1", "A2", "K4", "counter", "failure-2"], methods)
  func sharedState(_ row: String, by method: String) throws { try run(row, method) }

  @Test(
    arguments: [
      "C1", "C14", "C15", "Q1", "Q3", "Q12", "T7", "T8", "tree", "join-before-drain",
      "killed-producer",
      "refused-item",
    ], methods)
  func exchange(_ row: String, by method: String) throws { try run(row, method) }

  @Test("P6: a grandchild sees that its parent has ended", arguments: methods)
  func parentsEnd(by method: String) throws {
    let run = try TestProgram("ConformanceProgram", [method, "P6"])
    let before = try #require(
      run.read(within: 20) { $0.contains("process") && $0.contains("alive") })
    #expect(!before.contains("not alive"))
    let child = try #require(before.processes.first)
    kill(child, SIGKILL)
    let after = run.readToEnd(within: 20) ?? ""
    #expect(after.contains("not alive\n"))
    #expect(after.contains("ok\n"))
    #expect(run.wait() == 0)
    #expect(run.remains() == [])
  }

  @Test("the end of main joins what is not daemonic and ends what is", arguments: methods)
  func endOfMain(by method: String) throws {
    let run = try TestProgram("ConformanceProgram", [method, "end-of-main"])
    let output = try #require(run.readToEnd(within: 20))
    #expect(output.hasSuffix("ok\ndone\n"), "\(output)")
    #expect(run.wait() == 0)
    for process in output.processes { #expect(hasEnded(process, within: 1_000)) }
    #expect(run.remains() == [])
  }

  /// Failures 12 and 15.
  @Test(
    "nothing survives a main that is killed or interrupted by more than a second",
    arguments: methods, [SIGKILL, SIGINT])
  func orphans(by method: String, of signal: Int32) throws {
    let run = try TestProgram("ConformanceProgram", [method, "orphans"])
    let output = try #require(run.read(within: 20) { $0.processes.count == 4 })
    let sentinels = output.processes.map { pidfd_open($0, 0) }
    defer { for sentinel in sentinels { close(sentinel) } }
    // As a terminal does it: to the group.
    kill(signal == SIGINT ? -run.process : run.process, signal)
    #expect(run.wait() == signal)
    let end = clock() + 1_000
    for sentinel in sentinels {
      var entry = pollfd(fd: sentinel, events: Int16(POLLIN), revents: 0)
      #expect(poll(&entry, 1, Int32(max(0, end - clock()))) == 1, "a process is left")
    }
    for process in output.processes { kill(process, SIGKILL) }
    #expect(run.remains() == [])
  }

  @Test(
    "a child that has lost its fork server lives, but not longer than its parent",
    arguments: ["spawn", "forkserver"])
  func lostServer(by method: String) throws {
    let run = try TestProgram("ConformanceProgram", [method, "lost-server"])
    let output = try #require(
      run.read(within: 20) { $0.contains("lost\n") && $0.processes.count == 1 })
    #expect(!hasEnded(output.processes[0], within: 500), "it has not survived")
    kill(run.process, SIGKILL)
    #expect(run.wait() == SIGKILL)
    #expect(hasEnded(output.processes[0], within: 1_000), "it goes on")
    kill(output.processes[0], SIGKILL)
    #expect(run.remains() == [])
  }

  /// Each has 0.3 s from the end of its parent; the fork server's do not wait for those by fork.
  @Test("forks hold up neither the fork server nor what it has started")
  func generations() throws {
    let run = try TestProgram("ConformanceProgram", ["fork", "generations"])
    let output = try #require(
      run.read(within: 20) { $0.processes.count == 2 && !$0.processes("grandchild").isEmpty })
    let begin = clock()
    kill(run.process, SIGKILL)
    #expect(run.wait() == SIGKILL)
    let all = output.processes + output.processes("grandchild")
    for (process, time) in zip(all, [700, 700, 1_000]) {
      #expect(hasEnded(process, within: Int32(max(0, begin + time - clock()))), "it goes on")
      kill(process, SIGKILL)
    }
  }

  @Test("a child that can have no timer ends with its parent")
  func noTimer() throws {
    let run = try TestProgram("ConformanceProgram", ["fork", "no-timer"])
    let output = try #require(run.read(within: 20) { $0.processes.count == 1 })
    kill(run.process, SIGKILL)
    #expect(run.wait() == SIGKILL)
    #expect(hasEnded(output.processes[0], within: 1_000), "it goes on")
    kill(output.processes[0], SIGKILL)
    #expect(run.remains() == [])
  }

  @Test("a thread before bootstrap is said, behind what was printed before")
  func earlyThread() throws {
    let run = try TestProgram("ConformanceProgram", ["spawn", "early-thread"])
    let output = try #require(run.readToEnd(within: 20))
    #expect(output.hasPrefix("printed before\nlido: "), "\(output)")
    #expect(output.contains("has 2 threads") && output.contains("bootstrap([...])"), "\(output)")
    #expect(run.wait() == 70 << 8)
  }

  @Test("a name that is given to bootstrap twice is said, with both places")
  func namedTwice() throws {
    let run = try TestProgram("ConformanceProgram", ["spawn", "named-twice"])
    let output = try #require(run.readToEnd(within: 20))
    #expect(output.contains("two tasks are named 'leave', at "), "\(output)")
    #expect(output.contains("ConformanceProgram/ProcessTasks.swift:"), "\(output)")
    #expect(output.contains("ConformanceProgram/BadStartRows.swift:"), "\(output)")
    #expect(run.wait() == 70 << 8)
  }

  private func hasEnded(_ process: Int32, within milliseconds: Int32) -> Bool {
    let sentinel = pidfd_open(process, 0)
    guard sentinel >= 0 else { return true }
    defer { close(sentinel) }
    var entry = pollfd(fd: sentinel, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, milliseconds) == 1
  }

  /// Milliseconds of the monotonic clock.
  private func clock() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
  }
}

extension String {
  /// The numbers of the lines `process <number>`.
  fileprivate var processes: [Int32] { processes("process") }

  /// Those of the lines that begin with another word.
  fileprivate func processes(_ word: String) -> [Int32] {
    split(separator: "\n").filter { $0.hasPrefix(word + " ") }.compactMap {
      Int32($0.dropFirst(word.count + 1))
    }
  }
}
