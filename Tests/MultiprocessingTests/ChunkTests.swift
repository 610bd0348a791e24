import JSON
import Testing

@testable import Multiprocessing

/// Chunks of which each item counts for itself.
@Suite struct ChunkTests {
  private struct Odd: Error, CustomStringConvertible {
    var description: String { "odd" }
  }

  /// A number that writes its own text, with a space in it.
  private struct Own: JSONTextConvertible, Codable {
    var number: Int
    init(_ number: Int) { self.number = number }
    init(jsonText: String) throws {
      guard let number = Int(jsonText) else { throw Odd() }
      self.number = number
    }
    var jsonText: String { " \(number)" }
  }

  /// A whole number whose own text tells by which way it went: that of an integer has no sign.
  private struct Signed: JSONIntegerConvertible, Codable {
    var number: Int
    var isFromText: Bool
    init(jsonText: String) throws {
      guard let number = Double(jsonText) else { throw Odd() }
      self.number = Int(number)
      isFromText = true
    }
    init?(jsonInteger: Int) {
      guard jsonInteger != 17 else { return nil }
      number = jsonInteger
      isFromText = false
    }
    var jsonText: String { isFromText ? "\"text \(number)\"" : "\(number)" }
    var jsonInteger: Int? { isFromText ? nil : number }
  }

  private func run<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>, _ json: String, star: Bool = false
  ) -> (values: String, failure: ChunkFailure?) {
    Array(json.utf8).withUnsafeBufferPointer { bytes in
      var writer = JSONWriter()
      let flags: ChunkFlags = star ? [.star, .itemByItem] : .itemByItem
      let failure = task.erased.runChunk(bytes, flags, &writer)
      return (String(decoding: writer.bytes, as: UTF8.self), failure)
    }
  }

  private let even = TaskDefinition<Int, Int>("even") { number in
    if number % 2 == 1 { throw Odd() }
    return number * 10
  }

  @Test func `the values before the item that fails come with it`() {
    #expect(run(even, "[2,4]").values == "[20,40]")
    let raised = run(even, "[2,4,5,6]")
    #expect(raised.values == "[20,40]")
    #expect(raised.failure?.item == 2)
    #expect(raised.failure?.failure.code == .raised)
    #expect(run(even, "[1]").values == "[]")
  }

  @Test func `an argument that does not decode is that of its item`() {
    let wrong = run(even, "[2,\"x\",4]")
    #expect(wrong.values == "[20]")
    #expect(wrong.failure?.item == 1)
    #expect(wrong.failure?.failure.code == .argumentDecoding)
  }

  @Test func `a result that does not encode is that of its item`() {
    let half = TaskDefinition<Int, Double>("half") { $0 == 3 ? .nan : Double($0) / 2 }
    let wrong = run(half, "[1,2,3,4]")
    #expect(wrong.values == "[0.5,1.0]" || wrong.values == "[0.5,1]")
    #expect(wrong.failure?.item == 2)
    #expect(wrong.failure?.failure.code == .resultEncoding)
  }

  @Test func `items that are arrays of arguments`() {
    let sum = TaskDefinition<Arguments<Int, Int>, Int>("sum") { (a: Int, b: Int) in a + b }
    #expect(run(sum, "[[1,2],[3,4]]", star: true).values == "[3,7]")
    #expect(run(even, "[[2],[4]]", star: true).values == "[20,40]")
    for item in ["4", "55555", "\"12345\"", "{\"1\":2,\"3\":4}", "null", "true", "1.5"] {
      let failure = run(even, "[[2],\(item)]", star: true).failure
      #expect(failure?.item == 1)
      #expect(failure?.failure.code == .argumentDecoding)
      #expect(failure?.failure.message.contains("one of type array should stand") == true)
    }
  }

  @Test func `types that write their own text, and none`() {
    let own = TaskDefinition<Own, Own>("own") { Own($0.number * 2) }
    #expect(run(own, "[1,2,3]").values == "[2,4,6]")
    #expect(run(own, "[1,\"x\"]").failure?.item == 1)
    let made = TaskDefinition<Int, Own>("made") { Own($0) }
    #expect(run(made, "[1,2]").values == "[1,2]")
    let nothing = TaskDefinition<Int, NoResult>("nothing") { _ in NoResult() }
    #expect(run(nothing, "[1,2]").values == "[null,null]")
  }

  @Test func `integers that are all short, and lists in which one is not`() {
    let same = TaskDefinition<Signed, Signed>("same") { number in
      if number.number == 13 { throw Odd() }
      return number
    }
    #expect(run(same, "[]").values == "[]")
    #expect(
      run(same, "[0,-7,9223372036854775807,-9223372036854775808]").values
        == "[0,-7,9223372036854775807,-9223372036854775808]")
    #expect(run(same, "[1,13,2]").values == "[1]")
    #expect(run(same, "[1,13,2]").failure?.item == 1)
    // One that is no `Int` is read as its text, and so are those beside it.
    #expect(run(same, "[1,2e3]").values == "[\"text 1\",\"text 2000\"]")
    // So is one that is told nothing by its integer.
    #expect(run(same, "[1,17]").values == "[\"text 1\",\"text 17\"]")
    #expect(run(same, "[1,\"x\",2]").values == "[\"text 1\"]")
    #expect(run(same, "[1,\"x\",2]").failure?.item == 1)
    // Results of which one has no integer are written one by one.
    let mixed = TaskDefinition<Signed, Signed>("mixed") { number in
      number.number == 2 ? try Signed(jsonText: "2") : number
    }
    #expect(run(mixed, "[1,2,3]").values == "[1,\"text 2\",3]")
    #expect(run(same, "[[4],[5]]", star: true).values == "[\"text 4\",\"text 5\"]")
  }

  @Test func `what only a program with the same tasks can use is told to no other`() throws {
    let failure = try #require(run(even, "[1]").failure)
    let whole = ChunkFailure(.tooLarge(9, max: 8), "even", even.erased.source)
    for (failure, results) in [(failure, ""), (whole, ""), (failure, "[20]")] {
      var (own, other) = (JSONWriter(), JSONWriter())
      failure.write(to: &own)
      failure.write(to: &other, resultsBefore: Array(results.utf8))
      #expect(String(decoding: own.bytes, as: UTF8.self).contains("\"traceback\":"))
      let told = String(decoding: other.bytes, as: UTF8.self)
      #expect(!told.contains("\"traceback\":"))
      #expect(told.contains("\"values\":[20]") == !results.isEmpty)
    }
  }
}
