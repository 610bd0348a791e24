import Testing

@testable import JobCore

/// The tables that grow and shrink in small steps, against naive ones.
@Suite struct TableTests {
  // MARK: NumberTable

  @Test func `a copy of a number table is a table of its own`() {
    var table = NumberTable()
    let none = table
    for number in JobNumber(1)...1_000 { table.insert(number &* 0x9E37_79B9_7F4A_7C15, number) }
    var copy = table
    for number in JobNumber(1)...500 { copy.remove(number &* 0x9E37_79B9_7F4A_7C15, number) }
    copy.insert(7, 2_000)
    table.insert(7, 3_000)
    for number in JobNumber(1)...1_000 {
      let hash = number &* 0x9E37_79B9_7F4A_7C15
      #expect(table.find(hash) { $0 == number } == number)
      #expect(copy.find(hash) { $0 == number } == (number > 500 ? number : nil))
    }
    #expect(table.find(7) { _ in true } == 3_000 && copy.find(7) { _ in true } == 2_000)
    #expect((table.count, copy.count, none.count) == (1_001, 501, 0))
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `a number table does what a dictionary does, also where hashes meet`(seed: UInt64) {
    var random = TestRandom(seed: seed)
    var table = NumberTable()
    var model: [JobNumber: UInt64] = [:]
    // Few shards and few homes, at the end of the shard too, so that entries push one another on.
    let hashes = (0..<12).map { _ in
      UInt64(random.below(2)) << 60 | UInt64([0, 1, 2, 0xFFFE, 0xFFFF][random.below(5)])
    }
    for step in 0..<3_000 {
      let number = JobNumber(1 + random.below(step < 1_500 ? 200 : 20))
      if let hash = model[number] {
        table.remove(hash, number)
        model[number] = nil
      } else {
        let hash = hashes[random.below(hashes.count)]
        table.insert(hash, number)
        model[number] = hash
      }
      #expect(table.count == model.count)
      let probe = JobNumber(1 + random.below(200))
      let hash = hashes[random.below(hashes.count)]
      let isHeld = table.find(hash) { $0 == probe } != nil
      #expect(isHeld == (model[probe] == hash))
    }
    for (number, hash) in model {
      #expect(table.find(hash) { $0 == number } == number)
      table.remove(hash, number)
      table.remove(hash, number)
    }
    #expect(table.count == 0)
    #expect(table.find(hashes[0]) { _ in true } == nil)
  }

  @Test func `a number table asks about few but the one that is meant`() {
    var table = NumberTable()
    func hash(_ number: JobNumber) -> UInt64 {
      var random = TestRandom(seed: number)
      return random.next()
    }
    for number in JobNumber(1)...50_000 { table.insert(hash(number), number) }
    var asked = 0
    for number in JobNumber(1)...50_000 {
      let found = table.find(hash(number)) {
        asked += 1
        return $0 == number
      }
      #expect(found == number)
    }
    #expect(asked < 50_100)
    for number in JobNumber(1)...50_000 { table.remove(hash(number), number) }
    #expect(table.count == 0)
  }

  @Test func `the largest number is kept whole`() {
    var table = NumberTable()
    let largest = NumberTable.numberLimit - 1
    table.insert(.max, largest)
    #expect(table.find(.max) { $0 == largest } == largest)
    table.remove(.max, largest)
    #expect(table.count == 0)
  }

  @Test func `a job beyond the largest number is a broken journal`() {
    var store = JobStore()
    let submitted = JobSubmitted(
      number: NumberTable.numberLimit, id: JobID("a")!, task: "t", pool: "p", args: "",
      options: nil, at: 1)
    #expect(throws: JobStore.Misfit.self) { try store.apply(.jobSubmitted(submitted)) }
    #expect(store == JobStore())
  }

  // MARK: NumberQueue

  @Test func `what is taken and put back again and again stays in its order`() {
    var queue = NumberQueue()
    for number in 1...512 as ClosedRange<JobNumber> { queue.append(number) }
    for taken in [1, 5, 300, 511] {
      for _ in 0..<1_500 {
        let numbers = Array(queue.entries.prefix(taken))
        for _ in numbers { queue.removeFirst() }
        for number in numbers.reversed() { queue.insert(number) { $0 > number } }
      }
      #expect(queue.entries.elementsEqual(1...512), "\(taken) at a time")
      #expect(queue.count == 512)
    }
  }

  @Test(arguments: 0..<6 as Range<UInt64>)
  func `a number queue does what an array does`(seed: UInt64) {
    var random = TestRandom(seed: seed)
    var queue = NumberQueue()
    var model: [JobNumber] = []
    var next: JobNumber = 1
    // Grows to some pieces, then shrinks.
    for step in 0..<240 {
      switch random.below(step < 120 ? 6 : 9) {
      case 0, 1, 2:
        for _ in 0..<random.below(400) {
          queue.append(next)
          model.append(next)
          next += 1
        }
      case 3:
        let number = JobNumber(random.below(Int(next)))
        queue.insert(number) { $0 > number }
        model.insert(number, at: model.firstIndex { $0 > number } ?? model.count)
      case 4:
        let number = JobNumber(random.below(Int(next)))
        queue.remove(number)
        if let place = model.firstIndex(of: number) { model.remove(at: place) }
      case 5:
        let rest = UInt64(random.below(3))
        let taken = queue.sweepPiece { $0 % 3 == rest }
        let held = Array(queue.entries)
        #expect(held.count == model.count - taken)
        #expect(held.filter { $0 % 3 != rest } == model.filter { $0 % 3 != rest })
        model = held
      default:
        for _ in 0..<min(random.below(700), model.count) {
          queue.removeFirst()
          model.removeFirst()
        }
      }
      #expect(queue.count == model.count)
      #expect(queue.first == model.first)
      if step % 20 == 0 { #expect(Array(queue.entries) == model) }
    }
  }

  @Test func `many insertions at one place split a piece`() {
    var queue = NumberQueue()
    for number in JobNumber(1)...3_000 { queue.append(number * 10_000) }
    for number in JobNumber(1)...4_000 { queue.insert(10_000 + number) { $0 > 10_000 + number } }
    #expect(queue.count == 7_000)
    let entries = Array(queue.entries)
    #expect(entries == entries.sorted())
  }

  @Test func `sweeping all pieces takes all that is stale, wherever it stands`() {
    var queue = NumberQueue()
    for number in JobNumber(1)...10_000 { queue.append(number) }
    queue.removeFirst()
    var taken = 0
    for _ in 0..<20 { taken += queue.sweepPiece { $0 % 100 != 0 } }
    #expect(taken == 9_899)
    #expect(Array(queue.entries) == (1...100).map { JobNumber($0 * 100) })
    for _ in 0..<3 { taken += queue.sweepPiece { _ in true } }
    #expect(queue.count == 0 && queue.first == nil)
    #expect(queue.sweepPiece { _ in true } == 0)
    queue.append(7)
    #expect(queue.first == 7)
  }
}
