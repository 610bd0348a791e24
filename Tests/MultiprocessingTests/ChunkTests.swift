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
    #expect(run(even, "[[2],4]", star: true).failure?.item == 1)
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
}
