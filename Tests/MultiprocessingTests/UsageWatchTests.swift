import Testing

@testable import Multiprocessing

@Suite struct UsageWatchTests {
  static let mebibyte: UInt64 = 1 << 20

  static func watch(
    cpu: UInt64? = nil, memory: UInt64? = nil, baseline: ResourceReading = .zero, cpuCount: Int = 2,
    at now: UInt64 = 1000
  ) -> UsageWatch {
    UsageWatch(
      UsageLimits(cpuMicroseconds: cpu, memoryBytes: memory), baseline: baseline,
      cpuCount: cpuCount, at: now)
  }

  static func reading(
    cpu: UInt64 = 0, memory: UInt64 = 0, startedAt: UInt64 = 7
  ) -> ResourceReading {
    ResourceReading(
      cpuMicroseconds: cpu, memoryBytes: memory, processCount: 1, startedAt: startedAt)
  }

  @Test func `CPU time can be passed no sooner than with every CPU busy`() {
    var watch = Self.watch(cpu: 2_000_000, cpuCount: 4)
    #expect(watch.nextReadingAt == 1000 + 500_000_000)
    let now = watch.nextReadingAt
    #expect(
      watch.read(Self.reading(cpu: 1_600_000), at: now)
        == .within(nextReadingAt: now + 100_000_000))
  }

  @Test func `memory can be passed no sooner than it can grow`() {
    var watch = Self.watch(memory: 8590 * 200_000)  // 200 ms of growth.
    #expect(watch.nextReadingAt == 1000 + 200_000_000)
    #expect(
      watch.read(Self.reading(memory: 8590 * 150_000), at: 5)
        == .within(nextReadingAt: 5 + 50_000_000))
  }

  @Test func `the earlier of both limits is the next deadline`() {
    let cpuFirst = Self.watch(cpu: 100_000, memory: 8590 * 200_000)
    #expect(cpuFirst.nextReadingAt == 1000 + 50_000_000)
    let memoryFirst = Self.watch(cpu: 10_000_000, memory: 8590 * 200_000)
    #expect(memoryFirst.nextReadingAt == 1000 + 200_000_000)
  }

  @Test func `readings are 5 ms apart at least, and for memory 1 s at most`() {
    var cpu = Self.watch(cpu: 10)
    #expect(cpu.nextReadingAt == 1000 + 5_000_000)
    #expect(cpu.read(Self.reading(cpu: 10), at: 0) == .within(nextReadingAt: 5_000_000))
    let memory = Self.watch(memory: 1 << 40)
    #expect(memory.nextReadingAt == 1000 + 1_000_000_000)
    #expect(Self.watch(memory: 0).nextReadingAt == 1000 + 5_000_000)
  }

  @Test func `a limit may be used up, and not more`() {
    var cpu = Self.watch(cpu: 300)
    #expect(cpu.read(Self.reading(cpu: 300), at: 0) == .within(nextReadingAt: 5_000_000))
    #expect(cpu.read(Self.reading(cpu: 301), at: 0) == .cpuPassed(used: 301))
    var memory = Self.watch(memory: 300)
    #expect(memory.read(Self.reading(memory: 300), at: 0) == .within(nextReadingAt: 5_000_000))
    #expect(memory.read(Self.reading(memory: 301), at: 0) == .memoryPassed(used: 301))
  }

  @Test func `what is left out by the baseline is not the call's`() {
    var watch = Self.watch(
      cpu: 300, memory: 4096, baseline: Self.reading(cpu: 1_000_000, memory: 1 << 30))
    let used = Self.reading(cpu: 1_000_300, memory: 1 << 30 + 4096)
    #expect(watch.read(used, at: 0) == .within(nextReadingAt: 5_000_000))
    #expect(
      watch.read(Self.reading(cpu: 1_000_301, memory: 0), at: 0) == .cpuPassed(used: 301))
    var other = Self.watch(
      cpu: 300, memory: 4096, baseline: Self.reading(cpu: 1_000_000, memory: 1 << 30))
    #expect(
      other.read(Self.reading(cpu: 0, memory: 1 << 30 + 4097), at: 0)
        == .memoryPassed(used: 4097))
  }

  @Test func `both passed is memory passed`() {
    var watch = Self.watch(cpu: 1, memory: 1)
    #expect(watch.read(Self.reading(cpu: 2, memory: 2), at: 0) == .memoryPassed(used: 2))
  }

  @Test func `CPU time that a reading misses is not given back`() {
    var watch = Self.watch(cpu: 1_000_000)
    #expect(
      watch.read(Self.reading(cpu: 900_000), at: 0) == .within(nextReadingAt: 50_000_000))
    #expect(
      watch.read(Self.reading(cpu: 100_000), at: 0) == .within(nextReadingAt: 50_000_000))
  }

  @Test func `another process with the same number is not the call's`() {
    var watch = Self.watch(cpu: 100)
    #expect(watch.read(Self.reading(cpu: 50), at: 0) == .within(nextReadingAt: 5_000_000))
    let stranger = Self.reading(cpu: 1_000_000, startedAt: 8)
    #expect(watch.read(stranger, at: 0) == .within(nextReadingAt: 1_000_000_000))
  }

  @Test func `limits of any size overflow nothing`() {
    var watch = Self.watch(cpu: .max, memory: .max, cpuCount: 1, at: .max - 10)
    #expect(watch.nextReadingAt == .max)
    #expect(
      watch.read(Self.reading(cpu: .max, memory: .max), at: 0)
        == .within(nextReadingAt: 5_000_000))
    #expect(Self.watch(cpu: .max, cpuCount: 1).nextReadingAt == .max)
  }

  /// The promise of the type: whoever grows as fast as it allows is caught within one interval.
  @Test(arguments: [1, 2, 64]) func `the fastest call is caught one interval late`(cpuCount: Int) {
    let limit: UInt64 = 3_000_000
    var watch = Self.watch(cpu: limit, cpuCount: cpuCount, at: 0)
    var readings = 0
    while readings < 1000 {
      let now = watch.nextReadingAt
      let used = now / 1000 * UInt64(cpuCount)
      readings += 1
      guard case .cpuPassed(let found) = watch.read(Self.reading(cpu: used), at: now) else {
        continue
      }
      #expect(found <= limit + 5000 * UInt64(cpuCount))
      #expect(readings <= 3)
      return
    }
    Issue.record("never caught")
  }

  /// A single thread on many CPUs is the slow approach: each reading finds less than it feared.
  @Test func `a slow call costs readings in bounded number`() {
    let limit: UInt64 = 10_000_000
    var watch = Self.watch(cpu: limit, cpuCount: 64, at: 0)
    for readings in 1... {
      let now = watch.nextReadingAt
      guard case .cpuPassed(let used) = watch.read(Self.reading(cpu: now / 1000), at: now) else {
        continue
      }
      #expect(used <= limit + 5000)
      #expect(readings < 400)
      return
    }
  }
}
