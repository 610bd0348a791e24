/// Finds what goes through a dictionary or a set, by the names of what is declared as one: a
/// heuristic, as there are no types here. A name means what its own file declares it as; failing
/// that, what another file of the target does, unless it is private there.
enum DictionaryUse {
  /// The variables and constants of one file.
  struct Declarations {
    /// Declared as a dictionary or a set.
    var unordered: Set<String> = []
    /// Those of them that other files can see.
    var shared: Set<String> = []
    /// Declared as anything else.
    var others: Set<String> = []
  }

  private static let iterating: Set = [
    "keys", "values", "first", "forEach", "map", "flatMap", "compactMap", "reduce", "min", "max",
    "randomElement", "popFirst", "removeFirst", "sorted", "enumerated", "makeIterator", "lazy",
    "prefix", "dropFirst", "firstIndex", "elements",
  ]

  /// What a file declares with `var` and `let`.
  static func declarations(of file: SourceFile) -> Declarations {
    let code = file.code
    var found = Declarations()
    for index in code.indices where code[index].text == "var" || code[index].text == "let" {
      guard index + 3 < code.count, code[index + 1].kind == .word else { continue }
      let name = code[index + 1].text
      let isTyped = code[index + 2].text == ":" || code[index + 2].text == "="
      guard isTyped, isUnordered(code, from: index + 3) else {
        found.others.insert(name)
        continue
      }
      found.unordered.insert(name)
      if file.code(before: index)?.text != "private" { found.shared.insert(name) }
    }
    return found
  }

  /// Where one of the names is gone through.
  static func iterations(over names: Set<String>, in file: SourceFile) -> [Token] {
    let code = file.code
    return code.indices.filter { index in
      guard code[index].kind == .word, names.contains(code[index].text) else { return false }
      guard let next = file.code(after: index) else { return false }
      if next.text == ".", let member = file.code(after: index + 1) {
        return iterating.contains(member.text)
      }
      return (next.text == "{" || next.text == "where") && isAfterIn(code, index)
    }.map { code[$0] }
  }

  /// `[K: V]`, `[K: V]()`, `Dictionary<…` or `Set<…`.
  private static func isUnordered(_ code: [Token], from start: Int) -> Bool {
    if code[start].text == "Dictionary" || code[start].text == "Set" { return true }
    if code[start].text != "[" { return false }
    var depth = 0
    var hasColon = false
    for index in start..<code.count {
      switch code[index].text {
      case "[", "(", "<": depth += 1
      case "]", ")", ">": depth -= 1
      case ":": hasColon = hasColon || depth == 1
      default: break
      }
      if depth == 0 {
        // After `=` a literal of the same look is told apart by the call that follows the type.
        let isType = code[start - 1].text == ":"
        return hasColon && (isType || (index + 1 < code.count && code[index + 1].text == "("))
      }
    }
    return false
  }

  /// Whether `for … in a.b.` leads up to the word at `index`.
  private static func isAfterIn(_ code: [Token], _ index: Int) -> Bool {
    var place = index
    while place >= 2, code[place - 1].text == ".", code[place - 2].kind == .word { place -= 2 }
    return place > 0 && code[place - 1].text == "in"
  }
}
