/// The headers of a request that were kept, in the order of first occurrence.
struct HTTPFields: Sendable {
  /// One header.
  struct Field: Sendable {
    /// In lower case.
    let name: String
    var value: String
  }

  private var list: [Field] = []
  /// A bit for each length that a name has (of 64 bytes and more, that of the rest): most headers
  /// that are asked for are not there.
  private var lengths: UInt64 = 0
  /// Whether the list may be another's as well, so that to empty it would copy it first.
  private var isLent = false

  /// None.
  init() {}

  /// Headers made by hand.
  init(_ headers: [(name: String, value: String)]) {
    for (name, value) in headers { add(Field(name: name.lowercased(), value: value)) }
  }

  /// Adds a header; to one of the same name it is joined with `, ` (RFC 9110, section 5.3).
  mutating func add(_ field: Field) {
    if let index = index(of: field.name) {
      list[index].value += ", " + field.value
      return
    }
    if list.capacity == 0 { list.reserveCapacity(4) }
    lengths |= Self.bit(of: field.name)
    list.append(field)
  }

  /// The value of the header of a name in lower case; nil when there is none.
  func value(of name: String) -> String? {
    index(of: name).map { list[$0].value }
  }

  /// The same headers, for somebody else too.
  func lent() -> HTTPFields {
    var fields = self
    fields.isLent = true
    return fields
  }

  /// How many headers a connection keeps room for while it is idle.
  private static let roomMax = 16

  /// Lets go of all, but for the room. (One by one: `removeAll(keepingCapacity:)` replaces a range
  /// by nothing, which takes longer for so few.)
  mutating func removeAll() {
    if isLent || list.count > Self.roomMax { list = [] }
    isLent = false
    while case .some = list.popLast() {}
    lengths = 0
  }

  @inline(__always)
  private func index(of name: String) -> Int? {
    guard lengths & Self.bit(of: name) != 0 else { return nil }
    return list.indices.first { list[$0].name == name }
  }

  @inline(__always)
  private static func bit(of name: String) -> UInt64 { 1 << UInt64(name.utf8.count & 63) }
}
