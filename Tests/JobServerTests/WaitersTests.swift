import HTTPServer
import JobCore
import Testing

@testable import JobServer

/// Each waiter comes out once: satisfied, expired, removed, or at the end. In which order those of
/// one job do is left open.
@Suite struct WaitersTests {
  private var waiters = Waiters()
  /// Each response with what removes its waiter.
  private var added: [(response: PendingResponse, handle: Waiters.Handle)] = []

  /// Adds a waiter and answers its place in `added`.
  private mutating func add(
    _ goal: Waiters.Goal = .final, for number: JobNumber = 1, until deadline: UInt64 = 100
  ) -> Int {
    let response = PendingResponse()
    let handle = waiters.add(
      response, for: number, goal: goal, Presentation(), until: deadline)
    added.append((response, handle))
    return added.count - 1
  }

  private mutating func remove(_ place: Int) {
    let waiter = waiters.remove(added[place].handle)
    #expect(waiter == nil || waiter?.response === added[place].response)
  }

  private func place(of waiter: Waiters.Waiter) -> Int {
    added.firstIndex { $0.response === waiter.response } ?? -1
  }

  private mutating func satisfied(by job: Job) -> Set<Int> {
    var found: [Waiters.Waiter] = []
    waiters.satisfied(by: JobBrief(job), job.number) { found.append($0) }
    let places = found.map(place)
    #expect(Set(places).count == places.count, "one came out twice")
    return Set(places)
  }

  private mutating func expired(at now: UInt64) -> [Int] {
    var places: [Int] = []
    while let waiter = waiters.popExpired(at: now) { places.append(place(of: waiter)) }
    return places
  }

  private mutating func removeAll() -> Set<Int> {
    Set(waiters.removeAll().map(place))
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
    #expect(satisfied(by: final) == [handle, result, change])
    #expect(waiters.count == 0)
    #expect(satisfied(by: final) == [] && expired(at: .max) == [])
  }

  @Test mutating func `a final job meets the wait for a change of what is held`() {
    let place = add(.change(from: 3))
    #expect(satisfied(by: final) == [place])
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
    remove(gone)
    remove(gone)
    #expect(waiters.count == 1)
    #expect(satisfied(by: final) == [stays])
    remove(stays)
    #expect(waiters.count == 0 && expired(at: .max) == [])
  }

  @Test mutating func `at the end all come out`() {
    for number in 1...3 as ClosedRange<JobNumber> { for _ in 0..<2 { _ = add(for: number) } }
    #expect(removeAll() == Set(0..<6))
    #expect(waiters.count == 0 && waiters.nextDeadline == nil)
    #expect(removeAll() == [])
  }

  /// Against a plain list, through ten thousand random steps.
  @Test mutating func `what comes out is what a list would give`() {
    var model: [Int: (number: JobNumber, deadline: UInt64)] = [:]
    var random = SeededGenerator(seed: 7)
    var now: UInt64 = 0
    for _ in 0..<10_000 {
      let number = JobNumber.random(in: 1...5, using: &random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0...3:
        let deadline = now + UInt64.random(in: 0...50, using: &random)
        model[add(for: number, until: deadline)] = (number, deadline)
      case 4, 5:
        let places = model.keys.sorted()
        guard let place = places.randomElement(using: &random) else { continue }
        remove(place)
        model[place] = nil
      case 6:
        let mine = model.filter { $0.value.number == 1 }.keys
        #expect(satisfied(by: final) == Set(mine))
        for place in mine { model[place] = nil }
      default:
        now += UInt64.random(in: 0...20, using: &random)
        let due = model.filter { $0.value.deadline <= now }.keys
        #expect(Set(expired(at: now)) == Set(due))
        for place in due { model[place] = nil }
      }
      #expect(waiters.count == model.count)
    }
    #expect(removeAll() == Set(model.keys))
  }

  // MARK: Groups

  /// Adds a waiter for several jobs.
  private mutating func add(
    forAll numbers: [JobNumber], _ goal: Waiters.Goal = .final, missing: Int? = nil,
    until deadline: UInt64 = 100
  ) -> Int {
    let response = PendingResponse()
    let group = JobGroup([], preferenceApplied: nil, heldTags: nil)
    let handle = waiters.add(
      response, for: group, numbers.map { ($0, goal) }, missing: missing ?? numbers.count,
      until: deadline)
    added.append((response, handle))
    return added.count - 1
  }

