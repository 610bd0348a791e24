/// Where a parameter lies in the UTF-8 of a path.
struct PathSpan: Sendable {
  var start: UInt32 = 0
  var end: UInt32 = 0
}

/// The spans of one match. Inline, because every request carries one.
typealias PathSpans = InlineArray<4, PathSpan>

/// What a template's parameters (`/v1/jobs/{id}`) stood for in a path, decoded.
public struct PathParameters: Sendable {
  let path: String
  let spans: PathSpans
  let names: [String]

  /// As many as the template has.
  public var count: Int { names.count }

  /// The parameter at a position, counted from 0 in the order of the template. Never empty.
  public subscript(index: Int) -> String {
    precondition(index >= 0 && index < names.count, "the route has no parameter \(index)")
    let utf8 = path.utf8
    let start = utf8.index(utf8.startIndex, offsetBy: Int(spans[index].start))
    let end = utf8.index(utf8.startIndex, offsetBy: Int(spans[index].end))
    return String(Substring(utf8[start..<end]))
  }

  /// Calls `body` with the UTF-8 of the parameter at a position, of which no string is made.
  public func withUTF8<R>(at index: Int, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    precondition(index >= 0 && index < names.count, "the route has no parameter \(index)")
    var path = path
    return path.withUTF8 { utf8 in
      body(UnsafeBufferPointer(rebasing: utf8[Int(spans[index].start)..<Int(spans[index].end)]))
    }
  }

  /// The parameter of a name; `nil` when the template has none of that name.
  public subscript(name: String) -> String? {
    names.firstIndex(of: name).map { self[$0] }
  }
}
