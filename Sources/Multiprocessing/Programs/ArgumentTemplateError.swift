/// What is wrong with the `exec` list of a configuration, and where.
public struct ArgumentTemplateError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public enum Reason: Equatable, Sendable {
    /// The list is empty, or its first entry is: there is no program to run.
    case noProgram
    /// The program itself would be chosen by whoever submits the job.
    case placeholderInProgram
    /// A `{` without its `}`.
    case unclosedBrace
    /// A `}` that closes nothing; as text it is written `}}`.
    case strayBrace
    /// What stands between the braces is no index and no name.
    case invalidPlaceholder(String)
    /// An index above `ArgumentTemplate.indexMax`.
    case indexTooLarge(String)
    /// A NUL, at which the argument would end.
    case containsNUL
  }

  /// What is wrong.
  public let reason: Reason
  /// Which entry of the list, from 0.
  public let entry: Int
  /// Where in that entry: characters before it.
  public let offset: Int

  /// `"entry 2, character 5: …"`, both counted from 1 as people do.
  public var description: String {
    "entry \(entry + 1), character \(offset + 1): \(explanation)"
  }

  private var explanation: String {
    switch reason {
    case .noProgram: "the program to run is missing"
    case .placeholderInProgram:
      "the program must not depend on a job's arguments; only what follows may"
    case .unclosedBrace: "\"{\" is not closed by \"}\"; a brace as text is written \"{{\""
    case .strayBrace: "\"}\" closes nothing; a brace as text is written \"}}\""
    case .invalidPlaceholder(let text):
      "\"{\(text)}\" is no placeholder: between the braces stands an index, like {0}, or a name "
        + "of letters, digits, \"_\", \"-\" and \".\" that begins with a letter or \"_\""
    case .indexTooLarge(let text):
      "the index \(text) is too large: at most \(ArgumentTemplate.indexMax) is taken"
    case .containsNUL: "a NUL cannot be part of an argument"
    }
  }
}
