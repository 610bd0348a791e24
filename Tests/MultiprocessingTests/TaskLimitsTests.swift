import Glibc
import Testing

@testable import Multiprocessing

@Suite struct TaskLimitsTests {
  private let limits = TaskLimits(
    cpuMicroseconds: 1_000_001, memoryBytes: 1 << 30, openFilesMax: 20, fileBytesMax: 4096)

  private func value(_ limits: [ProcessSpecification.Limit], _ resource: __rlimit_resource)
    -> [UInt64]?
  {
    limits.first { $0.resource == Int32(resource.rawValue) }.map { [$0.soft, $0.hard] }
  }

  @Test func `the kernel is told what it can keep, later than the watch finds it`() {
    let kernel = limits.forProgram
    #expect(kernel.count == 4)
    #expect(value(kernel, RLIMIT_CPU) == [3, 4])
    #expect(value(kernel, RLIMIT_NOFILE) == [20, 20])
    #expect(value(kernel, RLIMIT_FSIZE) == [4096, 4096])
    #expect(value(kernel, RLIMIT_CORE) == [0, 0])
    #expect(value(TaskLimits(cpuMicroseconds: 1_000_000).forProgram, RLIMIT_CPU) == [2, 3])
    #expect(limits.usage == UsageLimits(cpuMicroseconds: 1_000_001, memoryBytes: 1 << 30))
  }

  @Test func `a worker's CPU time is not bounded by the kernel`() {
    #expect(value(limits.forWorker, RLIMIT_CPU) == nil)
    #expect(limits.forWorker.count == 3)
    #expect(TaskLimits().forWorker.count == 1)
  }

  @Test func `no process is asked to have more open files than this one may`() {
    var own = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &own)
    let most = UInt64(own.rlim_max)
    #expect(value(TaskLimits(openFilesMax: .max).forProgram, RLIMIT_NOFILE) == [most, most])
  }

  @Test func `a death by the kernel's limit is explained by it`() {
    let use = ResourceUse(cpuMicroseconds: 2_000_000)
    #expect(
      limits.passed(by: .signalled(SIGXCPU), use: use)
        == PassedLimit(.cpuTime, used: 2_000_000, max: 1_000_001))
    #expect(
      limits.passed(by: .signalled(SIGKILL), use: use)
        == PassedLimit(.cpuTime, used: 2_000_000, max: 1_000_001))
    #expect(
      limits.passed(by: .signalled(SIGXFSZ), use: use)
        == PassedLimit(.fileSize, used: nil, max: 4096))
  }

  @Test func `no other end is explained by a limit`() {
    let use = ResourceUse(cpuMicroseconds: 2_000_000)
    #expect(limits.passed(by: .signalled(SIGKILL), use: ResourceUse()) == nil)
    #expect(limits.passed(by: .signalled(SIGSEGV), use: use) == nil)
    #expect(limits.passed(by: .exited(1), use: use) == nil)
    #expect(limits.passed(by: .unknown, use: use) == nil)
    let none = TaskLimits()
    #expect(none.passed(by: .signalled(SIGXCPU), use: use) == nil)
    #expect(none.passed(by: .signalled(SIGKILL), use: use) == nil)
    #expect(none.passed(by: .signalled(SIGXFSZ), use: use) == nil)
  }

  @Test(arguments: [
    (
      PassedLimit(.cpuTime, used: 2_004_900, max: 2_000_000),
      "2.004 s of CPU time, 2.000 s are allowed"
    ),
    (
      PassedLimit(.memory, used: 537_395_200, max: 1 << 29),
      "512.5 MiB of private memory, 512.0 MiB are allowed"
    ),
    (
      PassedLimit(.memory, used: .max, max: 7),
      "17592186044415.9 MiB of private memory, 7 bytes are allowed"
    ),
    (
      PassedLimit(.fileSize, used: nil, max: 4096),
      "more in one file than allowed: 4096 bytes are allowed"
    ),
  ])
  func `a passed limit says how much of what`(limit: PassedLimit, wanted: String) {
    #expect("\(limit)" == wanted)
  }
}
