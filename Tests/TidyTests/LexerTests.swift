import Testing

/// What the rules stand on: a mistake here would make them see code where there is none, or none
/// where there is some.
@Suite struct LexerTests {
  @Test(arguments: [
    ("a // b\nc", ["a", "c"]),
    ("a /* b /* c */ d */ e", ["a", "e"]),
    ("a \"b // c\" d", ["a", "d"]),
    ("a \"b \\\" c\" d", ["a", "d"]),
    ("a \"b \\(c + \"d \\(e)\") f\" g", ["a", "c", "e", "g"]),
    ("a \"\\(b(c))d\" e", ["a", "b", "c", "e"]),
    ("a #\"b \" \\(c) \\#(d)\"# e", ["a", "d", "e"]),
    ("a \"\"\"\nb \" \"\" c\n\\(d)\n\"\"\" e", ["a", "d", "e"]),
    ("a #\"\"\"\nb \"\"\" c\n\"\"\"# d", ["a", "d"]),
    ("a #/b \" c/# d", ["a", "d"]),
    ("func `a b`() {}", ["func", "a b"]),
    ("#if a\nb\n#endif", ["if", "a", "b", "endif"]),
    ("a \"not closed\nb", ["a", "b"]),
    ("x1 + 0x1F + 12_000", ["x1"]),
  ])
  func `Words of Swift are those outside of comments and strings`(
    text: String, words: [String]
  ) {
    let found = Lexer.tokens(of: text, isSwift: true).filter { $0.kind == .word }
    #expect(found.map(\.text) == words)
  }

  @Test(arguments: [
    ("#include <a.h>\nb", ["b"]),
    ("#define A(x) \\\n  x + 1\nb", ["b"]),
    ("# define A // c\nb", ["b"]),
    ("a '\"' b '\\'' c", ["a", "b", "c"]),
    ("a /* b /* c */ d", ["a", "d"]),
    ("L \"a \\(b)\" c", ["L", "c"]),
  ])
  func `Words of C are those outside of comments, strings and directives`(
    text: String, words: [String]
  ) {
    let found = Lexer.tokens(of: text, isSwift: false).filter { $0.kind == .word }
    #expect(found.map(\.text) == words)
  }

  @Test func `A token knows its line and its place`() {
    let text = "a\n/* b\n\n*/ \"\"\"\n  c \\(\n  d)\n\"\"\"\ne"
    let tokens = Lexer.tokens(of: text, isSwift: true)
    #expect(tokens.map(\.line) == [1, 2, 4, 6, 8])
    let bytes = Array(text.utf8)
    for token in tokens {
      #expect(String(decoding: bytes[token.range], as: UTF8.self) == token.text)
    }
  }

  @Test func `A reason holds for its own line and the one below its comment`() {
    let text = """
      a // Reason: b
      c
      // reason: d
      // and more of it.
      e
      f

      // reason: not right above.

      g
      """
    let file = SourceFile(path: "Sources/A/A.swift", text: text)
    #expect((1...10).filter(file.givesReason) == [1, 3, 4, 5, 8, 9])
  }
}
