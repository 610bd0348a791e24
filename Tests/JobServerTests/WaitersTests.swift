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
}
