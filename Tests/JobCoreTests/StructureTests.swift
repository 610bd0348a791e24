import Testing

@testable import JobCore

/// The small structures that the engine is made of, against naive ones.
@Suite struct StructureTests {
  static func job(_ number: JobNumber) -> Job {
    Job(
      number: number, id: JobID(version7At: Timestamp(number), random: (0, 0)),
      task: Name(index: 0), pool: Name(index: 1), args: "[\(number)]", options: nil, createdAt: 0)
  }

  // MARK: JobTable

  @Test(arguments: [0, 1, 255, 256, 257, 511, 512, 1 << 32] as [JobNumber])
  func `a table holds a job at any number`(number: JobNumber) {
    var table = JobTable()
    #expect(table[number] == nil)
    #expect(table.remove(number) == nil)
    table.insert(StructureTests.job(number))
    #expect(table[number]?.number == number)
    #expect(table[number + 1] == nil)
    #expect(number == 0 || table[number - 1] == nil)
    #expect(table[number ^ 256] == nil)
    #expect(table.remove(number)?.number == number)
    #expect(table.count == 0)
    #expect(table == JobTable())
  }

  @Test func `a table does what a dictionary does`() {
    var random = TestRandom(seed: 11)
    var table = JobTable()
    var model: [JobNumber: Job] = [:]
    for step in 0..<6_000 {
      // A window that moves on, so that pages are given back at the front and in the middle.
      let number = JobNumber(step / 3 + random.below(1_200))
      switch random.below(3) {
      case 0 where model[number] == nil:
        let job = StructureTests.job(number)
        table.insert(job)
        model[number] = job
      case 1 where model[number] != nil:
        table.update(number) { $0.attempt += 1 }
        model[number]?.attempt += 1
      default:
        #expect(table.remove(number) == model.removeValue(forKey: number))
      }
      if step > 3_000, let oldest = model.keys.min(), random.percent(25) {
        #expect(table.remove(oldest) == model.removeValue(forKey: oldest))
      }
      #expect(table.count == model.count)
      #expect(table[number] == model[number])
    }
    let sorted = model.keys.sorted()
    #expect(sorted.count > 20)
    var ascending: [JobNumber] = []
    table.forEachAscending { ascending.append($0.number) }
    #expect(ascending == sorted)
    for bound in [0, 1, sorted[0], sorted[0] + 1, sorted[sorted.count / 2], 3_000, .max]
      as [JobNumber]
    {
      var descending: [JobNumber] = []
      table.descend(below: bound) {
        descending.append($0.number)
        return true
      }
      #expect(descending == sorted.filter { $0 < bound }.reversed())
    }
    var few: [JobNumber] = []
    table.descend(below: .max) {
      few.append($0.number)
      return few.count < 3
    }
    #expect(few == sorted.suffix(3).reversed())
    JobTable().descend(below: .max) { _ in
      Issue.record("a job in an empty table")
      return true
    }
  }

  @Test func `a table is equal by its jobs and not by its pages`() {
    var one = JobTable()
    var other = JobTable()
    for number in [1, 300, 900] as [JobNumber] { one.insert(StructureTests.job(number)) }
    for number in [900, 300, 1] as [JobNumber] { other.insert(StructureTests.job(number)) }
    #expect(one == other)
    _ = one.remove(1)
    #expect(one != other)
    _ = other.remove(300)
    #expect(one != other)
    _ = other.remove(1)
    _ = one.remove(300)
    #expect(one == other)
    other.update(900) { $0.version += 1 }
    #expect(one != other)
  }

  @Test func `an old job may come after young ones`() throws {
    // A snapshot holds the finished jobs first: 20 million jobs ago one began that still runs.
    // Opening the gap page by page moves 50 GB here.
    let young: JobNumber = 20_000_000
    let duration = ContinuousClock().measure {
      var table = JobTable()
      for number in young..<young + 1_000 { table.insert(StructureTests.job(number)) }
      table.insert(StructureTests.job(1))
      #expect(table[1]?.number == 1)
      #expect(table[young + 999]?.number == young + 999)
      _ = table.remove(1)
      #expect(table[young]?.number == young)
    }
    #expect(duration < .seconds(2))
  }

