/// A file of the project, read once, with what the rules ask of it.
struct SourceFile: Sendable {
  enum Language: Sendable {
    case swift, c, shell, python, other
  }

  /// From the top of the project, without a leading slash.
  let path: String
  let text: String
  let language: Language
  /// Without their line ends; line 1 at index 0.
  let lines: [Substring]
  /// Empty unless the language is Swift or C.
  let tokens: [Token]
  /// `tokens` without the comments.
  let code: [Token]
  private let reasonedLines: Set<Int>

  init(path: String, text: String) {
    self.path = path
    self.text = text
    language = Self.language(of: path, text: text)
    lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    switch language {
    case .swift, .c: tokens = Lexer.tokens(of: text, isSwift: language == .swift)
    case .shell, .python, .other: tokens = []
    }
    code = tokens.filter { $0.kind != .comment }
    reasonedLines = Self.reasonedLines(of: tokens, lines: lines)
  }

  /// The target of `Sources` that it belongs to.
  var target: String? {
    let parts = path.split(separator: "/")
    return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
  }

  var isSwift: Bool { language == .swift }
  var isSwiftSource: Bool { isSwift && path.hasPrefix("Sources/") }
  var isSwiftTest: Bool { isSwift && path.hasPrefix("Tests/") }

  /// The last part of its path.
  var name: Substring { path.split(separator: "/").last ?? "" }

  /// Whether a comment on this line, or in the comment that ends on the line above, says
  /// `reason:`. That is how a place asks to be excepted from a rule that allows it: the word can
  /// be searched for, and a reviewer sees the excuse next to the deed.
  func givesReason(at line: Int) -> Bool {
    reasonedLines.contains(line)
  }

  /// The token after `index` in `code`, if there is one.
  func code(after index: Int) -> Token? {
    code.indices.contains(index + 1) ? code[index + 1] : nil
  }

  /// The token before `index` in `code`, if there is one.
  func code(before index: Int) -> Token? {
    index > 0 ? code[index - 1] : nil
  }

  private static func language(of path: String, text: String) -> Language {
    let suffix = path.split(separator: "/").last?.split(separator: ".").last ?? ""
    switch suffix {
    case "swift": return .swift
    case "c", "h": return .c
    case "sh", "bash": return .shell
    case "py": return .python
    default: break
    }
    guard text.hasPrefix("#!"), let first = text.split(separator: "\n").first else { return .other }
    if first.hasSuffix("sh") { return .shell }
    return first.hasSuffix("python3") ? .python : .other
  }

  private static func reasonedLines(of tokens: [Token], lines: [Substring]) -> Set<Int> {
    var reasoned: Set<Int> = []
    var blockGivesReason = false
    var blockEnd = 0
    for token in tokens where token.kind == .comment {
      let start = token.line
      let end = start + token.text.utf8.count { $0 == UInt8(ascii: "\n") }
      let isAlone = lines[start - 1].drop { $0 == " " }.hasPrefix("/")
      let givesReason = token.text.lowercased().contains("reason:")
      blockGivesReason =
        givesReason || (isAlone && start == blockEnd + 1 && blockGivesReason)
      blockEnd = isAlone ? end : 0
      if givesReason { reasoned.formUnion(start...end) }
      if blockGivesReason, isAlone { reasoned.insert(end + 1) }
    }
    return reasoned
  }
}
