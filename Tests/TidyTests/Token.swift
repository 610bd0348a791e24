/// One piece of Swift or C source, as far as the rules need to tell pieces apart.
struct Token: Sendable {
  enum Kind: Sendable {
    /// A name or a keyword; of a name in backticks, what stands between them.
    case word
    case number
    /// One byte: `{`, `.`, `!` …
    case symbol
    /// With its quotes. The code inside `\( )` follows as tokens of its own.
    case string
    /// With its `//` or `/* */`.
    case comment
    /// A whole line of the C preprocessor, with its continuations.
    case directive
  }

  let kind: Kind
  let text: String
  /// The line that it begins on, from 1.
  let line: Int
  /// The bytes that it takes in the file.
  let range: Range<Int>
}
