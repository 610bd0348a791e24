import Glibc
import Multiprocessing

/// Scenarios that need processes of their own, one per run: a test runner has threads, and a fork
/// server is to be started by a process that has one. Prints what went wrong and exits with 1.
@main
enum ProcessTestProgram {
  static let registry = TaskRegistry(
    TestTasks.all, initializers: [TestTasks.warm.erased, TestTasks.cold.erased])

  static func enter(_ entry: EntryPoint) -> Never {
    switch entry.code {
    case EntryPoint.worker: WorkerLoop.run(tasks: registry, as: entry)
    case EntryPoint.sweeper: FolderSweeper.run()
    case ForkScenarios.reportingEntry: ForkScenarios.report(entry)
    case LimitScenarios.consumingEntry: LimitScenarios.consume(entry)
    default: exit(99)
    }
  }

  static func main() throws {
    Bootstrap.takeRole(entries: enter)
    let name = CommandLine.arguments.dropFirst().first ?? ""
    guard let scenario = scenarios[name] else { fail("no scenario \(name)") }
    // The test runner's descriptors, the pipes of tests that run meanwhile among them.
    for descriptor in openDescriptors() where descriptor > 2 { close(Int32(descriptor)) }
    // As the service has it: programs need not read what they are given.
    signal(SIGPIPE, SIG_IGN)
    // Root may write to what nobody may write to.
    if name == "program-folders-unprivileged", getuid() == 0,
      setgid(65534) != 0 || setuid(65534) != 0
    {
      fail("it stays root")
    }
    let hasNoStandardDescriptors = name == "closed-stdio"
    if hasNoStandardDescriptors {
      _ = dup2(1, 100)
      _ = fcntl(100, F_SETFD, FD_CLOEXEC)
      for descriptor in Int32(0)...2 { close(descriptor) }
    }
    let forkServer = try ForkServer.start(adoptsOrphans: true, entries: enter)
    if hasNoStandardDescriptors { _ = dup2(100, 1) }
    try scenario(forkServer)
    print("ok")
  }

