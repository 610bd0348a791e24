/// A text as a sequence of plain words: `jobWALFile`, `job_wal_file` and "job WAL file" are alike.
struct Phrase {
  enum Kind {
    case type, name, prose
  }

  private struct Piece {
    /// In lower case.
    let word: String
    let line: Int
    /// The name that it is part of, as it is spelled.
    let whole: Substring
  }

  private let pieces: [Piece]
  private let kind: Kind

  init(_ text: some StringProtocol, kind: Kind, line: Int) {
    self.kind = kind
    var pieces: [Piece] = []
    var line = line
    for part in text.split(separator: "\n", omittingEmptySubsequences: false) {
      for whole in String(part).split(whereSeparator: { !$0.isLetter }) {
        for word in Self.words(of: whole) {
          pieces.append(Piece(word: word, line: line, whole: whole))
        }
      }
      line += 1
    }
    self.pieces = pieces
  }

  /// The lines on which the text uses a word that is not to be used.
  func uses(of word: Vocabulary.Word, in file: SourceFile) -> [Int] {
    switch word.place {
    case .types where kind != .type, .names where kind == .prose: return []
    default: break
    }
    guard pieces.count >= word.words.count else { return [] }
    return (0...(pieces.count - word.words.count)).filter { start in
      word.words.indices.allSatisfy { offset in
        let isLast = offset == word.words.count - 1
        let spoken = pieces[start + offset].word
        return spoken == word.words[offset] || (isLast && spoken == word.words[offset] + "s")
      } && !isExcepted(word, at: start, in: file)
    }.map { pieces[$0].line }
  }

  private func isExcepted(_ word: Vocabulary.Word, at start: Int, in file: SourceFile) -> Bool {
    let piece = pieces[start]
    // Names of types end in what they are; `DataFolder` is a folder.
    if word.place == .types, ["data", "info"].contains(word.words[0]) {
      return start != pieces.count - 1
    }
    // The one feature that Python named so.
    if word.words == ["manager"], file.target == "Multiprocessing" {
      return piece.whole.hasPrefix("Manager")
    }
    return Vocabulary.exceptions.contains { exception in
      file.path.hasPrefix(exception.path) && exception.text.contains(piece.whole)
    }
  }

  /// `jobWALFile` is `job`, `wal`, `file`.
  private static func words(of name: Substring) -> [String] {
    let letters = Array(name)
    var words: [String] = []
    var word = ""
    for index in letters.indices {
      let isUpper = letters[index].isUppercase
      let followsLower = index > 0 && !letters[index - 1].isUppercase
      let endsAcronym = index + 1 < letters.count && letters[index + 1].isLowercase
      if isUpper, !word.isEmpty, followsLower || endsAcronym {
        words.append(word)
        word = ""
      }
      word += letters[index].lowercased()
    }
    return words + [word]
  }
}
