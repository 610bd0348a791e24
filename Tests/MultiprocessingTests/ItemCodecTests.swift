import JSON
import Testing

@testable import Multiprocessing

/// A type's own way reads and writes what `Codable` or its text would.
@Suite struct ItemCodecTests {
  /// A number by its text, of any length.
  struct TextNumber: JSONTextConvertible, Codable, Sendable {
    var jsonText: String

    init(jsonText: String) throws {
      guard let first = jsonText.first, first == "-" || first.isNumber else {
        throw TextError(text: jsonText)
      }
      self.jsonText = jsonText
    }
  }

  /// The same, which says of integers that they are some.
  struct IntegerNumber: JSONIntegerConvertible, Codable, Sendable {
    var number: TextNumber

    init(jsonText: String) throws { number = try TextNumber(jsonText: jsonText) }
    init?(jsonInteger: Int) { try? self.init(jsonText: "\(jsonInteger)") }
    var jsonText: String { number.jsonText }
    var jsonInteger: Int? { Int(jsonText).flatMap { "\($0)" == jsonText ? $0 : nil } }
  }

  struct TextError: Error, CustomStringConvertible {
    var text: String
    var description: String { "no number: \(text)" }
  }

  /// What a text says is up to its type, and so is what is no JSON.
  struct Words: JSONTextConvertible, Codable, Sendable {
    var jsonText: String
  }

  // reason: it has no properties, and only a class that nobody can inherit may say so itself.
  class Base: Codable, @unchecked Sendable {}

  // reason: what it inherits from has it.
  final class Derived: Base, JSONTextConvertible, @unchecked Sendable {
    override init() { super.init() }
    required init(jsonText: String) throws { super.init() }
    required init(from decoder: any Decoder) throws { try super.init(from: decoder) }
    var jsonText: String { "\"derived\"" }
  }

  struct Point: Codable, Sendable {
    var x: Int
    var y: Double?
  }

  private func run(_ task: AnyTask, _ args: String, _ kwargs: String = "{}") -> String {
    Array(args.utf8).withUnsafeBufferPointer { args in
      Array(kwargs.utf8).withUnsafeBufferPointer { kwargs in
        var writer = JSONWriter()
        if let failure = task.run(CallArguments(args: args, kwargs: kwargs), &writer) {
          return "\(failure.code.rawValue) \(failure.type): \(failure.message)"
        }
        return String(decoding: writer.bytes, as: UTF8.self)
      }
    }
  }

  private func same<Value: Codable & Sendable>(
    _: Value.Type, _ args: String, _ kwargs: String = "{}"
  ) -> String {
    run(TaskDefinition<Value, Value>("same") { $0 }.erased, args, kwargs)
  }

  private func result<Value: Codable & Sendable>(_ value: Value) -> String {
    run(TaskDefinition<NoArgument, Value>("result") { _ in value }.erased, "[]")
  }

  @Test(arguments: [
    "0", "-0", "7", "-7", "10", "99999999", "100000000", "-123456789012345678",
    "9223372036854775807", "-9223372036854775808", "9223372036854775808",
    "-9223372036854775809", "123456789012345678901234567890", "1.50", "-1e3", "1E+400", "-0.0",
  ])
  func `an integer is written as its text would be`(number: String) {
    #expect(same(TextNumber.self, "[\(number)]") == number)
    #expect(same(IntegerNumber.self, "[\(number)]") == number)
    #expect(result(try? IntegerNumber(jsonText: number)) == number)
  }

