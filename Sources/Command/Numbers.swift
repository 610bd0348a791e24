import BigInt
import Multiprocessing

/// A whole number of any size, as JSON writes it: digits. Small ones cost no more than an `Int`.
enum Integer: JSONIntegerConvertible, Codable, Sendable {
  case small(Int)
  indirect case big(BigInt)

  init(jsonText: String) throws {
    if let value = Int(jsonText) {
      self = .small(value)
    } else if let value = BigInt(jsonText) {
      self = .big(value)
    } else {
      throw TaskError("expected a whole number, found \(jsonText.prefix(50))")
    }
  }

  var jsonText: String {
    switch self {
    case .small(let value): String(value)
    case .big(let value): value.description
    }
  }

  init(jsonInteger: Int) { self = .small(jsonInteger) }

  var jsonInteger: Int? {
    if case .small(let value) = self { value } else { nil }
  }

  /// The number times itself.
  var squared: Integer {
    switch self {
    case .small(let value):
      let (product, overflow) = value.multipliedReportingOverflow(by: value)
      return overflow ? .big(BigInt(value) * BigInt(value)) : .small(product)
    case .big(let value): return .big(value * value)
    }
  }
}

/// A list of numbers. Whole numbers stay whole as long as all of them are.
enum NumberList: JSONTextConvertible, Codable, Sendable {
  case integers([Int])
  case doubles([Double])

  /// Reads a minified JSON array of numbers.
  init(jsonText: String) throws {
    guard jsonText.hasPrefix("["), jsonText.hasSuffix("]") else {
      throw TaskError("expected a list of numbers, found \(jsonText.prefix(50))")
    }
    let items = jsonText.dropFirst().dropLast().split(separator: ",")
    var integers: [Int] = []
    integers.reserveCapacity(items.count)
    for item in items {
      guard let value = Int(item) else { break }
      integers.append(value)
    }
    if integers.count == items.count {
      self = .integers(integers)
      return
    }
    self = .doubles(
      try items.enumerated().map { index, item in
        guard let value = Double(item), value.isFinite else {
          throw TaskError("item \(index): expected a number, found \(item.prefix(50))")
        }
        return value
      })
  }

  var jsonText: String {
    switch self {
    case .integers(let list): "[" + list.map(String.init).joined(separator: ",") + "]"
    case .doubles(let list): "[" + list.map { "\($0)" }.joined(separator: ",") + "]"
    }
  }

  /// The same numbers, ascending.
  var sorted: NumberList {
    switch self {
    case .integers(let list): .integers(list.sorted())
    case .doubles(let list): .doubles(list.sorted())
    }
  }
}
