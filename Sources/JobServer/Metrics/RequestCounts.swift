import HTTPServer

/// Requests by route, method and status: all three are numbers here, so that counting one compares
/// words and no text.
struct RequestCounts {
  /// What a count is of.
  struct Line: Hashable {
    /// The route's place in the order of the router; -1 when the HTTP server itself answered.
    var route: Int
    /// nil: none that the HTTP server knows.
    var method: HTTPMethod?
    var status: Int
  }

  private static let methodBits = 4
  private static let statusBits = 10

  /// A list, as there are a few dozen at most and the first of them nearly always.
  private var keys: [Int] = []
  private var counts: [Int] = []

  /// Counts one request.
  mutating func note(route: Int, method: HTTPMethod?, status: Int) {
    let key = RequestCounts.key(route, method, status)
    for index in keys.indices where keys[index] == key {
      counts[index] += 1
      return
    }
    keys.append(key)
    counts.append(1)
  }

  /// Everything that was counted.
  var lines: [(line: Line, count: Int)] {
    zip(keys, counts).map { (RequestCounts.line($0), $1) }
  }

  /// The route's place and the method's in a table, the unknown before the others.
  private static func key(_ route: Int, _ method: HTTPMethod?, _ status: Int) -> Int {
    ((route + 1) << methodBits | (method.map { $0.slot + 1 } ?? 0)) << statusBits | status
  }

  private static func line(_ key: Int) -> Line {
    let slot = key >> statusBits & (1 << methodBits - 1)
    return Line(
      route: key >> (statusBits + methodBits) - 1,
      method: HTTPMethod.allCases.first { $0.slot + 1 == slot },
      status: key & (1 << statusBits - 1))
  }
}
