import Testing

@testable import Multiprocessing

/// Processes that use what the test says.
private final class FakeProcesses {
  var readings: [Int32: ResourceReading] = [:]
  var count = 0

  subscript(process: Int32) -> ResourceReading? {
    get { readings[process] }
    set { readings[process] = newValue }
  }

  func read(_ process: Int32) -> ResourceReading? {
    count += 1
    return readings[process]
  }
}

@Suite struct UsageWatchesTests {
  private let processes = FakeProcesses()
  private var watches: UsageWatches
  private let millisecond: UInt64 = 1_000_000

  init() {
    watches = UsageWatches(cpuCount: 2, reading: processes.read)
  }

  private mutating func begin(_ call: UInt64, _ process: Int32, cpu: UInt64, fresh: Bool = true) {
    watches.begin(
      call: call, process: process, limits: UsageLimits(cpuMicroseconds: cpu), isFresh: fresh,
      at: 0)
  }

  private func reading(_ cpu: UInt64, processes: Int = 1) -> ResourceReading {
    ResourceReading(cpuMicroseconds: cpu, processCount: processes, startedAt: 1)
  }

  @Test mutating func `nothing watched is nothing due`() {
    #expect(watches.nextDeadline == nil)
    #expect(watches.deadlineReached(at: .max) == [])
    watches.begin(call: 1, process: 10, limits: UsageLimits(), isFresh: false, at: 0)
    #expect(watches.count == 0)
    #expect(watches.nextDeadline == nil)
    #expect(processes.count == 0)
  }

  @Test mutating func `the next deadline is the earliest of all`() {
    begin(1, 10, cpu: 400_000)
    #expect(watches.nextDeadline == 200 * millisecond)
    begin(2, 20, cpu: 100_000)
    #expect(watches.nextDeadline == 50 * millisecond)
    begin(3, 30, cpu: 300_000)
    #expect(watches.nextDeadline == 50 * millisecond)
    watches.end(call: 3)
    watches.end(call: 3)
    #expect(watches.nextDeadline == 50 * millisecond)
    watches.end(call: 2)
    #expect(watches.nextDeadline == 200 * millisecond)
    watches.end(call: 1)
    #expect(watches.nextDeadline == nil)
  }

  @Test mutating func `only what is due is read`() {
    begin(1, 10, cpu: 400_000)
    begin(2, 20, cpu: 100_000)
    processes[20] = reading(50_000)
    #expect(watches.deadlineReached(at: 49 * millisecond) == [])
    #expect(processes.count == 0)
    #expect(watches.deadlineReached(at: 50 * millisecond) == [])
    #expect(processes.count == 1)
    #expect(watches.nextDeadline == 75 * millisecond)
  }

  @Test mutating func `a passed limit is told once, with all that an error needs`() {
    begin(1, 10, cpu: 100_000)
    begin(2, 20, cpu: 100_000)
    watches.begin(
      call: 3, process: 30, limits: UsageLimits(memoryBytes: 4096), isFresh: true, at: 0)
    processes[10] = reading(100_001)
    processes[20] = reading(40_000)
    processes[30] = ResourceReading(memoryBytes: 4097, processCount: 1, startedAt: 1)
    var passed = watches.deadlineReached(at: 50 * millisecond)
    passed.sort { $0.call < $1.call }
    #expect(
      passed == [
        .init(call: 1, process: 10, limit: PassedLimit(.cpuTime, used: 100_001, max: 100_000)),
        .init(call: 3, process: 30, limit: PassedLimit(.memory, used: 4097, max: 4096)),
      ])
    #expect(watches.count == 1)
    #expect(watches.nextDeadline == 80 * millisecond)
    #expect(watches.deadlineReached(at: 60 * millisecond) == [])
  }

  @Test mutating func `a worker's earlier calls are left out`() {
    processes[10] = reading(5_000_000)
    begin(1, 10, cpu: 100_000, fresh: false)
    processes[10] = reading(5_060_000)
    #expect(watches.deadlineReached(at: 50 * millisecond) == [])
    #expect(watches.nextDeadline == 70 * millisecond)
    processes[10] = reading(5_110_000)
    let passed = watches.deadlineReached(at: 70 * millisecond)
    #expect(passed.map(\.limit) == [PassedLimit(.cpuTime, used: 110_000, max: 100_000)])
  }

  @Test mutating func `a baseline that cannot be read is read later`() {
    begin(1, 10, cpu: 100_000, fresh: false)
    #expect(watches.nextDeadline == 100 * millisecond)
    processes[10] = reading(5_000_000)
    #expect(watches.deadlineReached(at: 100 * millisecond) == [])
    #expect(watches.nextDeadline == 150 * millisecond)
    processes[10] = reading(5_100_001)
    #expect(watches.deadlineReached(at: 150 * millisecond).count == 1)
  }

  @Test mutating func `a process that cannot be read stays watched`() {
    begin(1, 10, cpu: 100_000)
    #expect(watches.deadlineReached(at: 50 * millisecond) == [])
    #expect(watches.nextDeadline == 150 * millisecond)
    processes[10] = reading(200_000)
    #expect(watches.deadlineReached(at: 150 * millisecond).count == 1)
  }

  @Test mutating func `a call that begins again begins anew`() {
    begin(1, 10, cpu: 100_000)
    begin(1, 20, cpu: 200_000)
    #expect(watches.count == 1)
    #expect(watches.nextDeadline == 100 * millisecond)
  }

  @Test mutating func `many processes are read less often`() {
    begin(1, 10, cpu: 100_000)
    begin(2, 20, cpu: 100_000_000)
    processes[10] = reading(99_999, processes: 99)
    #expect(watches.deadlineReached(at: 50 * millisecond) == [])
    #expect(watches.nextDeadline == 80 * millisecond)  // 100 of them, 0.3 ms each.
    watches.end(call: 1)
    begin(3, 30, cpu: 100_000)
    processes[30] = reading(99_999)
    #expect(watches.deadlineReached(at: 50 * millisecond) == [])
    #expect(watches.nextDeadline == 55 * millisecond)
  }
}
