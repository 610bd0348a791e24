/// The argument of a task that takes several: a JSON array of them, in their order.
///
///     let product = TaskDefinition("product") { (x: Int, y: Int) in x * y }
///     try pool.apply(product, 2, 3)
///     try pool.starmap(product, [(2, 3), (4, 5)])
public struct Arguments<each Value: Codable & Sendable>: Codable, Sendable, ArgumentList {
  /// The values, in their order.
  public let values: (repeat each Value)

  /// Puts values together.
  public init(_ values: repeat each Value) {
    self.values = (repeat each values)
  }

  /// Reads an array of exactly as many elements.
  public init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    // Before: the compiler (6.3) cannot throw once a pack is initialised.
    if let given = container.count, given != Self.count {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(
          codingPath: decoder.codingPath, debugDescription: Self.mismatch(given: given)))
    }
    values = (repeat try container.decode((each Value).self))
  }

  /// Writes an array.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    repeat try container.encode(each values)
  }

  /// How many there are.
  static var count: Int {
    var count = 0
    func add<Other>(_: Other.Type) { count += 1 }
    repeat add((each Value).self)
    return count
  }

  /// Calls `body` with the values.
  func call<Output>(_ body: (repeat each Value) throws -> Output) rethrows -> Output {
    try body(repeat each values)
  }
}

/// An `Arguments` of whatever types, for who only counts them.
protocol ArgumentList: SendableMetatype {
  /// How many there are.
  static var count: Int { get }
}

extension ArgumentList {
  /// What is said of another number of them.
  static func mismatch(given: Int) -> String {
    "the task takes \(count) arguments; \(given) \(given == 1 ? "was" : "were") given"
  }
}
