import Testing

@testable import JobCore

struct NumberedIDTests {
  private func id(_ number: JobNumber, _ rig: Rig) throws -> JobID {
    try #require(rig.store[number]).id
  }

  @Test func `an id that the service made needs no index`() throws {
    var rig = Rig()
    let made = try (0..<3).map { _ in try id(rig.square(), rig) }
    #expect(made.map { rig.store.number(of: $0) } == [1, 2, 3])
    #expect(rig.store.ids.count == 0)
    let chosen = try #require(JobID("mine"))
    #expect(try rig.accept(Submission(task: "square", id: chosen)) == 4)
    #expect(rig.store.number(of: chosen) == 4)
    #expect(rig.store.ids.count == 1)
  }

  @Test func `jobs of two lives are found by their ids`() throws {
    var rig = Rig()
    let before = try id(rig.square(), rig)
    try rig.crash()
    #expect(rig.store.ids.count == 1)
    let after = try id(rig.square(), rig)
    #expect(rig.store.number(of: before) == 1)
    #expect(rig.store.number(of: after) == 2)
    #expect(rig.store.ids.count == 1)
    #expect(rig.cancel(1) != nil)
    #expect(rig.forget(1) != nil)
    #expect(rig.store.number(of: before) == nil)
    #expect(rig.store.ids.count == 0)
  }

  @Test func `an id that tells the number of another job is none of that job`() throws {
    var rig = Rig()
    let made = try id(rig.square(), rig)
    var text = Array(made.text)
    text[0] = text[0] == "f" ? "e" : "f"
    let like = try #require(JobID(String(text)))
    #expect(rig.store.number(of: like) == nil)
    #expect(try rig.accept(Submission(task: "square", id: like)) == 2)
    #expect(rig.store.number(of: like) == 2)
    #expect(rig.store.number(of: made) == 1)
    for number in 1...2 as ClosedRange<JobNumber> {
      #expect(rig.cancel(number) != nil)
      #expect(rig.forget(number) != nil)
    }
    #expect(rig.store.number(of: like) == nil)
    #expect(rig.store.number(of: made) == nil)
    #expect(rig.store.ids.count == 0)
    try rig.crash()
  }

  /// The id of a job, changed so that it tells another number.
  private func id(_ number: JobNumber, _ rig: Rig, telling other: JobNumber) throws -> JobID {
    let id = try id(number, rig)
    let digit = try #require(id.text.last?.hexDigitValue)
    let changed = String(digit ^ Int(number ^ other), radix: 16)
    return try #require(JobID(String(id.text.dropLast()) + changed))
  }

  @Test func `an id may tell the number of a job that is to come`() throws {
    var rig = Rig()
    _ = try rig.square()
    let (future, own) = (try id(1, rig, telling: 4), try id(1, rig, telling: 3))
    #expect(try rig.accept(Submission(task: "square", id: future)) == 2)
    #expect(rig.store.number(of: future) == 2)
    #expect(rig.store.ids.count == 1)
    #expect(try rig.accept(Submission(task: "square", id: own)) == 3)
    #expect(rig.store.number(of: own) == 3)
    #expect(rig.store.ids.count == 1)
    let fourth = try id(rig.square(), rig)
    #expect(fourth != future)
    #expect(rig.store.number(of: fourth) == 4)
    #expect(rig.store.number(of: future) == 2)
    try rig.crash()
  }

  @Test func `the id of a map may tell the number of a job`() throws {
    var rig = Rig()
    let made = try id(rig.square(), rig)
    let next = try id(1, rig, telling: 2)
    rig.handle(.mapReceived(MapTests.document(1, chunkSize: 1, id: next.text), request: 1))
    #expect(rig.store.mapNumber(of: next) == 2)
    #expect(rig.store.number(of: next) == nil)
    #expect(rig.store.number(of: made) == 1)
    #expect(rig.engine.brokenInvariants() == [])
  }

  @Test func `each engine masks numbers in its own way`() throws {
    let words = try (1...20 as ClosedRange<UInt64>).map { seed in
      var engine = Engine(store: JobStore(), pools: [], limits: Limits(), seed: seed)
      let moment = Moment(instant: Instant(nanoseconds: 1), timestamp: 1)
      return try #require(engine.newID(of: 1, at: moment).last48Bits)
    }
    #expect(Set(words).count == words.count)
  }

  @Test func `the id of a job that was dropped can be chosen for a new one`() throws {
    var rig = Rig()
    let made = try id(rig.square(), rig)
    #expect(rig.cancel(1) != nil)
    #expect(rig.forget(1) != nil)
    #expect(try rig.accept(Submission(task: "square", id: made)) == 2)
    #expect(rig.store.number(of: made) == 2)
    try rig.crash()
    #expect(rig.store.number(of: made) == 2)
  }

  /// Two services that were started at one moment count the same numbers.
  @Test func `services make different ids of the same numbers`() {
    let (one, other) = (NumberedIDs(mask: 1 << 60 | 5, from: 3), NumberedIDs(mask: 9, from: 3))
    for number in 3..<1_000 as Range<JobNumber> {
      let id = one.id(of: number, at: 7, random: 0)
      #expect(one.number(in: id) == number)
      #expect(id != other.id(of: number, at: 7, random: 0))
      #expect(one.id(of: number, at: 7, random: 1 << 25) != id)
    }
    #expect(one.number(in: one.id(of: 2, at: 7, random: 0)) == nil)
  }
}