  @Test func `what a text's type throws is told in its words`() {
    for text in ["\"a\"", "[1]", "{\"a\":1}", "null", "true"] {
      let refusal = "argument_decoding DecodingError: no number: \(text)"
      #expect(same(TextNumber.self, "[\(text)]") == refusal)
      #expect(same(IntegerNumber.self, "[\(text)]") == refusal)
    }
    #expect(
      same(IntegerNumber.self, "[1,2]")
        == "argument_decoding DecodingError: the task takes 1 argument; 2 were given, and as an "
        + "array they are none: no number: [1,2]")
    #expect(
      same(IntegerNumber.self, "[]") == "argument_decoding DecodingError: an argument is missing")
    #expect(
      same(IntegerNumber.self, "[]", #"{"n":1}"#)
        == #"argument_decoding DecodingError: no number: {"n":1}"#)
    #expect(
      same(IntegerNumber.self, "[1]", #"{"n":1}"#)
        == "argument_decoding DecodingError: a task takes its arguments by place or by name, "
        + "not both")
  }

  @Test func `a text is minified or refused before it is a result`() {
    #expect(result(Words(jsonText: " { \"a\" : [ 1 , 2 ] } ")) == "{\"a\":[1,2]}")
    #expect(result(Words(jsonText: "1 2")).hasPrefix("result_encoding JSONError: "))
    #expect(result(Words(jsonText: "")).hasPrefix("result_encoding JSONError: "))
    #expect(result(Words(jsonText: "01")).hasPrefix("result_encoding JSONError: "))
  }

  @Test func `what an optional holds and a class stands for is written in its own way`() {
    #expect(result(Optional(-5)) == "-5" && result(Optional<Int>.none) == "null")
    #expect(result(Optional(Optional("a"))) == "\"a\"" && result([1, nil]) == "[1,null]")
    #expect(result(Optional(NoResult())) == "null" && result(NoResult()) == "null")
    #expect(result(Optional(JSONValueText(jsonText: "[1]"))) == "[1]")
    #expect(result(Base()) == "{}" && result(Derived() as Base) == "\"derived\"")
    #expect(
      result(Optional(Double.nan)) == "result_encoding EncodingError: JSON has no number for nan")
  }

  @Test func `values of every kind pass as they did`() {
    #expect(same(Int.self, "[-42]") == "-42" && same(UInt8.self, "[255]") == "255")
    #expect(same(Double.self, "[1]") == "1.0" && same(Double.self, "[1e-7]") == "1e-07")
    #expect(same(Optional<Int>.self, "[null]") == "null")
    #expect(same(Optional<Int>.self, "[3]") == "3")
    #expect(same([String].self, #"[["a","é\n"]]"#) == #"["a","é\n"]"#)
    #expect(same([[Int]].self, "[[[1],[]]]") == "[[1],[]]")
    #expect(same(Point.self, #"[{"x":1}]"#) == #"{"x":1}"#)
    #expect(same(Point.self, "[]", #"{"x":1}"#) == #"{"x":1}"#)
    #expect(same(JSONValueText.self, #"[{"a":",]}\""}]"#) == #"{"a":",]}\""}"#)
    #expect(same(String.self, #"["a,b]\\"]"#) == #""a,b]\\""#)
    #expect(same(Optional<NoArgument>.self, "[]") == "{}" && same(NoArgument.self, "[]") == "{}")
  }

  @Test func `wrong types and counts are told in their words`() {
    let wrong = "argument_decoding DecodingError: "
    #expect(
      same(Int.self, #"["a"]"#) == wrong
        + "expected a value of type number, found one of type string")
    #expect(
      same(Int.self, "[1.0]") == wrong
        + "expected a whole number, without a fraction and an exponent, found 1.0")
    #expect(same(Int.self, "[]") == wrong + "an argument is missing")
    #expect(
      same(Arguments<Int, Int>.self, "[]", #"{"x":1}"#) == wrong
        + "the task takes its arguments by place, and not by name")
    #expect(
      same(Arguments<Int, Int>.self, "[1]") == wrong + "the task takes 2 arguments; 1 was given")
    #expect(
      same(Arguments<Int, Int>.self, "[]") == wrong + "the task takes 2 arguments; 0 were given")
    #expect(same(Arguments<Int, Int>.self, "[1,2]") == "[1,2]")
    #expect(same(Arguments<Int, Int>.self, "[[1,2]]") == "[1,2]")
    #expect(
      same(NoArgument.self, "[1]") == wrong + "the task takes no argument")
  }
}