  static let scenarios: [String: @Sendable (ForkServer) throws -> Void] = [
    "calls-in-order": CallScenarios.callsInOrder,
    "deaths": CallScenarios.deaths,
    "arguments": CallScenarios.arguments,
    "large-values": CallScenarios.largeValues,
    "ladder": CallScenarios.ladder,
    "end-prefetched": CallScenarios.endPrefetched,
    "recall": CallScenarios.recall,
    "spawn": CallScenarios.spawn,
    "fork-refused": CallScenarios.forkRefused,
    "maxtasksperchild": WorkerScenarios.maxTasksPerChild,
    "hello-first": WorkerScenarios.helloFirst,
    "batch": WorkerScenarios.batch,
    "initializer-fails": WorkerScenarios.initializerFails,
    "initializer-runs": WorkerScenarios.initializerRuns,
    "garbage": WorkerScenarios.garbage,
    "hundred-workers": WorkerScenarios.hundredWorkers,
    "descriptors": WorkerScenarios.descriptors,
    "resize": WorkerScenarios.resize,
    "channel-busy": ChannelScenarios.busy,
    "channel-full": ChannelScenarios.full,
    "channel-returning": ChannelScenarios.returning,
    "channel-idle": ChannelScenarios.idle,
    "channel-replaced": ChannelScenarios.replaced,
    "channel-held": ChannelScenarios.held,
    "channel-backward": ChannelScenarios.backward,
    "channel-urgent": ChannelScenarios.urgent,
    "channel-hurried": ChannelScenarios.hurried,
    "no-room-above-standard": ChannelScenarios.noRoomAboveStandard,
    "fork-server-killed": ForkScenarios.forkServerKilled,
    "fork-server-signals": ForkScenarios.forkServerSignals,
    "exec": ForkScenarios.exec,
    "exec-fails": ForkScenarios.execFails,
    "large-request": ForkScenarios.largeRequest,
    "fork-payload": ForkScenarios.forkPayload,
    "slow-client": ForkScenarios.slowClient,
    "stopped-for-a-while": BadTimesScenarios.stoppedForAWhile,
    "stopped-for-good": BadTimesScenarios.stoppedForGood,
    "refused-while-waiting": BadTimesScenarios.refusedWhileWaiting,
    "stopped-at-the-end": BadTimesScenarios.stoppedAtTheEnd,
    "strays-apart": StrayScenarios.apart,
    "stray-chain": StrayScenarios.chain,
    "stray-late": StrayScenarios.late,
    "leftover": StrayScenarios.leftover,
    "group-dies": ForkScenarios.groupDies,
    "signalled-at-once": ForkScenarios.signalledAtOnce,
    "chaos": WorkerScenarios.chaos,
    "closed-stdio": WorkerScenarios.closedStandardDescriptors,
    "end": ForkScenarios.end,
    "victim": ForkScenarios.victim,
    "program-gets": ProgramScenarios.gets,
    "program-failing": ProgramScenarios.failing,
    "program-inputs": ProgramScenarios.inputs,
    "program-outputs": ProgramScenarios.outputs,
    "program-follows": ProgramScenarios.follows,
    "program-failures": ProgramScenarios.failures,
    "program-no-descriptors": ProgramScenarios.noDescriptors,
    "program-leaks": ProgramScenarios.leaks,
    "program-ladder": ProgramEndScenarios.ladder,
    "program-at-once": ProgramEndScenarios.atOnce,
    "program-grandchildren": ProgramEndScenarios.grandchildren,
    "program-folders": ProgramEndScenarios.folders,
    "program-folders-unprivileged": ProgramEndScenarios.folders,
    "program-leftovers": ProgramEndScenarios.leftovers,
    "program-fork-server-lost": ProgramEndScenarios.forkServerLost,
    "program-pool-ends": ProgramEndScenarios.poolEnds,
    "program-chaos": ProgramEndScenarios.chaos,
    "measure": MeasureScenarios.measure,
    "cpu-limit": LimitScenarios.cpuLimit,
    "memory-limit": LimitScenarios.memoryLimit,
    "limit-of-descendants": LimitScenarios.limitOfDescendants,
    "limit-of-a-worker": LimitScenarios.limitOfAWorker,
    "kernel-limits": LimitScenarios.kernelLimits,
    "open-file-limit": LimitScenarios.openFileLimit,
    "measure-limits": LimitScenarios.measure,
    "pipe-echo": PipeScenarios.echo,
    "pipe-ends": PipeScenarios.ends,
    "pipe-crowd": PipeScenarios.crowd,
    "pipe-killed-writers": PipeScenarios.killedWriters,
    "pipe-transfer": PipeScenarios.transfer,
    "pipe-waiting": PipeScenarios.waiting,
    "pipe-many": PipeScenarios.many,
    "pipe-leaks": PipeScenarios.leaks,
    "pipe-interrupted": PipeScenarios.interrupted,
    "queue-both": QueueScenarios.both,
    "queue-forked": QueueScenarios.forked,
    "queue-left-behind": QueueScenarios.leftBehind,
    "queue-crowd": QueueScenarios.crowd,
    "queue-memory": QueueScenarios.memoryGivenBack,
    "queue-no-memory": QueueScenarios.noMemory,
    "queue-killed-producers": QueueScenarios.killedProducers,
    "queue-killed-consumers": QueueScenarios.killedConsumers,
    "queue-killed-near-sleepers": QueueScenarios.killedNearSleepers,
    "queue-death-putting": QueueDeathScenarios.putting,
    "queue-death-getting": QueueDeathScenarios.getting,
    "queue-death-recovering": QueueDeathScenarios.recovering,
    "queue-stopped": QueueScenarios.stopped,
    "measure-exchange": QueueScenarios.measure,
    "lock-killed": LockScenarios.killed,
    "lock-killed-while-others-wait": LockScenarios.killedWhileOthersWait,
    "lock-other-ends": LockScenarios.otherEnds,
    "lock-killed-in-a-value": LockScenarios.killedInAValue,
    "lock-inherited": LockScenarios.inherited,
    "lock-counter": LockScenarios.counter,
    "lock-chaos": LockScenarios.chaos,
    "measure-locks": LockScenarios.measure,
    "shared-values": SharedScenarios.values,
    "shared-arrays": SharedScenarios.arrays,
    "shared-zero-fill": SharedScenarios.zeroFill,
    "shared-leaks": SharedScenarios.leaks,
    "shared-refusals": SharedScenarios.refusals,
  ]
}

/// Ends the scenario.
func fail(_ message: String, line: Int = #line) -> Never {
  print("failed at line \(line): \(message)")
  exit(1)
}

/// Ends the scenario unless `condition` holds.
func check(_ condition: Bool, _ message: @autoclosure () -> String, line: Int = #line) {
  if !condition { fail(message(), line: line) }
}

/// Ends the scenario unless both are equal.
func check<Value: Equatable>(_ value: Value, equals wanted: Value, line: Int = #line) {
  if value != wanted { fail("\(value) instead of \(wanted)", line: line) }
}

/// Nanoseconds of the monotonic clock.
func now() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// The numbers of the open descriptors of this process, without the one that reads them.
func openDescriptors() -> [Int] {
  guard let folder = opendir("/proc/self/fd") else { return [] }
  defer { closedir(folder) }
  var numbers: [Int] = []
  while let entry = readdir(folder) {
    let name = withUnsafeBytes(of: entry.pointee.d_name) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    if let number = Int(name), number != Int(dirfd(folder)) { numbers.append(number) }
  }
  return numbers.sorted()
}
