import Testing

/// One after the other, so that the times that they print mean something.
@Suite(.serialized) enum TimedExamples {}

extension TimedExamples {
  /// What the tutorial programs about pools print.
  @Suite struct PoolExamplesTests {
    @Test func `squares are the same serially and in processes`() throws {
      let run = try ExampleRun("squares")
      let squares = "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]"
      #expect(run.lines.count == 2)
      for start in ["serially in ", "in processes in "] {
        #expect(try run.rest(of: start).hasSuffix(" seconds: \(squares)"))
      }
    }

    @Test func `speed-up: four processes wait eight seconds in two`() throws {
      let run = try ExampleRun("speed-up")
      #expect(run.lines[0] == "[0, 1, 4, 9, 16, 25, 36, 49]")
      #expect(try run.seconds("8 items of 1 second with 4 processes: ") >= 1.9)
      // They wait, which takes no processor: 2 s, and whatever a busy machine adds.
      #expect((2...4.1).contains(try run.speedUp()))
    }

    @Test func `pool-methods: each in its way`() throws {
      let lines = try ExampleRun("pool-methods").lines
      let unordered = lines.filter { $0.hasPrefix("imapUnordered") }
      #expect(
        unordered.sorted()
          == [0, 1, 16, 4, 9].map { "imapUnordered, in any order: \($0)" })
      #expect(
        lines.filter { !$0.hasPrefix("imapUnordered") } == [
          "map: [0, 1, 4, 9, 16]", "imap: 0", "imap: 1", "imap: 4", "imap: 9", "imap: 16",
          "starmap: [2, 12, 30]", "apply: 42", "mapAsync goes on at once",
          "mapAsync: [0, 1, 4, 9, 16]", "applyAsync with a timeout: it did not come in time",
          "applyAsync without: 10", "callback: 144",
        ])
    }

    @Test func `worker-lifetime: a worker is initialized, runs two tasks and is gone`()
      throws
    {
      let lines = try ExampleRun("worker-lifetime").lines
      let greeted = Set(lines.filter { $0.hasPrefix("hello from ") }.compactMap(number))
      let visits = lines.filter { $0.hasPrefix("item ") }
      #expect(visits.count == 8)
      var counts: [Int: [Int]] = [:]
      for (item, line) in visits.enumerated() {
        // "item 0: task 1 of worker 16843, initialized by 16843"
        let numbers = line.split { !$0.isNumber }.compactMap { Int($0) }
        try #require(numbers.count == 4, "\(line)")
        #expect(numbers[0] == item)
        #expect(numbers[2] == numbers[3], "a worker that another initialized: \(line)")
        #expect(greeted.contains(numbers[2]))
        counts[numbers[2], default: []].append(numbers[1])
      }
      #expect(counts.count >= 4)
      for count in counts.values { #expect(count.sorted() == Array(1...count.count)) }
      #expect(counts.values.allSatisfy { $0.count <= 2 })
    }

    @Test func `factorials, and the error of a negative number`() throws {
      #expect(
        try ExampleRun("factorials").lines == [
          "5! = 120", "8! = 40320", "10! = 3628800", "15! = 1307674368000", "3! = 6", "6! = 720",
          "4! = 24", "0! = 1", "error: a negative number has no factorial: -3",
        ])
    }

    @Test func `million-squares are the same, and cost what they cost`() throws {
      let run = try ExampleRun("million-squares")
      #expect(try run.seconds("sequential loop: ") > 0)
      #expect(try run.rest(of: "the same results: ") == "true")
      // Whatever it is: how much less than 1 depends on the build.
      _ = try run.speedUp(from: "sequential loop: ", to: "Pool.map with ")
    }

    @Test func `parallel-sort sorts as the standard library does`() throws {
      let run = try ExampleRun("parallel-sort")
      #expect(try run.seconds("standard sort of ") > 0)
      #expect(try run.rest(of: "the same results: ") == "true")
      // A debug build merges, in one process, about as slowly as it sorts in two.
      #expect(try run.speedUp(from: "standard sort of ", to: "sorted in ") > 0.2)
    }

    @Test func `page-fetch: pages come from four servers at once`() throws {
      let run = try ExampleRun("page-fetch")
      let pages = run.lines.filter { $0.hasPrefix("/") }
      #expect(pages.count == 16)
      #expect(pages[0] == "/0: Bridges, part 0: 14 words, links to /1 /1 /1")
      #expect(pages[6] == "/6: Mountains, part 6: 62 words, links to /7 /13 /3")
      #expect(try run.seconds("16 pages sequentially: ") >= 1.6)
      #expect(try run.seconds("16 pages with 4 processes: ") >= 0.4)
      #expect(try run.rest(of: "the same results: ") == "true")
      // It waits for pages, which takes no processor.
      #expect(try run.speedUp() > 1.1)
    }

    /// The last number of a line.
    private func number(_ line: String) -> Int? {
      line.split(separator: " ").last.flatMap { Int($0) }
    }
  }
}
