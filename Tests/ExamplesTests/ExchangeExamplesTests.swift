import TestSupport
import Testing

/// What the tutorial programs about queues and pipes print.
@Suite struct ExchangeExamplesTests {
  private static let consumed = (1...10).map { "consumed \($0)\n" }.joined()

  @Test(arguments: [
    ("queue", "1\n4\n9\n16\n25\n"),
    ("pipe", (1...5).map { "\($0) x \($0) = \($0 * $0)\n" }.joined()),
    (
      "pipe-children",
      ["hello", "from", "the", "other", "child"].map { "received: \($0)\n" }.joined()
        + "nobody sends any more\n"
    ),
    ("producer-consumer", consumed + "the end; the sum is 55\n"),
  ])
  func prints(_ name: String, _ expected: String) throws {
    let run = try TestProgram(name, [])
    #expect(run.readToEnd(within: 60) == expected)
    #expect(run.wait() == 0)
  }
}
