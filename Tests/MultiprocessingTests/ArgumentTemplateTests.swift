import JSON
import Testing

@testable import Multiprocessing

@Suite struct ArgumentTemplateTests {
  private func arguments(
    _ list: [String], _ args: String = "", _ kwargs: String = ""
  ) throws -> [String] {
    try ArgumentTemplate(list).arguments(args: args, kwargs: kwargs)
  }

  private func mismatch(
    _ list: [String], _ args: String = "", _ kwargs: String = ""
  ) throws -> ArgumentMismatch? {
    let template = try ArgumentTemplate(list)
    do throws(ArgumentMismatch) {
      _ = try template.arguments(args: args, kwargs: kwargs)
      return nil
    } catch {
      return error
    }
  }

  private func error(_ list: [String]) -> ArgumentTemplateError? {
    do throws(ArgumentTemplateError) {
      _ = try ArgumentTemplate(list)
      return nil
    } catch {
      return error
    }
  }

  @Test func `placeholders are replaced, wherever they stand and as often`() throws {
    let list = ["convert", "{0}", "-resize", "{width}x{width}{0}", "a{1}b", "{_x-1.y}"]
    #expect(
      try arguments(list, #"["in.png", 2]"#, #"{"_x-1.y": "y", "width": 30}"#)
        == ["convert", "in.png", "-resize", "30x30in.png", "a2b", "y"])
  }

