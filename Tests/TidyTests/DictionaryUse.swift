/// Finds what goes through a dictionary or a set, by the names of what is declared as one: a
/// heuristic, as there are no types here. It takes a name for the same thing in the whole target.
enum DictionaryUse {
  private static let iterating: Set = [
    "keys", "values", "first", "forEach", "map", "flatMap", "compactMap", "reduce", "min", "max",
    "randomElement", "popFirst", "removeFirst", "sorted", "enumerated", "makeIterator", "lazy",
    "prefix", "dropFirst", "firstIndex", "elements",
  ]

  /// The variables and constants of a file that are declared as a dictionary or a set.
  static func declaredNames(of file: SourceFile) -> [String] {
    let code = file.code
    return code.indices.compactMap { index in
      guard code[index].text == "var" || code[index].text == "let", index + 3 < code.count,
        code[index + 1].kind == .word, code[index + 2].text == ":" || code[index + 2].text == "="
      else { return nil }
      return isUnordered(code, from: index + 3) ? code[index + 1].text : nil
    }
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
