import JSON

/// A JSON text as a tree, to ask questions of.
indirect enum JSONTree: Equatable {
  case null
  case bool(Bool)
  /// As it is written.
  case number(String)
  case string(String)
  case array([JSONTree])
  case object([String: JSONTree])

  /// Reads a text; a member that stands twice is an error.
  init(_ text: [UInt8]) throws {
    self = try JSONReader.read(text) { (json) throws(JSONError) in try JSONTree.read(&json) }
  }

  private static func read(_ json: inout JSONReader) throws(JSONError) -> JSONTree {
    switch try json.kind() {
    case .null:
      try json.readNull()
      return .null
    case .bool: return .bool(try json.readBool())
    case .number: return .number(try json.readNumberText())
    case .string: return .string(try json.readString())
    case .array:
      var elements: [JSONTree] = []
      try json.beginArray()
      while try json.nextElement() { elements.append(try read(&json)) }
      return .array(elements)
    case .object:
      var members: [String: JSONTree] = [:]
      try json.beginObject()
      while let name = try json.nextMember() {
        if members[name] != nil { throw json.duplicateName(name) }
        members[name] = try read(&json)
      }
      return .object(members)
    }
  }

  /// The member of an object.
  subscript(_ name: String) -> JSONTree? {
    if case .object(let members) = self { members[name] } else { nil }
  }

  /// The value at a place like `paths`, `/v1/jobs`, `get`.
  func at(_ path: String...) -> JSONTree? {
    path.reduce(self) { $0?[$1] }
  }

  var members: [String: JSONTree] {
    if case .object(let members) = self { members } else { [:] }
  }

  var elements: [JSONTree] {
    if case .array(let elements) = self { elements } else { [] }
  }

  var string: String? {
    if case .string(let text) = self { text } else { nil }
  }

  /// Every value within, itself included, with the way to it.
  func visit(at path: String = "#", _ body: (String, JSONTree) -> Void) {
    body(path, self)
    for (name, value) in members { value.visit(at: "\(path)/\(name)", body) }
    for (index, value) in elements.enumerated() { value.visit(at: "\(path)/\(index)", body) }
  }
}
