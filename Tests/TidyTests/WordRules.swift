/// Which words are used, and which wait for a reason.
enum WordRules {
  static let all = [vocabulary, staleExceptions, force, unchecked, unfinished, sleep]

  static let vocabulary = Rule(
    "vocabulary",
    because: """
      One word for one thing, in code, API, logs, dashboard and docs alike; the list is in \
      Tests/TidyTests/Vocabulary.swift.
      """,
    samples: [
      Rule.Sample(
        [
          "Sources/JobServer/A.swift": """
          struct JobManager {}
          // A helper that posts the Web-Hooks
          let walBytes = 0, jobWALFile = 1, wall = 2
          func jobHandler() {}
          struct Info {}; struct Information {}; let info = Info()
          struct PoolExecutor {} // ThreadPoolExecutor is Python's
          let text = "
            the
            blacklist"
          /* it
             dumps */ let ticks = 1, sticky = 2, command = 3
          struct DataFolder {}
          """.replacingQuotes(),
          "Sources/JobCore/A.swift": "enum Command {}\n// the command line\n",
          "Sources/Multiprocessing/A.swift": "class Manager {}\nclass PoolManager {}\n",
          "Sources/JobServer/TickManager.swift": "",
          "Tests/A/A.swift": "let manager = 1\n",
        ],
        finds: [1, 2, 2, 3, 3, 4, 5, 6, 9, 11, 11].map { "Sources/JobServer/A.swift:\($0)" } + [
          "Sources/JobCore/A.swift:1", "Sources/Multiprocessing/A.swift:2",
          "Sources/JobServer/TickManager.swift:0", "Sources/JobServer/TickManager.swift:0",
        ])
    ]
  ) { (file: SourceFile) in
    guard let target = file.target, file.language == .swift || file.language == .c else {
      return []
    }
    return spoken(in: file).flatMap { phrase in
      Vocabulary.words.flatMap { word in
        word.target == nil || word.target == target
          ? phrase.uses(of: word, in: file).map {
            Finding(file, $0, "\"\(word.words.joined(separator: " "))\": say \(word.instead)")
          } : []
      }
    }
  }

  static let staleExceptions = Rule(
    "exceptions that are still needed",
    because: "An exception that nothing needs any more hides the next mistake.",
    samples: [Rule.Sample([:], finds: (Vocabulary.exceptions.map(\.path) + ["x"]).map(atTop))]
  ) { (repository: Repository) in
    let unused = Vocabulary.Exception(path: "x", text: "never written", reason: "for the sample")
    let exceptions = Vocabulary.exceptions + (repository.root == nil ? [unused] : [])
    let stale = exceptions.filter { exception in
      !repository.files.contains {
        $0.path.hasPrefix(exception.path) && $0.text.contains(exception.text)
      }
    }
    return stale.map { Finding(path: $0.path, line: 0, what: "\"\($0.text)\" is not there") }
  }

  private static func atTop(_ path: String) -> String { "\(path):0" }

  static let force = Rule(
    "a reason next to every try!, as! and fatalError",
    because: "Each ends the service; `// reason: …` on its line or above says why it never will.",
    reasonAllows: true,
    samples: [
      Rule.Sample(
        [
          "Sources/A/A.swift": """
          try! a()
          let b = c as! D
          fatalError("e")
          try! a() // reason: checked above.
          // reason: the table holds only these,
          // which its test shows.
          let b = c as! D
          // It cannot fail.
          try! a()
          // try! fatalError as!
          try? a()
          """
        ],
        finds: [1, 2, 3, 9].map { "Sources/A/A.swift:\($0)" })
    ],
    in: \.isSwift
  ) { file, index in
    let (token, next) = (file.code[index], file.code(after: index))
    switch token.text {
    case "fatalError": return "fatalError"
    case "try", "as":
      let isForced = next?.text == "!" && next?.range.lowerBound == token.range.upperBound
      return isForced ? "\(token.text)!" : nil
    default: return nil
    }
  }