  @Test func `each entry stays one argument, whatever the values hold`() throws {
    let hostile = #"["a b; rm -rf / $(x) `y` 'z' \"q\" * ~ \n {1} {name} {{", ""]"#
    #expect(
      try arguments(["p", "{0}", "{1}", "x{1}"], hostile)
        == ["p", "a b; rm -rf / $(x) `y` 'z' \"q\" * ~ \n {1} {name} {{", "", "x"])
  }

  @Test(arguments: [
    (#""a""#, "a"), (#""\u00e4\n\"""#, "ä\n\""), ("1.50", "1.50"), ("1e400", "1e400"),
    ("123456789012345678901234567890", "123456789012345678901234567890"), ("true", "true"),
    ("false", "false"), ("null", "null"), ("[1, \"a\" , { } ]", #"[1,"a",{}]"#),
    ("{ \"a\" : [ ] }", #"{"a":[]}"#), (#""""#, ""),
  ])
  func `a value becomes text`(json: String, text: String) throws {
    #expect(try arguments(["p", "{0}"], "[\(json)]") == ["p", text])
    #expect(try arguments(["p", "{n}"], "[]", "{\"n\": \(json)}") == ["p", text])
  }

  @Test func `doubled braces are braces`() throws {
    #expect(try arguments(["{{}}", "a{{0}}b", "{{{0}}}"], "[7]") == ["{}", "a{0}b", "{7}"])
  }

  @Test func `a template without placeholders takes anything that is on stdin`() throws {
    let template = try ArgumentTemplate(["p", "-x", "{{0}}"], isOnInput: true)
    #expect(!template.hasPlaceholders && template.takesAny)
    #expect(
      try template.arguments(args: "[1,2]", kwargs: #"{"a":"\u0000"}"#) == ["p", "-x", "{0}"])
    #expect(try !ArgumentTemplate(["p", "{0}"], isOnInput: true).takesAny)
  }

  @Test func `a template without placeholders takes nothing that is nowhere else`() throws {
    #expect(try !ArgumentTemplate(["p", "-x"]).takesAny)
    #expect(try arguments(["p", "-x"]) == ["p", "-x"])
    #expect(try arguments(["p", "-x"], "[]", "{}") == ["p", "-x"])
    #expect(try mismatch(["p", "-x"], "[1]") == .surplusPositional(0))
    #expect(try mismatch(["p"], "[]", #"{"a":1}"#) == .unknownName("a"))
  }

  @Test func `it tells what it takes`() throws {
    let template = try ArgumentTemplate(["p", "{b}{2}", "{a}{b}"])
    #expect(template.positionalCount == 3)
    #expect(template.names == ["b", "a"])
    #expect(template.hasPlaceholders)
    #expect(template != (try ArgumentTemplate(["p", "{a}{2}", "{b}{a}"])))
  }

  @Test func `what is missing and what is too much is named`() throws {
    #expect(try mismatch(["p", "{1}"], "[1]") == .missingPositional(1))
    #expect(try mismatch(["p", "{1}"]) == .missingPositional(0))
    // The first is not used, and is no surplus.
    #expect(try mismatch(["p", "{1}"], "[1,2]") == nil)
    #expect(try mismatch(["p", "{0}"], "[1,2,3]") == .surplusPositional(1))
    #expect(try mismatch(["p", "{a}"], "[1]", #"{"a":1}"#) == .surplusPositional(0))
    #expect(try mismatch(["p", "{a}{b}"], "[]", #"{"b":1}"#) == .missingName("a"))
    #expect(try mismatch(["p", "{a}"], "", "") == .missingName("a"))
    #expect(try mismatch(["p", "{a}"], "[]", #"{"a":1,"b":[2]}"#) == .unknownName("b"))
    #expect(try mismatch(["p", "{0}"], "[1]", #"{"a":1}"#) == .unknownName("a"))
    #expect(try mismatch(["p", "{a}"], "[]", #"{"a":1,"\u0061":2}"#) == .repeatedName("a"))
  }

  @Test func `a NUL is refused`() throws {
    #expect(try mismatch(["p", "{1}"], #"["", "a\u0000b"]"#) == .positionalWithNUL(1))
    #expect(try mismatch(["p", "{a}"], "[]", #"{"a":"\u0000"}"#) == .namedWithNUL("a"))
    // In a nested string it stays an escape.
    #expect(try arguments(["p", "{0}"], #"[["\u0000"]]"#) == ["p", #"["\u0000"]"#])
  }

  @Test func `arguments that are no JSON are refused`() throws {
    for args in ["{}", "[1", "1", "[1] 2", "[1,]"] {
      guard case .malformedArgs = try mismatch(["p", "{0}"], args) else {
        Issue.record("\(args) passed")
        continue
      }
    }
    for kwargs in ["[]", "{", "{\"a\":1}x", "{\"a\"}"] {
      guard case .malformedKwargs = try mismatch(["p", "{a}"], "[]", kwargs) else {
        Issue.record("\(kwargs) passed")
        continue
      }
    }
  }

  @Test func `a mismatch points to its place`() {
    #expect(ArgumentMismatch.missingPositional(2).pointer == "/args/2")
    #expect(ArgumentMismatch.unknownName("a/b~c").pointer == "/kwargs/a~1b~0c")
    #expect("\(ArgumentMismatch.missingName("width"))" == "the argument \"width\" is missing")
  }

  @Test(
    arguments: [
      ([], .noProgram, 0, 0), (["", "x"], .noProgram, 0, 0),
      (["{0}"], .placeholderInProgram, 0, 0), (["a{n}"], .placeholderInProgram, 0, 1),
      (["p", "ab{0"], .unclosedBrace, 1, 2), (["p", "{"], .unclosedBrace, 1, 0),
      (["p", "x", "ab}c"], .strayBrace, 2, 2), (["p", "{0}}"], .strayBrace, 1, 3),
      (["p", "{}"], .invalidPlaceholder(""), 1, 0),
      (["p", "{01}"], .invalidPlaceholder("01"), 1, 0),
      (["p", "{-1}"], .invalidPlaceholder("-1"), 1, 0),
      (["p", "{a b}"], .invalidPlaceholder("a b"), 1, 0),
      (["p", "{1a}"], .invalidPlaceholder("1a"), 1, 0),
      (["p", "ä{ä}"], .invalidPlaceholder("ä"), 1, 1),
      (["p", "{a{b}"], .invalidPlaceholder("a{b"), 1, 0),
      (["p", "{1000}"], .indexTooLarge("1000"), 1, 0),
      (["p", "{99999999999999999999}"], .indexTooLarge("99999999999999999999"), 1, 0),
      (["p", "a\0"], .containsNUL, 1, 1),
    ] as [([String], ArgumentTemplateError.Reason, Int, Int)])
  func `a faulty template is refused with its place`(
    list: [String], reason: ArgumentTemplateError.Reason, entry: Int, offset: Int
  ) {
    #expect(error(list) == ArgumentTemplateError(reason: reason, entry: entry, offset: offset))
  }

  @Test func `a fault is said in words`() {
    #expect(
      error(["p", "ab{0"]).map { "\($0)" }
        == "entry 2, character 3: \"{\" is not closed by \"}\"; a brace as text is written \"{{\"")
  }
}
