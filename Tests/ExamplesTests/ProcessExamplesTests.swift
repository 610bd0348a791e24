import TestSupport
import Testing

/// What the tutorial programs about processes print.
@Suite struct ProcessExamplesTests {
  /// The lines that a program prints, which must end well within a minute.
  private func lines(of name: String) throws -> [String] {
    let run = try TestProgram(name, [])
    let output = try #require(run.readToEnd(within: 60), "it does not end")
    #expect(run.wait() == 0)
    return output.split(separator: "\n").map(String.init)
  }

  /// The last number of a line.
  private func number(_ line: String) -> Int? {
    line.split(separator: " ").last.flatMap { Int($0) }
  }

  @Test func `letters come after Done: the end of main waits for them`() throws {
    let lines = try lines(of: "letters")
    #expect(lines.prefix(2) == ["Starting", "Done"])
    #expect(lines.dropFirst(2).sorted() == ["A", "B", "C"])
  }

  @Test func `process-ids tells main's, and two others whose parent that is`() throws {
    let lines = try lines(of: "process-ids")
    let main = try #require(lines.first { $0.hasPrefix("main: MainProcess, process ") })
    let started = lines.filter { $0.hasPrefix("started ") }
    let workers = lines.filter { $0.hasPrefix("worker ") }
    #expect(Set([main] + started).compactMap(number).count == 3)
    #expect(workers.count == 2)
    for worker in workers { #expect(number(worker) == number(main)) }
    for (index, line) in started.enumerated() {
      let own = try #require(number(line))
      #expect(workers.contains { $0.contains(": Process-\(index + 1), process \(own), ") })
    }
    #expect(lines.last == "both have ended")
  }

  @Test func `is-alive before, during, after, and when ended before its time`() throws {
    #expect(
      try lines(of: "is-alive") == [
        "before: alive false, exit code none", "during: alive true, exit code none",
        "after: alive false, exit code 0", "a long one: joined within 0.1 s false",
        "terminated: alive false, exit code -15",
      ])
  }

  @Test func `start-methods has one parent and three children`() throws {
    let lines = try lines(of: "start-methods")
    let main = try #require(number(lines[0]))
    #expect(lines.count == 4)
    for (line, method) in zip(lines.dropFirst(), ["forkserver", "spawn", "fork"]) {
      #expect(line.hasPrefix("\(method): parent \(main), own "))
    }
    #expect(Set(lines.compactMap(number)).count == 4)
  }

  @Test func `contexts are used side by side, and set nothing`() throws {
    #expect(
      try lines(of: "contexts") == [
        "first was started by fork", "second was started by spawn",
        "the program's own method is forkserver",
      ])
  }
}
