/// Cuts Swift or C into tokens, so that no rule mistakes a comment or a string for code.
///
/// It knows nested comments, raw and multi-line strings, interpolation, `#/ /#` and backticks. It
/// does not know a regular expression between bare slashes: write `#/ /#`.
struct Lexer {
  private let bytes: [UInt8]
  private let isSwift: Bool
  private var position = 0
  private var line = 1
  private var tokens: [Token] = []

  static func tokens(of text: String, isSwift: Bool) -> [Token] {
    var lexer = Lexer(bytes: Array(text.utf8), isSwift: isSwift)
    lexer.lexCode(untilClosingParenthesis: false)
    return lexer.tokens
  }

  private init(bytes: [UInt8], isSwift: Bool) {
    self.bytes = bytes
    self.isSwift = isSwift
  }

  private func byte(_ ahead: Int = 0) -> UInt8 {
    position + ahead < bytes.count ? bytes[position + ahead] : 0
  }

  private func isAt(_ text: StaticString) -> Bool {
    (0..<text.utf8CodeUnitCount).allSatisfy { byte($0) == text.utf8Start[$0] }
  }

  private mutating func advance(_ count: Int = 1) {
    for _ in 0..<count where position < bytes.count {
      if bytes[position] == UInt8(ascii: "\n") { line += 1 }
      position += 1
    }
  }

  private mutating func add(_ kind: Token.Kind, from start: Int, line: Int) {
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    tokens.append(Token(kind: kind, text: text, line: line, range: start..<position))
  }

  private mutating func lexCode(untilClosingParenthesis: Bool) {
    var depth = 0
    while position < bytes.count {
      let (start, startLine) = (position, line)
      if untilClosingParenthesis, byte() == UInt8(ascii: ")"), depth == 0 { return }
      if byte() == UInt8(ascii: "(") { depth += 1 }
      if byte() == UInt8(ascii: ")") { depth -= 1 }
      if isBlank(byte()) {
        advance()
      } else if isAt("//") {
        while position < bytes.count, byte() != UInt8(ascii: "\n") { advance() }
        add(.comment, from: start, line: startLine)
      } else if isAt("/*") {
        skipBlockComment()
        add(.comment, from: start, line: startLine)
      } else if !isSwift, byte() == UInt8(ascii: "#") {
        skipDirective()
        add(.directive, from: start, line: startLine)
      } else if isWordByte(byte()) {
        lexWordOrNumber()
      } else if isSwift, byte() == UInt8(ascii: "`") {
        lexBacktickedWord()
      } else if !lexQuoted() {
        advance()
        add(.symbol, from: start, line: startLine)
      }
    }
  }

  private func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  private func isDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte)
  }

  private func isWordByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
      || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$") || byte >= 0x80
  }

  private mutating func lexWordOrNumber() {
    let (start, startLine) = (position, line)
    let kind: Token.Kind = isDigit(byte()) ? .number : .word
    while isWordByte(byte()) { advance() }
    add(kind, from: start, line: startLine)
  }

  private mutating func lexBacktickedWord() {
    advance()
    let (start, startLine) = (position, line)
    while position < bytes.count, byte() != UInt8(ascii: "`"), byte() != UInt8(ascii: "\n") {
      advance()
    }
    add(.word, from: start, line: startLine)
    advance()
  }

  private mutating func skipBlockComment() {
    var depth = 0
    repeat {
      if isAt("/*"), isSwift || depth == 0 {
        depth += 1
        advance(2)
      } else if isAt("*/") {
        depth -= 1
        advance(2)
      } else {
        advance()
      }
    } while depth > 0 && position < bytes.count
  }

  private mutating func skipDirective() {
    while position < bytes.count, byte() != UInt8(ascii: "\n") {
      if isAt("//") || isAt("/*") { return }
      advance(isAt("\\\n") ? 2 : 1)
    }
  }

  /// A string, a character or a regular expression. False when there is none here.
  private mutating func lexQuoted() -> Bool {
    let (start, startLine) = (position, line)
    var hashes = 0
    while isSwift, byte(hashes) == UInt8(ascii: "#") { hashes += 1 }
    let quote = byte(hashes)
    let isRegex = hashes > 0 && quote == UInt8(ascii: "/")
    let isCharacter = !isSwift && quote == UInt8(ascii: "'")
    if quote != UInt8(ascii: "\""), !isRegex, !isCharacter { return false }
    advance(hashes)
    let isMultiline = isSwift && isAt("\"\"\"")
    let closing = Array(repeating: quote, count: isMultiline ? 3 : 1)
    advance(closing.count)
    let place = tokens.count
    skipQuoted(until: closing + Array(repeating: UInt8(ascii: "#"), count: hashes), hashes: hashes)
    add(.string, from: start, line: startLine)
    // The string before the code that it holds.
    tokens.insert(tokens.removeLast(), at: place)
    return true
  }

  private mutating func skipQuoted(until closing: [UInt8], hashes: Int) {
    let spansLines = closing.count > hashes + 1 || closing[0] == UInt8(ascii: "/")
    while position < bytes.count {
      if closing.indices.allSatisfy({ byte($0) == closing[$0] }) {
        advance(closing.count)
        return
      }
      if !spansLines, byte() == UInt8(ascii: "\n") { return }
      let isEscape =
        byte() == UInt8(ascii: "\\")
        && (0..<hashes).allSatisfy { byte($0 + 1) == UInt8(ascii: "#") }
      if !isEscape {
        advance()
      } else if isSwift, byte(hashes + 1) == UInt8(ascii: "(") {
        advance(hashes + 2)
        lexCode(untilClosingParenthesis: true)
      } else {
        advance(hashes + 2)
      }
    }
  }
}
