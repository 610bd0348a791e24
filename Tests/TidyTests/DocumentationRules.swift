/// What is public is explained.
enum DocumentationRules {
  static let all = [everyDeclaration]

  private static let modifiers: Set = [
    "static", "class", "final", "mutating", "nonmutating", "nonisolated", "unsafe", "lazy", "weak",
    "unowned", "override", "required", "convenience", "indirect", "borrowing", "consuming",
    "private", "fileprivate", "internal", "package", "set", "(", ")", "@", "inlinable",
    "discardableResult", "prefix", "postfix", "infix",
  ]

  private static let kinds: Set = [
    "func", "var", "let", "init", "subscript", "struct", "class", "enum", "protocol", "typealias",
    "actor", "associatedtype", "macro",
  ]

  /// Requirements of the standard library's protocols, explained there.
  private static let inherited: Set = [
    "description", "debugDescription", "hash", "encode", "rawValue", "hashValue", "next",
    "makeIterator", "startIndex", "endIndex", "index", "RawValue", "Element", "Iterator", "=", "<",
  ]

  static let everyDeclaration = Rule(
    "every public declaration has a doc comment",
    because: """
      It is a contract: what it ensures, its units, limits and errors, which thread may call it. \
      Only requirements of the standard library's protocols are explained elsewhere.
      """,
    reasonAllows: false,
    samples: [
      Rule.Sample(
        [
          "Sources/A/A.swift": """
          public import Glibc

          /// One.
          public struct A {
            public let b: Int
            /// Two.
            @inlinable
            public static func c() {}

            // Not this kind.
            public private(set) var d = 1
            public var description: String { "" }
            public static func == (left: A, right: A) -> Bool { true }
            package final class E {}
            /// Three.
            public init(from: Int) { open("f", O_RDONLY) }
            public init(to: Int) {}
            let f = 1
          }
          """,
          "Tests/A/A.swift": "public let a = 1\n",
        ],
        finds: [5, 11, 14, 17].map { "Sources/A/A.swift:\($0)" })
    ],
    in: \.isSwiftSource
  ) { file, index in
    guard ["public", "package", "open"].contains(file.code[index].text) else { return nil }
    // `public package(set) var` is one declaration.
    if let before = file.code(before: index), before.text == "public" { return nil }
    guard let (kind, name) = declaration(in: file, after: index) else { return nil }
    if inherited.contains(name) || isDocumented(file, file.code[index].line) { return nil }
    return "\(kind) \(name)"
  }

  private static func declaration(
    in file: SourceFile, after start: Int
  ) -> (kind: String, name: String)? {
    var index = start + 1
    while index + 1 < file.code.count {
      let (text, next) = (file.code[index].text, file.code[index + 1].text)
      let isModifier = modifiers.contains(text) && !(text == "class" && !startsKind(next))
      if !isModifier { return kinds.contains(text) ? (text, next) : nil }
      index += 1
    }
    return nil
  }

  /// `class func` is a function, `class Name` a class.
  private static func startsKind(_ word: String) -> Bool {
    kinds.contains(word) || modifiers.contains(word)
  }

  /// Whether the comment right above, attributes aside, is one for documentation.
  private static func isDocumented(_ file: SourceFile, _ line: Int) -> Bool {
    var above = line - 1
    while above >= 1 {
      let text = file.lines[above - 1].drop { $0 == " " }
      if text.hasPrefix("@") || text.hasPrefix("#if") {
        above -= 1
      } else {
        return text.hasPrefix("///") || text.hasSuffix("*/")
      }
    }
    return false
  }
}
