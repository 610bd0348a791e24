/// The query of a request target, read when it is asked for. Names and values are percent-decoded,
/// and `+` is a space. A name without `=` has an empty value. Every request reaches a route with a
/// query whose escapes are whole and whose text is UTF-8: any other was refused with 400.
public struct HTTPQuery: Sendable, Equatable {
  /// What stood between `?` and the end, as it was sent; empty when there was none.
  public let text: String

  /// A query from its text, escapes and all.
  public init(_ text: String = "") {
    self.text = text
  }

  /// There are no names.
  public var isEmpty: Bool { text.isEmpty }

  /// The first value of a name; `nil` when the name does not occur.
  public func first(_ name: String) -> String? {
    guard !text.isEmpty else { return nil }
    var found: String?
    forEach { candidate, value in
      guard candidate == name else { return true }
      found = value()
      return false
    }
    return found
  }

  /// All values of a name, in their order.
  public func all(_ name: String) -> [String] {
    var values: [String] = []
    forEach { candidate, value in
      if candidate == name { values.append(value()) }
      return true
    }
    return values
  }

  /// The names in their order, each as often as it occurs; so that unknown ones can be refused.
  public var names: [String] {
    var names: [String] = []
    forEach { name, _ in
      names.append(name)
      return true
    }
    return names
  }

  /// The escapes are whole and decode to UTF-8.
  var isWellFormed: Bool {
    guard let bytes = PercentCoding.formDecoded(text.utf8) else { return false }
    return String(validating: bytes, as: UTF8.self) != nil
  }

  /// Calls with each name and its (not yet decoded) value until told to stop by `false`.
  private func forEach(_ body: (String, () -> String) -> Bool) {
    for pair in text.utf8.split(separator: UInt8(ascii: "&")) {
      let parts = pair.split(
        separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      let goesOn = body(Self.decoded(parts[0])) { parts.count > 1 ? Self.decoded(parts[1]) : "" }
      if !goesOn { return }
    }
  }

  private static func decoded(_ part: Substring.UTF8View) -> String {
    // A query that the program made itself may be broken: then its text stands for itself.
    guard let bytes = PercentCoding.formDecoded(part) else { return String(Substring(part)) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
