public import JSON

/// Why the arguments of a job do not fit an `ArgumentTemplate`.
public enum ArgumentMismatch: Error, Equatable, Sendable {
  /// The template needs a positional argument that is not given: this index, from 0.
  case missingPositional(Int)
  /// The template needs a named argument that is not given.
  case missingName(String)
  /// A positional argument, the one at this index, that the template does not use.
  case surplusPositional(Int)
  /// A named argument that the template does not use.
  case unknownName(String)
  /// A name that is given twice, so that nobody can say which value is meant.
  case repeatedName(String)
  /// The positional argument at this index holds a NUL, at which it would end.
  case positionalWithNUL(Int)
  /// The argument of this name holds a NUL, at which it would end.
  case namedWithNUL(String)
  /// `args` is no JSON array.
  case malformedArgs(JSONError)
  /// `kwargs` is no JSON object.
  case malformedKwargs(JSONError)

  /// Where in the job, as a JSON pointer (RFC 6901): `"/args/2"`. What is missing has the place at
  /// which it would stand.
  public var pointer: String {
    switch self {
    case .missingPositional(let index), .surplusPositional(let index),
      .positionalWithNUL(let index):
      "/args/\(index)"
    case .missingName(let name), .unknownName(let name), .repeatedName(let name),
      .namedWithNUL(let name):
      "/kwargs/\(Self.escaped(name))"
    case .malformedArgs: "/args"
    case .malformedKwargs: "/kwargs"
    }
  }

  /// In a pointer `~` is `~0` and `/` is `~1`.
  private static func escaped(_ name: String) -> String {
    var result = ""
    for character in name.unicodeScalars {
      switch character {
      case "~": result += "~0"
      case "/": result += "~1"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}

extension ArgumentMismatch: CustomStringConvertible {
  /// One sentence that names the argument.
  public var description: String {
    switch self {
    case .missingPositional(let index): "positional argument \(index) is missing"
    case .missingName(let name): "the argument \"\(name)\" is missing"
    case .surplusPositional(let index): "the task takes no positional argument \(index)"
    case .unknownName(let name): "the task takes no argument \"\(name)\""
    case .repeatedName(let name): "the argument \"\(name)\" is given twice"
    case .positionalWithNUL(let index):
      "positional argument \(index) holds a NUL, which no program can be given"
    case .namedWithNUL(let name):
      "the argument \"\(name)\" holds a NUL, which no program can be given"
    case .malformedArgs(let error): "the positional arguments are no JSON array: \(error)"
    case .malformedKwargs(let error): "the named arguments are no JSON object: \(error)"
    }
  }
}
