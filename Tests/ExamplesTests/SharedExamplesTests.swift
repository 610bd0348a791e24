import TestSupport
import Testing

/// What the tutorial programs about shared state print.
@Suite struct SharedExamplesTests {
  @Test(arguments: [
    ("shared-counter", "4 x 100 = 400\n"),
    ("bank", "before: 1000.00\nafter 10,000 deposits and 10,000 withdrawals: 1000.00\n"),
    ("value-and-array", "3.1415927\n[0, -1, -2, -3, -4, -5, -6, -7, -8, -9]\n"),
  ])
  func prints(_ name: String, _ expected: String) throws {
    let run = try TestProgram(name, [])
    #expect(run.readToEnd(within: 60) == expected)
    #expect(run.wait() == 0)
  }
}