  private mutating func satisfied(_ number: JobNumber, _ job: Job?) -> Set<Int> {
    var found: [Waiters.Waiter] = []
    waiters.satisfied(by: job.map { JobBrief($0) }, number) { found.append($0) }
    #expect(Set(found.map(place)).count == found.count, "one came out twice")
    return Set(found.map(place))
  }

  @Test mutating func `one that waits for all comes out with the last`() {
    let all = add(forAll: [1, 2, 3])
    let single = add(for: 2)
    #expect(waiters.count == 2)
    #expect(satisfied(1, running) == [] && satisfied(1, final) == [])
    #expect(satisfied(1, final) == [], "the same end counts once")
    #expect(satisfied(2, final) == [single] && satisfied(3, running) == [])
    #expect(satisfied(3, final) == [all])
    #expect(waiters.count == 0 && expired(at: .max) == [])
  }

  @Test mutating func `one that waits for the first change comes out with it, from all its jobs`() {
    let first = add(forAll: [1, 2, 3], .change(from: 2), missing: 1)
    let other = add(forAll: [3, 1], .change(from: 1), missing: 1)
    #expect(satisfied(2, running) == [], "it is of the version that is known")
    #expect(satisfied(1, running) == [other])
    #expect(satisfied(2, final) == [first])
    for number in 1...3 as ClosedRange<JobNumber> { #expect(satisfied(number, final) == []) }
    #expect(waiters.count == 0)
  }

  @Test mutating func `a job that was dropped is not waited for`() {
    let single = add(for: 1)
    let first = add(forAll: [1, 2], .change(from: 1), missing: 1)
    let all = add(forAll: [1, 2])
    #expect(satisfied(1, nil) == [single, first])
    #expect(satisfied(2, nil) == [all])
  }

  @Test mutating func `time, a client that leaves and the end take groups out as a whole`() {
    let late = add(forAll: [1, 2], until: 200)
    let early = add(forAll: [2, 3], until: 100)
    let left = add(forAll: [3, 1], until: 300)
    #expect(satisfied(3, final) == [], "each of them misses one still")
    #expect(expired(at: 150) == [early])
    remove(left)
    #expect(satisfied(1, final) == [] && waiters.count == 1)
    #expect(satisfied(2, final) == [late])
    _ = add(forAll: [1, 2])
    #expect(removeAll().count == 1 && waiters.count == 0)
    #expect(satisfied(1, final) == [] && satisfied(2, final) == [])
  }

  /// Against a plain list, through ten thousand random steps on the same few jobs.
  @Test mutating func `groups come out as a list would give them`() {
    struct Expected {
      var left: Set<JobNumber>
      var missing: Int
      let deadline: UInt64
    }
    var model: [Int: Expected] = [:]
    var random = SeededGenerator(seed: 11)
    var now: UInt64 = 0
    for _ in 0..<10_000 {
      switch Int.random(in: 0..<8, using: &random) {
      case 0...2:
        let numbers = Array((1...6 as ClosedRange<JobNumber>).shuffled(using: &random).prefix(3))
        let missing = Int.random(in: 1...3, using: &random)
        let deadline = now + UInt64.random(in: 0...80, using: &random)
        let place = add(forAll: numbers, missing: missing, until: deadline)
        model[place] = Expected(left: Set(numbers), missing: missing, deadline: deadline)
      case 3:
        guard let place = model.keys.sorted().randomElement(using: &random) else { continue }
        remove(place)
        model[place] = nil
      case 4...6:
        let number = JobNumber.random(in: 1...6, using: &random)
        var due: Set<Int> = []
        for (place, var expected) in model where expected.left.remove(number) != nil {
          expected.missing -= 1
          model[place] = expected.missing == 0 ? nil : expected
          if expected.missing == 0 { due.insert(place) }
        }
        #expect(satisfied(number, final) == due)
      default:
        now += UInt64.random(in: 0...20, using: &random)
        let due = model.filter { $0.value.deadline <= now }.keys
        #expect(Set(expired(at: now)) == Set(due))
        for place in due { model[place] = nil }
      }
      #expect(waiters.count == model.count)
    }
    #expect(removeAll() == Set(model.keys))
  }

  @Test mutating func `no more come out at once than are asked for, and the rest is due`() {
    let places = (0..<7).map { _ in add(until: 100) }
    _ = add(until: 101)
    #expect(waiters.popExpired(at: 100, atMost: 5).map(place) == Array(places[..<5]))
    #expect(waiters.nextDeadline == 100 && waiters.count == 3)
    #expect(waiters.popExpired(at: 100, atMost: 5).map(place) == Array(places[5...]))
    #expect(waiters.popExpired(at: 100, atMost: 5).isEmpty && waiters.nextDeadline == 101)
  }
}

/// Very many that wait for the same job.
@Suite(.timeLimit(.minutes(1))) struct WaitersInCrowdsTests {
  private let running = Jobs.engine(.running) { $0.version = 2 }.job
  private let final = Jobs.engine(.succeeded) { ($0.version, $0.ending) = (3, .result("1")) }.job

  private func crowd(
    _ count: Int, goal: (Int) -> Waiters.Goal = { _ in .final },
    until deadline: (Int) -> UInt64 = { _ in 100 }
  ) -> (waiters: Waiters, handles: [Waiters.Handle], places: [ObjectIdentifier: Int]) {
    var waiters = Waiters()
    var handles: [Waiters.Handle] = []
    var places: [ObjectIdentifier: Int] = [:]
    for place in 0..<count {
      let response = PendingResponse()
      handles.append(
        waiters.add(
          response, for: 1, goal: goal(place), Presentation(), until: deadline(place)))
      places[ObjectIdentifier(response)] = place
    }
    return (waiters, handles, places)
  }

  /// Takes minutes if a waiter is looked for among those of its job.
  @Test func `it costs the same to leave a crowd by time as to leave nobody`() {
    var waiters = crowd(20_000).waiters
    var count = 0
    while waiters.popExpired(at: 100) != nil { count += 1 }
    #expect(count == 20_000 && waiters.count == 0)
  }

  /// The same for clients that go away, the one that came first first.
  @Test func `it costs the same to leave a crowd by hanging up as to leave nobody`() {
    var (waiters, handles, _) = crowd(20_000)
    for handle in handles { #expect(waiters.remove(handle) != nil) }
    #expect(waiters.count == 0)
  }

  /// Hang-ups, a change, time and the end each take the right ones out of the same list.
  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func `whoever leaves a crowd, the others stay`(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let stale = (0..<10_000).map { _ in Bool.random(using: &random) }
    let deadlines = (0..<10_000).map { _ in UInt64.random(in: 1...100, using: &random) }
    var (waiters, handles, places) = crowd(
      10_000, goal: { .change(from: stale[$0] ? 1 : 2) }, until: { deadlines[$0] })
    var left = Set(0..<10_000)
    func leave(_ waiter: Waiters.Waiter) -> Int? {
      places[ObjectIdentifier(waiter.response)].flatMap { left.remove($0) }
    }
    func hangUp(_ count: Int) {
      for place in left.shuffled(using: &random).prefix(count) {
        #expect(waiters.remove(handles[place]).flatMap(leave) == place, "seed \(seed)")
        #expect(waiters.remove(handles[place]) == nil, "seed \(seed)")
      }
    }
    func passTime(to now: UInt64) {
      while let waiter = waiters.popExpired(at: now) {
        #expect(leave(waiter).map { deadlines[$0] <= now } == true, "seed \(seed)")
      }
      #expect(left.allSatisfy { deadlines[$0] > now }, "seed \(seed)")
    }
    hangUp(2_000)
    passTime(to: 20)
    waiters.satisfied(by: JobBrief(running), 1) { waiter in
      #expect(leave(waiter).map { stale[$0] } == true, "seed \(seed)")
    }
    #expect(!left.isEmpty && left.allSatisfy { !stale[$0] }, "seed \(seed)")
    hangUp(1_000)
    passTime(to: 40)
    #expect(!left.isEmpty && waiters.count == left.count, "seed \(seed)")
    waiters.satisfied(by: JobBrief(final), 1) { _ = leave($0) }
    #expect(left.isEmpty && waiters.count == 0, "seed \(seed)")
  }

  /// Takes minutes if a change of a job looks at all jobs of those that wait for it: a thousand
  /// clients wait for the same thousand jobs.
  @Test func `a change costs a group the same as a waiter for one job`() {
    var waiters = Waiters()
    let numbers = (1...1_000).map { (JobNumber($0), Waiters.Goal.final) }
    for _ in 0..<1_000 {
      _ = waiters.add(
        PendingResponse(), for: JobGroup([], preferenceApplied: nil, heldTags: nil), numbers,
        missing: 1_000, until: 100)
    }
    var count = 0
    for (number, _) in numbers {
      waiters.satisfied(by: JobBrief(final), number) { _ in count += 1 }
    }
    #expect(count == 1_000 && waiters.count == 0)
  }
}
