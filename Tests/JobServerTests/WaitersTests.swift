import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// Each waiter comes out once: satisfied, expired, removed, or at the end.
@Suite struct WaitersTests {
  private var waiters = Waiters()

  private mutating func add(
    _ goal: Waiters.Goal = .final, for number: JobNumber = 1, until deadline: UInt64 = 100
  ) -> UInt64 {
    waiters.add(PendingResponse(), for: number, goal: goal, Presentation(), until: deadline)
  }

  private mutating func satisfied(by job: Job) -> [UInt64] {
    var serials: [UInt64] = []
    waiters.satisfied(by: job) { serials.append($0.serial) }
    return serials
  }

  private mutating func expired(at now: UInt64) -> [UInt64] {
    var serials: [UInt64] = []
    while let (_, waiter) = waiters.popExpired(at: now) { serials.append(waiter.serial) }
    return serials
  }

  private let running = Jobs.engine(.running) { $0.version = 2 }.job
  private let final = Jobs.engine(.succeeded) { ($0.version, $0.ending) = (3, .result("1")) }.job

  @Test mutating func `goals are met by what they wait for`() {
    let handle = add(.final)
    let result = add(.result)
    let change = add(.change(from: 2))
    let stale = add(.change(from: 1))
    #expect(waiters.count == 4)
    #expect(satisfied(by: running) == [stale])
    #expect(satisfied(by: running) == [])
    #expect(satisfied(by: final) == [handle, result, change], "in the order in which they came")
    #expect(waiters.count == 0)
    #expect(satisfied(by: final) == [] && expired(at: .max) == [])
  }

  @Test mutating func `a final job meets the wait for a change of what is held`() {
    let serial = add(.change(from: 3))
    #expect(satisfied(by: final) == [serial])
  }

  @Test mutating func `only the job's own waiters are woken`() {
    let other = add(for: 2)
    #expect(satisfied(by: final) == [])
    #expect(waiters.count == 1 && expired(at: 100) == [other])
  }

  @Test mutating func `time takes them out in the order of their deadlines`() {
    let late = add(until: 300)
    let early = add(until: 100)
    let middle = add(for: 2, until: 200)
    #expect(waiters.nextDeadline == 100)
    #expect(expired(at: 99) == [])
    #expect(expired(at: 250) == [early, middle])
    #expect(waiters.count == 1 && waiters.nextDeadline == 300)
    #expect(satisfied(by: final) == [late])
    #expect(expired(at: .max) == [])
  }

  @Test mutating func `one whose client left is not woken any more`() {
    let gone = add()
    let stays = add()
    waiters.remove(1, serial: gone)
    waiters.remove(1, serial: gone)
    waiters.remove(7, serial: 99)
    #expect(waiters.count == 1)
    #expect(satisfied(by: final) == [stays])
    waiters.remove(1, serial: stays)
    #expect(waiters.count == 0 && expired(at: .max) == [])
  }

  @Test mutating func `at the end all come out`() {
    for number in 1...3 as ClosedRange<JobNumber> { for _ in 0..<2 { _ = add(for: number) } }
    let all = waiters.removeAll()
    #expect(all.count == 6 && Set(all.map(\.waiter.serial)).count == 6)
    #expect(waiters.count == 0 && waiters.nextDeadline == nil)
    #expect(waiters.removeAll().isEmpty)
  }

  /// Against a plain list, through ten thousand random steps.
  @Test mutating func `what comes out is what a list would give`() {
    var model: [UInt64: (number: JobNumber, deadline: UInt64)] = [:]
    var random = SeededGenerator(seed: 7)
    var now: UInt64 = 0
    for _ in 0..<10_000 {
      let number = JobNumber.random(in: 1...5, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0, 1:
        let deadline = now + UInt64.random(in: 0...50, using: &random)
        model[add(for: number, until: deadline)] = (number, deadline)
      case 2:
        guard let serial = model.keys.min() else { continue }
        waiters.remove(model[serial]!.number, serial: serial)
        model[serial] = nil
      default:
        now += UInt64.random(in: 0...20, using: &random)
        let due = model.filter { $0.value.deadline <= now }
        #expect(Set(expired(at: now)) == Set(due.keys))
        for serial in due.keys { model[serial] = nil }
      }
      #expect(waiters.count == model.count)
    }
    let mine = Set(model.filter { $0.value.number == 1 }.keys)
    #expect(Set(satisfied(by: final)) == mine)
  }
}
