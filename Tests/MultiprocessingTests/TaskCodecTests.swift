import JSON
import Testing

@testable import Multiprocessing

@Suite struct TaskCodecTests {
  struct Nested: Codable, Sendable {
    struct Item: Codable, Sendable {
      var x: Int
    }
    var items: [Item]
  }

  /// Runs a task on JSON text. Answers the result, or the failure as `code: message`.
  private func run(_ task: AnyTask, _ args: String, _ kwargs: String = "{}") -> String {
    Array(args.utf8).withUnsafeBufferPointer { args in
      Array(kwargs.utf8).withUnsafeBufferPointer { kwargs in
        var writer = JSONWriter()
        if let failure = task.run(CallArguments(args: args, kwargs: kwargs), &writer) {
          return "\(failure.code.rawValue): \(failure.message)"
        }
        return String(decoding: writer.bytes, as: UTF8.self)
      }
    }
  }

  private func identity<Value: Codable & Sendable>(_: Value.Type) -> AnyTask {
    TaskDefinition<Value, Value>("identity") { $0 }.erased
  }

  @Test func `scalars and arrays pass exactly`() {
    #expect(run(identity(Int.self), "[-9223372036854775808]") == "-9223372036854775808")
    #expect(run(identity(Double.self), "[0.1]") == "0.1")
    #expect(run(identity(String.self), "[\"a\\n\\u00e9\"]") == "\"a\\né\"")
    #expect(run(identity(Bool.self), "[true]") == "true")
    #expect(run(identity([Int].self), "[[1,2]]") == "[1,2]")
    #expect(run(identity([Double].self), "[[1.5,2.5]]") == "[1.5,2.5]")
    #expect(run(identity([String].self), "[[\"a\"]]") == "[\"a\"]")
    #expect(run(identity([Bool].self), "[[]]") == "[]")
    #expect(run(identity(JSONValueText.self), "[{\"a\":1e999}]") == "{\"a\":1e999}")
  }