  static let unchecked = Rule(
    "a reason next to every @unchecked, and in Sources next to every nonisolated(unsafe)",
    because: "The compiler takes its word for it; `// reason: …` on its line or above says why.",
    reasonAllows: true,
    samples: [
      Rule.Sample(
        [
          "Sources/A/A.swift": """
          final class A: @unchecked Sendable {}
          nonisolated(unsafe) var b = 0
          final class C: @unchecked Sendable {}  // reason: constant.
          /// Unchecked, reason: what changes is
          /// behind `lock`.
          final class D: @unchecked Sendable {}
          // @unchecked
          let unchecked = 0
          nonisolated func unsafe() {}
          """,
          "Tests/A/A.swift": "class A: @unchecked Sendable {}\nnonisolated(unsafe) var b = 0\n",
        ],
        finds: ["Sources/A/A.swift:1", "Sources/A/A.swift:2", "Tests/A/A.swift:1"])
    ],
    in: \.isSwift
  ) { file, index in
    switch file.code[index].text {
    case "unchecked": return file.code(before: index)?.text == "@" ? "@unchecked" : nil
    case "unsafe":
      let isPromise =
        file.isSwiftSource && index > 1 && file.code[index - 1].text == "("
        && file.code[index - 2].text == "nonisolated"
      return isPromise ? "nonisolated(unsafe)" : nil
    default: return nil
    }
  }

  static let unfinished = Rule(
    "nothing left to do",
    because: "What is to be done later is an issue; what is in the code is finished.",
    samples: [
      Rule.Sample(
        [
          "Sources/A/A.swift": "// TODO: more\nlet todo = 1 // FIXME later\n/// XXX\n// todo\n",
          "Tests/run.sh": "echo\n# TODO: more\n",
        ],
        finds: (1...3).map { "Sources/A/A.swift:\($0)" } + ["Tests/run.sh:2"])
    ]
  ) { (file: SourceFile) in
    let marks: Set = ["TO" + "DO", "FIX" + "ME", "XXX", "HACK"]
    func isMarked(_ text: some StringProtocol) -> Bool {
      text.split { !$0.isLetter }.contains { marks.contains(String($0)) }
    }
    if !file.tokens.isEmpty {
      let comments = file.tokens.filter { $0.kind == .comment && isMarked($0.text) }
      return comments.map { Finding(file, $0.line, String($0.text.prefix(60))) }
    }
    guard file.language == .shell || file.language == .python else { return [] }
    return zip(1..., file.lines).filter { isMarked($1) }.map { Finding(file, $0, String($1)) }
  }

  static let sleep = Rule(
    "no sleeping tests",
    because: """
      A test that sleeps is slow when it need not be and fails when it must not: wait for the \
      event itself, with a bound. A program that is only there to be killed may say its `reason:`.
      """,
    reasonAllows: true,
    samples: [
      Rule.Sample(
        [
          "Tests/A/A.swift": sampledSleeps.map { "\($0)(1)\n" }.joined() + """
            try await Task.\(sampledSleeps[0])(for: .seconds(1))
            let \(sampledSleeps[0]) = "\(sampledSleeps[0])(1)" // \(sampledSleeps[0])(1)
            \(sampledSleeps[0])(9) // reason: it is here to be killed.
            """,
          "Sources/A/A.swift": "\(sampledSleeps[0])(1)\n",
        ],
        finds: (1...5).map { "Tests/A/A.swift:\($0)" })
    ],
    in: \.isSwiftTest
  ) { file, index in
    let word = file.code[index].text
    guard sleeps.contains(word) else { return nil }
    return file.code(after: index)?.text == "(" ? "\(word)()" : nil
  }
  private static let sleeps: Set = ["sleep", "usleep", "nanosleep", "clock_nanosleep"]
  /// The same once more, so that the sample misses what is missing above.
  private static let sampledSleeps = ["", "u", "nano", "clock_nano"].map { $0 + "sleep" }

  /// What a file says: the words of its name, and those of every token.
  private static func spoken(in file: SourceFile) -> [Phrase] {
    let name = file.name.split(separator: ".").first ?? ""
    return [Phrase(name, kind: .type, line: 0)]
      + file.tokens.indices.map { index in
        let token = file.tokens[index]
        switch token.kind {
        case .word: return Phrase(token.text, kind: kind(file.tokens, index), line: token.line)
        case .comment, .string: return Phrase(token.text, kind: .prose, line: token.line)
        case .number, .symbol, .directive: return Phrase("", kind: .prose, line: token.line)
        }
      }
  }

  private static func kind(_ tokens: [Token], _ index: Int) -> Phrase.Kind {
    let declares: Set = ["struct", "class", "enum", "protocol", "actor", "typealias"]
    return index > 0 && declares.contains(tokens[index - 1].text) ? .type : .name
  }
}

extension String {
  /// A sample cannot hold three quotes in a row.
  fileprivate func replacingQuotes() -> String {
    var result = ""
    for character in self { result += character == "\"" ? "\"\"\"" : String(character) }
    return result
  }
}
