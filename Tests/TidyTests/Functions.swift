/// Finds the functions of a file by their braces.
enum Functions {
  /// The lines of every function with a body, from its first word to its closing brace. In Swift
  /// also initialisers, subscripts and the end of an object.
  static func lines(of file: SourceFile) -> [ClosedRange<Int>] {
    switch file.language {
    case .swift: return swiftFunctions(file.code)
    case .c: return cFunctions(file.code)
    case .shell, .python, .other: return []
    }
  }

  private static func swiftFunctions(_ code: [Token]) -> [ClosedRange<Int>] {
    code.indices.compactMap { index in
      guard isStart(code, index), let brace = body(code, after: index) else { return nil }
      return code[index].line...code[closingBrace(code, brace)].line
    }
  }

  private static func isStart(_ code: [Token], _ index: Int) -> Bool {
    if code[index].kind != .word || index + 1 >= code.count { return false }
    let (before, next) = (index > 0 ? code[index - 1].text : "", code[index + 1].text)
    switch code[index].text {
    case "func": return before != "."
    case "init": return before != "." && ["(", "<", "?", "!"].contains(next)
    case "subscript": return before != "." && ["(", "<"].contains(next)
    case "deinit": return next == "{"
    default: return false
    }
  }

  /// What begins another declaration: a requirement of a protocol has no body.
  private static let declarations: Set = [
    "func", "var", "let", "init", "deinit", "subscript", "case", "struct", "class", "enum",
    "protocol", "extension", "associatedtype", "typealias", "static", "mutating", "public",
    "package", "internal", "private", "fileprivate", "@", ";", "}",
  ]

  /// The opening brace of the function that begins at `start`.
  private static func body(_ code: [Token], after start: Int) -> Int? {
    var depth = 0
    for index in (start + 1)..<code.count {
      switch code[index].text {
      case "(", "[": depth += 1
      case ")", "]": depth -= 1
      case "{" where depth == 0: return index
      case let text where depth == 0 && index > start + 1 && declarations.contains(text): return nil
      default: break
      }
    }
    return nil
  }

  /// A definition in C: at the top level, `)` and then `{`.
  private static func cFunctions(_ code: [Token]) -> [ClosedRange<Int>] {
    var found: [ClosedRange<Int>] = []
    var start = 0
    var index = 0
    while index < code.count {
      switch code[index].text {
      case _ where code[index].kind == .directive: start = index + 1
      case ";": start = index + 1
      case "{":
        let end = closingBrace(code, index)
        if index > start, code[index - 1].text == ")" {
          found.append(code[start].line...code[end].line)
          start = end + 1
        }
        index = end
      default: break
      }
      index += 1
    }
    return found
  }

  private static func closingBrace(_ code: [Token], _ opening: Int) -> Int {
    var depth = 0
    for index in opening..<code.count where code[index].kind == .symbol {
      if code[index].text == "{" { depth += 1 }
      if code[index].text == "}" { depth -= 1 }
      if depth == 0 { return index }
    }
    return code.count - 1
  }
}
