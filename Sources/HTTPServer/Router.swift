import Glibc

/// Which route serves a method and a path. A value made once; looking up allocates nothing.
///
/// Templates are flattened into bytes with 0 for a parameter, bucketed by their number of slashes,
/// and within a bucket ordered so that the first that matches is the right one.
public struct Router {
  /// What a look-up finds.
  public enum Match {
    /// This route, by its index in `routes`, with these parameters.
    case route(index: Int, PathParameters)
    /// `OPTIONS` on a path that has routes, none of them for `OPTIONS`.
    case options(allow: [HTTPMethod])
    /// The path has routes, for these methods only.
    case methodNotAllowed(allow: [HTTPMethod])
    /// No template matches the path.
    case notFound
  }

  /// All routes of one path template.
  struct Resource {
    /// The template that the first of its routes gave.
    let template: String
    let parameterNames: [String]
    /// The index in `routes` for each `HTTPMethod.slot`; -1 for none. HEAD has that of GET unless
    /// it has its own.
    fileprivate(set) var routeBySlot: [Int]

    /// The methods that work here, `OPTIONS` among them, in the order of `HTTPMethod`.
    var allow: [HTTPMethod] {
      HTTPMethod.allCases.filter { routeBySlot[$0.slot] >= 0 || $0 == .options }
    }
  }

  private struct Pattern {
    let start: Int
    let end: Int
    let resource: Int
  }

  private static let parameter: UInt8 = 0

  /// As they were given.
  public let routes: [Route]

  let resources: [Resource]
  private let bytes: [UInt8]
  private let patterns: [Pattern]
  /// The patterns with n slashes are `patterns[bucketStarts[n]..<bucketStarts[n + 1]]`.
  private let bucketStarts: [Int]

  /// A template that is malformed, a method that is given twice for one path, or one that is not
  /// routed is a programmer error.
  public init(_ routes: [Route]) {
    var resources: [Resource] = []
    var flat: [[UInt8]] = []
    for (index, route) in routes.enumerated() {
      precondition(
        route.method.isRouted, "\(route.template) has a route for \(route.method.rawValue)")
      let (pattern, names) = Self.flattened(route.template)
      let place: Int
      if let known = flat.firstIndex(of: pattern) {
        precondition(
          resources[known].parameterNames == names,
          "\(route.template) and \(resources[known].template) name one parameter in two ways")
        place = known
      } else {
        place = resources.count
        flat.append(pattern)
        let none = [Int](repeating: -1, count: HTTPMethod.allCases.count)
        resources.append(
          Resource(template: route.template, parameterNames: names, routeBySlot: none))
      }
      let slot = route.method.slot
      precondition(
        resources[place].routeBySlot[slot] < 0,
        "two routes for \(route.method.rawValue) \(route.template)")
      resources[place].routeBySlot[slot] = index
    }
    for place in resources.indices where resources[place].routeBySlot[HTTPMethod.head.slot] < 0 {
      resources[place].routeBySlot[HTTPMethod.head.slot] =
        resources[place].routeBySlot[HTTPMethod.get.slot]
    }
    self.routes = routes
    self.resources = resources
    (bytes, patterns, bucketStarts) = Self.bucketed(flat)
  }

  /// Looks a path up that is already decoded; for tests of a table of routes.
  public func match(_ method: HTTPMethod, path: String) -> Match {
    var spans = PathSpans(repeating: PathSpan())
    var path = path
    let found = path.withUTF8 { resource(at: $0, &spans) }
    guard let found else { return .notFound }
    let entry = resources[found]
    let index = entry.routeBySlot[method.slot]
    if index >= 0 {
      let parameters = PathParameters(path: path, spans: spans, names: entry.parameterNames)
      return .route(index: index, parameters)
    }
    let allow = entry.allow
    return method == .options ? .options(allow: allow) : .methodNotAllowed(allow: allow)
  }

  /// The resource of a decoded path, in which an escaped slash is `PercentCoding.escapedSlash`.
  func resource(at path: UnsafeBufferPointer<UInt8>, _ spans: inout PathSpans) -> Int? {
    var slashes = 0
    for byte in path where byte == UInt8(ascii: "/") { slashes += 1 }
    guard slashes + 1 < bucketStarts.count else { return nil }
    return bytes.withUnsafeBufferPointer { bytes in
      for index in bucketStarts[slashes]..<bucketStarts[slashes + 1] {
        let pattern = patterns[index]
        let template = UnsafeBufferPointer(rebasing: bytes[pattern.start..<pattern.end])
        if Self.matches(path, template, &spans) { return pattern.resource }
      }
      return nil
    }
  }

  private static func matches(
    _ path: UnsafeBufferPointer<UInt8>, _ template: UnsafeBufferPointer<UInt8>,
    _ spans: inout PathSpans
  ) -> Bool {
    var position = 0
    var parameters = 0
    for byte in template {
      if byte == parameter {
        let start = position
        position = end(of: path, from: start)
        guard position > start else { return false }
        spans[parameters] = PathSpan(start: UInt32(start), end: UInt32(position))
        parameters += 1
      } else {
        guard position < path.count, path[position] == byte else { return false }
        position += 1
      }
    }
    return position == path.count
  }

  /// Where the segment ends that begins there.
  private static func end(of path: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
    guard let base = path.baseAddress,
      let slash = memchr(base + start, Int32(UInt8(ascii: "/")), path.count - start)
    else { return path.count }
    return UnsafeRawPointer(slash) - UnsafeRawPointer(base)
  }

  private static func flattened(_ template: String) -> (pattern: [UInt8], names: [String]) {
    precondition(template.utf8.first == UInt8(ascii: "/"), "\(template) does not begin with /")
    var pattern: [UInt8] = []
    var names: [String] = []
    for segment in template.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      pattern.append(UInt8(ascii: "/"))
      if segment.first == "{", segment.last == "}" {
        names.append(String(segment.dropFirst().dropLast()))
        pattern.append(parameter)
      } else {
        precondition(!segment.contains { "{}%".contains($0) }, "\(template) is malformed")
        pattern += segment.utf8
      }
    }
    precondition(
      names.count <= PathSpans.count && Set(names).count == names.count,
      "\(template) has too many parameters, or one name twice")
    return (pattern, names)
  }

  private static func bucketed(
    _ flat: [[UInt8]]
  ) -> (bytes: [UInt8], patterns: [Pattern], bucketStarts: [Int]) {
    func slashes(_ pattern: [UInt8]) -> Int {
      pattern.reduce(0) { $0 + ($1 == UInt8(ascii: "/") ? 1 : 0) }
    }
    // A parameter sorts behind every literal byte, so that literals are tried first.
    func key(_ pattern: [UInt8]) -> [Int] { pattern.map { $0 == parameter ? 256 : Int($0) } }
    let order = flat.indices.sorted {
      let (left, right) = (slashes(flat[$0]), slashes(flat[$1]))
      return left != right
        ? left < right : key(flat[$0]).lexicographicallyPrecedes(key(flat[$1]))
    }
    var bytes: [UInt8] = []
    var patterns: [Pattern] = []
    var starts = [Int](repeating: 0, count: (flat.map(slashes).max() ?? 0) + 2)
    for place in order {
      let start = bytes.count
      bytes += flat[place]
      patterns.append(Pattern(start: start, end: bytes.count, resource: place))
      for count in (slashes(flat[place]) + 1)..<starts.count { starts[count] += 1 }
    }
    return (bytes, patterns, starts)
  }
}
