import JSON

/// The `exec` list of a task: how a program's arguments are made from a job's.
///
/// Each entry becomes exactly one argument of the program, whatever a job's arguments hold: there
/// is no shell, nothing is split and nothing is expanded. In an entry `{0}` stands for the
/// positional argument 0, `{width}` for the one of that name, `{{` and `}}` for braces. A string is
/// put in as it is, a number, a boolean or null as its JSON text, an array or an object as minified
/// JSON text.
///
/// What begins with `-` a program may still take for an option; a template that lets anybody submit
/// puts `"--"` before such an entry, where the program knows that.
public struct ArgumentTemplate: Equatable, Sendable {
  /// The largest index that a placeholder may have.
  public static let indexMax = 999

  enum Piece: Equatable, Sendable {
    case text(String)
    case positional(Int)
    /// By place in `names`.
    case named(Int)
  }

  /// Of each argument. Two pieces of text never follow one another.
  private let entries: [[Piece]]
  /// How many positional arguments it takes: the highest index that it uses, and one.
  public let positionalCount: Int
  /// The names that it uses, in the order of their first use.
  public let names: [String]

  /// Whether it uses any argument of a job.
  public var hasPlaceholders: Bool { positionalCount > 0 || !names.isEmpty }
  /// Whether it takes whatever arguments a job has and uses none: the program finds them on stdin.
  public var takesAny: Bool { isOnInput && !hasPlaceholders }

  /// Whether this entry of the list uses any argument of a job.
  public func hasPlaceholders(in entry: Int) -> Bool {
    entries[entry].contains { piece in
      if case .text = piece { false } else { true }
    }
  }

  /// Whether the program finds a job's arguments on stdin as well.
  private let isOnInput: Bool

  /// Reads a template. The first entry names the program and must have no placeholders.
  ///
  /// - Parameter isOnInput: whether the program finds a job's arguments on stdin as well, so that a
  ///   template without placeholders takes any; otherwise such a template takes none.
  public init(
    _ list: [String], isOnInput: Bool = false
  ) throws(ArgumentTemplateError) {
    self.isOnInput = isOnInput
    var reader = TemplateReader()
    guard let program = list.first, !program.isEmpty else {
      throw ArgumentTemplateError(reason: .noProgram, entry: 0, offset: 0)
    }
    for (number, entry) in list.enumerated() { try reader.read(entry, number) }
    entries = reader.entries
    positionalCount = reader.positionalCount
    names = reader.names
  }

  /// The program's arguments for a job's. `args` is a JSON array, `kwargs` a JSON object; an empty
  /// text is an empty one.
  ///
  /// Throws for what is missing, for what the template has no use for (unless it `takesAny`) and
  /// for strings with a NUL.
  public func arguments(
    args: String, kwargs: String
  ) throws(ArgumentMismatch) -> [String] {
    if takesAny { return entries.map { text(of: $0, [], []) } }
    let positional = try readPositional(args)
    let named = try readNamed(kwargs)
    return entries.map { text(of: $0, positional, named) }
  }

  private func text(of pieces: [Piece], _ positional: [String], _ named: [String]) -> String {
    var result = ""
    for piece in pieces {
      switch piece {
      case .text(let text): result += text
      case .positional(let index): result += positional[index]
      case .named(let place): result += named[place]
      }
    }
    return result
  }

  private func readPositional(_ args: String) throws(ArgumentMismatch) -> [String] {
    var values: [String] = []
    var surplus: Int?
    if !args.isEmpty {
      do throws(JSONError) {
        try JSONReader.read(args) { (reader) throws(JSONError) in
          try reader.beginArray()
          while surplus == nil, try reader.nextElement() {
            if values.count == positionalCount {
              surplus = positionalCount
            } else {
              values.append(try Self.argument(&reader))
            }
          }
        }
      } catch {
        throw .malformedArgs(error)
      }
    }
    if let surplus { throw .surplusPositional(surplus) }
    guard values.count == positionalCount else { throw .missingPositional(values.count) }
    if let index = values.firstIndex(where: { $0.utf8.contains(0) }) {
      throw .positionalWithNUL(index)
    }
    return values
  }