  // MARK: DeadlineQueue

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `a deadline queue does what sorting does`(seed: UInt64) {
    var random = TestRandom(seed: seed)
    var queue = DeadlineQueue()
    var model: [(due: UInt64, number: JobNumber)] = []
    for _ in 0..<600 {
      switch random.below(4) {
      case 0, 1:
        let number = JobNumber(random.below(80))
        guard !model.contains(where: { $0.number == number }) else { continue }
        let due = UInt64(random.below(40))
        queue.insert(number, due: Instant(nanoseconds: due))
        model.append((due, number))
      case 2:
        let number = JobNumber(random.below(80))
        queue.remove(number)
        model.removeAll { $0.number == number }
      default:
        let now = UInt64(random.below(40))
        let first = model.min { ($0.due, $0.number) < ($1.due, $1.number) }
        let due = first.flatMap { $0.due <= now ? $0.number : nil }
        #expect(queue.popDue(at: Instant(nanoseconds: now)) == due)
        model.removeAll { $0.number == due }
      }
      #expect(queue.count == model.count)
      #expect(queue.next?.nanoseconds == model.map(\.due).min())
      let probe = JobNumber(random.below(80))
      #expect(queue.contains(probe) == model.contains { $0.number == probe })
    }
    var rest: [JobNumber] = []
    while let number = queue.popDue(at: Instant(nanoseconds: .max)) { rest.append(number) }
    let sorted = model.sorted { ($0.due, $0.number) < ($1.due, $1.number) }
    #expect(rest == sorted.map(\.number))
  }

  // MARK: ReadyQueue

  @Test func `what is put back stands before the first younger one`() {
    var queue = ReadyQueue()
    queue.putBack(5) { _ in false }
    for number in [6, 8, 2] as [JobNumber] { queue.append(number) }
    queue.putBack(7) { _ in false }
    queue.putBack(1) { _ in false }
    queue.putBack(9) { _ in false }
    #expect(Array(queue.entries) == [1, 5, 6, 7, 8, 2, 9])
    #expect(queue.count == 7)
    queue.putBack(4) { $0 == 5 || $0 == 6 }
    #expect(Array(queue.entries) == [1, 5, 6, 4, 7, 8, 2, 9])
  }

  @Test func `stale entries are dropped when they are more than half and more than 64`() {
    var queue = ReadyQueue()
    for number in JobNumber(1)...130 { queue.append(number) }
    for stale in JobNumber(1)...65 {
      queue.entryBecameStale { $0 <= stale }
      #expect(queue.count == 130 - Int(stale))
    }
    #expect(queue.staleCount == 65)
    queue.entryBecameStale { $0 <= 66 }
    #expect(queue.staleCount == 0)
    #expect(queue.count == 64)
    #expect(queue.first == 67)
  }

  // MARK: Estimates and waits

