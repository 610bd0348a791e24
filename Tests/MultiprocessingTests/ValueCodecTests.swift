import Testing

@testable import Multiprocessing

@Suite struct ValueCodecTests {
  private func pass<Value: Codable, Other: Codable>(
    _ value: Value, as type: Other.Type
  ) throws -> Other {
    try withRawBytes(of: try ValueCodec.encode(value)) { try ValueCodec.decode(type, from: $0) }
  }

  private func same<Value: Codable & Equatable>(_ value: Value) throws -> Bool {
    try pass(value, as: Value.self) == value
  }

  enum Choice: Codable, Equatable {
    case none
    case some(Int, name: String)
  }

  struct Nested: Codable, Equatable {
    var choice: Choice
    var optional: Double?
    var list: [String: [Float]]
  }

  @Test func `values of every kind arrive as they were`() throws {
    #expect(try same(Int.min) && same(UInt64.max) && same(Int8(-5)) && same(UInt8(200)))
    #expect(try same("") && same("é\u{0}\"\\") && same(true) && same([true, false]))
    #expect(try same(0.1) && same(Float(0.1)) && same(-0.0))
    #expect(try same([Int]()) && same([1, -2]) && same([UInt8]([0, 255])) && same(["a", "\n"]))
    #expect(try same([Float]([1.5])) && same([[1], [2, 3]]) && same(["a": 1]))
    #expect(try same(Int?.none) && same(Int?.some(3)) && same([Int?]([1, nil])))
    #expect(try same(Choice.some(1, name: "n")) && same(Choice.none))
    #expect(try same(Nested(choice: .none, optional: 1.5, list: ["a": [1, 2]])))
    #expect(try same(JSONValueText(jsonText: "{\"a\":1e999}")) && same(NoResult()))
  }

  @Test func `numbers that are not finite arrive as they were, wherever they stand`() throws {
    #expect(try same(Double.infinity) && same([-Double.infinity, 1]))
    #expect(try pass(Double.nan, as: Double.self).isNaN)
    #expect(try pass(Double?.some(.nan), as: Double?.self)?.isNaN == true)
    #expect(try same(Nested(choice: .none, optional: -.infinity, list: ["a": [.infinity]])))
    #expect(try pass([Double.nan], as: [Float].self)[0].isNaN)
    #expect(try same(["a": "nan"]))
  }

  @Test func `a value can be read as any type that it fits`() throws {
    #expect(try pass([1, 2], as: [Double].self) == [1, 2])
    #expect(try pass(7, as: UInt8.self) == 7)
    #expect(try pass([UInt8]([1]), as: [Int?].self) == [1])
    #expect(try pass(1, as: Int?.self) == 1)
    #expect(try pass("a", as: String?.self) == "a")
    #expect(try pass(NoResult(), as: [String: Int].self) == [:])
  }

  @Test func `what does not fit is an error in words`() throws {
    #expect(throws: ValueCodec.Failure.self) { try pass(300, as: UInt8.self) }
    #expect(throws: ValueCodec.Failure.self) { try pass("a", as: Int.self) }
    #expect(throws: ValueCodec.Failure.self) { try pass(1.5, as: Int.self) }
    #expect(throws: ValueCodec.Failure.self) { try pass(["a": 1], as: Nested.self) }
    for bytes in [[], [200], [1, 2], [0x81, 1]] as [[UInt8]] {
      #expect(throws: ValueCodec.Failure.self) {
        try withRawBytes(of: bytes) { try ValueCodec.decode([Int].self, from: $0) }
      }
    }
  }

  indirect enum Deep: Codable {
    case end
    case next(Deep)
  }

  @Test func `a value that is too deep is refused where it is encoded`() throws {
    // Two levels for each; beyond 512 Foundation itself refuses.
    for (count, isTooDeep) in [(248, false), (252, true), (300, true)] {
      var value = Deep.end
      for _ in 0..<count { value = .next(value) }
      let error = thrown { () throws(ValueCodec.Failure) in _ = try ValueCodec.encode(value) }
      #expect((error?.text.contains("at most 500") == true) == isTooDeep, "\(error?.text ?? "")")
    }
  }

  @Test func `an item that is bound to a descriptor is told how to travel`() throws {
    let (left, _) = try Pipe()
    let error = thrown { () throws(ValueCodec.Failure) in _ = try ValueCodec.encode([left]) }
    #expect(error?.text.contains("shared through inheritance") == true, "\(error?.text ?? "none")")
  }
}
