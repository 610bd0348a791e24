import Testing

@testable import JobServer

@Suite struct CommandLineArgumentsTests {
  @Test(arguments: [
    (["serve", "--processes", "-3"], ["serve", "--processes=-3"]),
    (["serve", "--data", "-3", "-4"], ["serve", "--data=-3", "-4"]),
    (["serve", "--data=x", "-3"], ["serve", "--data=x", "-3"]),
    (
      ["serve", "-h", "--insecure", "--data", "-x"], ["serve", "-h", "--insecure", "--data", "-x"]
    ),
    (["check", "--", "-3"], ["check", "--", "-3"]), (["-3"], ["-3"]), ([], []),
  ])
  func `a negative number is the value of its flag`(given: [String], prepared: [String]) {
    #expect(CommandLineArguments.prepared(given) == prepared)
  }

  @Test func `a command that there is not is told with those that there are`() throws {
    let why = try #require(CommandLineArguments.whyUnknown(["chek", "data"]))
    #expect(why.contains("'chek' (did you mean check?)"))
    #expect(why.hasSuffix("the commands are: serve, check, snapshot"))
    for known in ["serve", "check", "snapshot", "help", "--help", "--version"] {
      #expect(CommandLineArguments.whyUnknown([known]) == nil)
    }
    #expect(CommandLineArguments.whyUnknown([]) == nil)
  }
}
