import ArgumentParser

/// What stands on the command line, made ready for the parser: what it would answer with words that
/// lead nowhere.
enum CommandLineArguments {
  /// The commands, by name.
  private static let commands = RootCommand.configuration.subcommands.compactMap {
    $0.configuration.commandName
  }

  /// Joins a negative number to the flag before it, `--processes -3` to `--processes=-3`: the
  /// parser would take it for another flag, and say that the value is missing which stands there.
  static func prepared(_ arguments: [String]) -> [String] {
    // What stands behind `--` is no flag, and no value of one.
    let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
    var prepared: [String] = []
    for argument in arguments[..<end] {
      let isNegative = argument.first == "-" && argument.dropFirst().first?.isNumber == true
      if isNegative, let flag = prepared.last, flag.hasPrefix("--"), !flag.contains("=") {
        prepared[prepared.count - 1] = "\(flag)=\(argument)"
      } else {
        prepared.append(argument)
      }
    }
    return prepared + arguments[end...]
  }

  /// Says which commands there are, if the first argument is none; nil: it is one, or a flag.
  static func whyUnknown(_ arguments: [String]) -> String? {
    guard let first = arguments.first, !first.hasPrefix("-") else { return nil }
    guard !(commands + ["help"]).contains(first) else { return nil }
    return "no such command: '\(first)'\(Spelling.hint(for: first, among: commands)); "
      + "the commands are: \(commands.joined(separator: ", "))"
  }
}