  private func readNamed(_ kwargs: String) throws(ArgumentMismatch) -> [String] {
    var values = [String?](repeating: nil, count: names.count)
    var fault: ArgumentMismatch?
    if !kwargs.isEmpty {
      do throws(JSONError) {
        try JSONReader.read(kwargs) { (reader) throws(JSONError) in
          try reader.beginObject()
          while fault == nil, let name = try reader.nextMember() {
            guard let place = names.firstIndex(of: name) else {
              fault = .unknownName(name)
              continue
            }
            if values[place] != nil { fault = .repeatedName(name) }
            let value = try Self.argument(&reader)
            if value.utf8.contains(0) { fault = .namedWithNUL(name) }
            values[place] = value
          }
        }
      } catch {
        throw .malformedKwargs(error)
      }
    }
    if let fault { throw fault }
    var result: [String] = []
    for (name, value) in zip(names, values) {
      guard let value else { throw .missingName(name) }
      result.append(value)
    }
    return result
  }

  /// A value as an argument: a string's own text, anything else as minified JSON.
  private static func argument(_ reader: inout JSONReader) throws(JSONError) -> String {
    try reader.kind() == .string ? try reader.readString() : try reader.readText()
  }
}

/// Takes the entries of a template apart.
private struct TemplateReader {
  var entries: [[ArgumentTemplate.Piece]] = []
  var positionalCount = 0
  var names: [String] = []

  mutating func read(_ entry: String, _ number: Int) throws(ArgumentTemplateError) {
    var pieces: [ArgumentTemplate.Piece] = []
    var text = ""
    let characters = Array(entry.unicodeScalars)
    var index = 0
    func fault(_ reason: ArgumentTemplateError.Reason, at offset: Int) -> ArgumentTemplateError {
      ArgumentTemplateError(reason: reason, entry: number, offset: offset)
    }
    while index < characters.count {
      let character = characters[index]
      let isDoubled = index + 1 < characters.count && characters[index + 1] == character
      switch character {
      case "\0": throw fault(.containsNUL, at: index)
      case "{" where isDoubled, "}" where isDoubled:
        text.unicodeScalars.append(character)
        index += 2
      case "}": throw fault(.strayBrace, at: index)
      case "{":
        guard let end = characters[index...].firstIndex(of: "}") else {
          throw fault(.unclosedBrace, at: index)
        }
        if number == 0 { throw fault(.placeholderInProgram, at: index) }
        if !text.isEmpty { pieces.append(.text(text)) }
        text = ""
        do throws(ArgumentTemplateError.Reason) {
          pieces.append(try placeholder(characters[(index + 1)..<end]))
        } catch {
          throw fault(error, at: index)
        }
        index = end + 1
      default:
        text.unicodeScalars.append(character)
        index += 1
      }
    }
    if !text.isEmpty { pieces.append(.text(text)) }
    entries.append(pieces)
  }

  private mutating func placeholder(
    _ characters: ArraySlice<Unicode.Scalar>
  ) throws(ArgumentTemplateError.Reason) -> ArgumentTemplate.Piece {
    var text = ""
    text.unicodeScalars.append(contentsOf: characters)
    guard let first = characters.first else { throw .invalidPlaceholder(text) }
    if characters.allSatisfy({ ("0"..."9").contains($0) }) {
      // 01 would be a second way to write 1.
      if first == "0" && characters.count > 1 { throw .invalidPlaceholder(text) }
      guard let index = Int(text), index <= ArgumentTemplate.indexMax else {
        throw .indexTooLarge(text)
      }
      positionalCount = max(positionalCount, index + 1)
      return .positional(index)
    }
    let isName =
      (Self.isLetter(first) || first == "_")
      && characters.allSatisfy {
        Self.isLetter($0) || ("0"..."9").contains($0) || $0 == "_" || $0 == "-" || $0 == "."
      }
    guard isName else { throw .invalidPlaceholder(text) }
    if let place = names.firstIndex(of: text) { return .named(place) }
    names.append(text)
    return .named(names.count - 1)
  }

  private static func isLetter(_ character: Unicode.Scalar) -> Bool {
    ("a"..."z").contains(character) || ("A"..."Z").contains(character)
  }
}

extension ArgumentTemplateError.Reason: Error {}