  @Test func `one argument, several, named ones and none meet the task by the rules`() {
    #expect(run(identity([Int].self), "[1,2,3]") == "[1,2,3]")
    #expect(run(identity([[Int]].self), "[[1],[2]]") == "[[1],[2]]")
    #expect(
      run(identity(Nested.self), "[]", "{\"items\":[{\"x\":1}]}") == "{\"items\":[{\"x\":1}]}")
    #expect(run(identity(JSONValueText.self), "[1,2]") == "[1,2]")
    let nothing = TaskDefinition<NoArgument, NoResult>("nothing") { _ in NoResult() }.erased
    #expect(run(nothing, "[]") == "null")
    #expect(run(nothing, "[1]").hasPrefix("argument_decoding: "))
    #expect(run(nothing, "[]", "{\"a\":1}").hasPrefix("argument_decoding: "))
    #expect(run(identity(Int.self), "[]").hasPrefix("argument_decoding: "))
    #expect(run(identity(Int.self), "[1]", "{\"a\":1}").hasPrefix("argument_decoding: "))
  }

  /// In arguments and `kwargs`, and the message.
  @Test(arguments: [
    ("[3]", "{}", "the task takes 2 arguments; 1 was given"),
    ("[]", "{}", "the task takes 2 arguments; 0 were given"),
    ("[1,2,3]", "{}", "the task takes 2 arguments; 3 were given"),
    ("[[1]]", "{}", "the task takes 2 arguments; 1 was given"),
    ("[]", #"{"x":1,"y":2}"#, "the task takes its arguments by place, and not by name"),
  ])
  func `a wrong number of arguments is told as that`(
    args: String, kwargs: String, message: String
  ) {
    let sum = TaskDefinition("sum") { (x: Int, y: Int) in x + y }.erased
    #expect(run(sum, args, kwargs) == "argument_decoding: \(message)")
    #expect(run(sum, "[[3,4]]") == "7" && run(sum, "[3,4]") == "7")
  }

  @Test func `a wrong argument is told without places in JSON that nobody wrote`() {
    #expect(
      run(identity(String.self), "[5]")
        == "argument_decoding: expected a value of type string, found one of type number")
    let two =
      "argument_decoding: the task takes 1 argument; 2 were given, and as an array they "
      + "are none: expected a value of type "
    #expect(run(identity(String.self), "[5,6]") == two + "string, found one of type array")
    #expect(run(identity(Int.self), "[5,6]").hasPrefix(two))
    #expect(run(identity([Int].self), #"["a"]"#).contains("given") == false)
    #expect(
      run(identity(Int.self), "[]", #"{"n":1}"#)
        == "argument_decoding: the task takes its arguments by place, and not by name")
  }

  @Test func `a wrong type says where it is`() {
    let message = run(identity(Nested.self), "[{\"items\":[{\"x\":1},{\"x\":\"a\"}]}]")
    #expect(message.hasPrefix("argument_decoding: .items[1].x: "))
    let missing = run(identity(Nested.self), "[{\"items\":[{}]}]")
    #expect(missing == "argument_decoding: .items[0].x: missing")
    #expect(run(identity(Int.self), "[1.5]").hasPrefix("argument_decoding: "))
    #expect(run(identity(Int.self), "[9223372036854775808]").hasPrefix("argument_decoding: "))
  }

  @Test func `a result that JSON cannot express fails the call`() {
    let infinite = TaskDefinition<NoArgument, Double>("infinite") { _ in .infinity }.erased
    #expect(run(infinite, "[]") == "result_encoding: JSON has no number for inf")
    let second = TaskDefinition<NoArgument, [Double]>("second") { _ in [1, .nan] }.erased
    #expect(run(second, "[]") == "result_encoding: [1]: JSON has no number for nan")
    let nested = TaskDefinition<NoArgument, [String: [Double]]>("nested") { _ in ["a": [.nan]] }
    #expect(run(nested.erased, "[]").hasPrefix("result_encoding: .a[0]: "))
    let broken = TaskDefinition<NoArgument, JSONValueText>("broken") { _ in
      JSONValueText(jsonText: "{")
    }.erased
    #expect(run(broken, "[]").hasPrefix("result_encoding: "))
  }

  private indirect enum Nest: Codable, Sendable {
    case end
    case of(Nest)

    init(depth: Int) { self = depth == 0 ? .end : .of(Nest(depth: depth - 1)) }

    init(from decoder: any Decoder) throws {
      var container = try decoder.unkeyedContainer()
      self = container.isAtEnd ? .end : .of(try container.decode(Nest.self))
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.unkeyedContainer()
      if case .of(let nest) = self { try container.encode(nest) }
    }
  }

  private func brackets(_ depth: Int) -> String {
    String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
  }

  /// The journal takes 64 levels of a result; one with more could not be read after a restart.
  @Test func `a result as deep as JSON may be passes and a deeper one fails the call`() {
    let nested = TaskDefinition<Int, Nest>("nested") { Nest(depth: $0) }.erased
    #expect(run(nested, "[63]") == brackets(64))
    #expect(run(nested, "[64]").hasPrefix("result_encoding: too many arrays and objects"))
    #expect(run(nested, "[300]").hasPrefix("result_encoding: "))
    let text = TaskDefinition<Int, JSONValueText>("text") { depth in
      JSONValueText(jsonText: brackets(depth))
    }.erased
    #expect(run(text, "[64]") == brackets(64))
    #expect(run(text, "[65]").hasPrefix("result_encoding: "))
  }

  @Test func `arguments as deep as the service takes them reach the task`() {
    let args = brackets(63)
    #expect(run(identity(JSONValueText.self), args) == String(args.dropFirst().dropLast()))
    #expect(run(identity(Nest.self), args) == String(args.dropFirst().dropLast()))
    let kwargs = "{\"a\":\(brackets(62))}"
    #expect(run(identity([String: Nest].self), "[]", kwargs) == kwargs)
  }

  @Test func `what a task throws is told with its type`() {
    struct Refusal: Error, CustomStringConvertible {
      var description: String { "not \"today\"" }
    }
    let failure = TaskFailure(raised: Refusal())
    var writer = JSONWriter()
    failure.write(to: &writer)
    #expect(
      String(decoding: writer.bytes, as: UTF8.self)
        == #"{"code":"raised","type":"Refusal","message":"not \"today\""}"#)
  }

  @Test func `tasks of one name cannot be registered twice`() async {
    await #expect(processExitsWith: .failure) {
      let task = TaskDefinition<Int, Int>("twice") { $0 }.erased
      _ = TaskRegistry([task, task])
    }
  }
}