  @Test func `the drain rate is smoothed over windows of a second`() {
    var rate = DrainRate()
    func instant(_ milliseconds: UInt64) -> Instant {
      Instant(nanoseconds: milliseconds * 1_000_000)
    }
    func seconds(_ count: Int, needing: Double = 1, at milliseconds: UInt64) -> Int {
      rate.secondsUntilRoom(of: count, needing: needing, at: instant(milliseconds))
    }
    #expect(seconds(1_000_000, at: 0) == 5, "nothing is known")
    for step in 0..<100 as Range<UInt64> { rate.jobEnded(at: instant(step * 10)) }
    #expect(rate.jobsPerSecond == 0, "the window is not over")
    rate.jobEnded(at: instant(1_000))
    #expect(rate.jobsPerSecond == 101)
    rate.jobEnded(at: instant(1_500))
    #expect(rate.jobsPerSecond == 101)
    rate.jobEnded(at: instant(2_000))
    #expect(rate.jobsPerSecond == 51.5)
    #expect(seconds(0, at: 2_000) == 1)
    #expect(seconds(5_150, at: 2_000) == 1)
    #expect(seconds(5_151, at: 2_000) == 2)
    #expect(seconds(51_500, at: 2_000) == 10)
    #expect(seconds(0, needing: 515, at: 2_000) == 10)
    #expect(seconds(1_000_000_000, at: 2_000) == 60)
    // Nothing has ended since: less and less is left of the rate.
    #expect(seconds(5_150, at: 2_999) == 1)
    #expect(seconds(5_150, at: 3_000) == 2)
    #expect(seconds(5_150, at: 11_000) == 10)
    #expect(seconds(5_150, at: 1_000_000) == 60)
    #expect(seconds(0, at: 1_000) == 1, "a clock that goes backwards")
  }

  @Test func `a first job that nothing follows is a rate, too`() {
    var rate = DrainRate()
    rate.jobEnded(at: Instant(nanoseconds: 0))
    let late = Instant(nanoseconds: 10_000_000_000)
    #expect(rate.secondsUntilRoom(of: 1, at: late) == 10)
  }

  @Test func `the wait between attempts doubles, is bounded and never overflows`() {
    let policy = RetryPolicy(Limits())
    let waits = (1...8).map { policy.wait(after: $0) }
    #expect(waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    for attempt in [41, 42, 63, 64, 65, 1_000_000, Int.max] {
      #expect(policy.wait(after: attempt) == 60_000)
    }
    #expect(policy.wait(after: 0) == 1_000)
    #expect(policy.wait(after: -5) == 1_000)
    let extreme = RetryPolicy(
      Limits {
        $0.retryDelay = .max
        $0.retryDelayMax = .max
      })
    #expect(extreme.wait(after: 1) == .max)
    #expect(extreme.wait(after: 1_000_000) == .max)
    let none = RetryPolicy(Limits { $0.retryDelay = 0 })
    #expect(none.wait(after: 1_000_000) == 0)
  }

  @Test func `instants saturate and moments convert`() {
    let late = Instant(nanoseconds: .max - 1)
    #expect(late.advanced(byMilliseconds: 1) == Instant(nanoseconds: .max))
    #expect(Instant(nanoseconds: 5).advanced(byMilliseconds: .max) == Instant(nanoseconds: .max))
    #expect(Instant(nanoseconds: 5).advanced(byMilliseconds: -1) == Instant(nanoseconds: 5))
    let moment = Moment(instant: Instant(nanoseconds: 7), timestamp: 100)
    #expect(moment.instant(of: 102) == Instant(nanoseconds: 2_000_007))
    #expect(moment.instant(of: 99) == Instant(nanoseconds: 7))
    #expect(moment.timestamp(after: 5) == 105)
    #expect(moment.timestamp(after: .max) == .max)
  }

  @Test func `names are kept once`() {
    var names = NameTable()
    let a = names.intern("a")
    let b = names.intern("b")
    #expect(a != b)
    #expect(names.intern("a") == a)
    #expect(names.find("b") == b)
    #expect(names.find("c") == nil)
    #expect(names[a] == "a")
  }

  @Test func `the engine's generator is xoshiro256 two-star`() {
    // From the authors' reference implementation, seeded by SplitMix64 from 0.
    var generator = SeededGenerator(seed: 0)
    #expect(generator.next() == 0x99EC_5F36_CB75_F2B4)
    #expect(generator.next() == 0xBF6E_1F78_4956_452A)
    #expect(generator.next() == 0x1A5F_849D_4933_E6E0)
    #expect(SeededGenerator(seed: 1) == SeededGenerator(seed: 1))
    #expect(SeededGenerator(seed: 1) != SeededGenerator(seed: 2))
  }
}
