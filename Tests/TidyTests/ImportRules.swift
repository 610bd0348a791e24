/// Who may import whom. The targets exist to enforce rules, and this table is the rule.
enum ImportRules {
  static let all = [directions, narrow]

  /// Every Swift target of `Sources`, and all that it may import.
  private static let allowed: [String: Set<String>] = [
    "JSON": ["Glibc"],
    "JobCore": ["DequeModule"],
    "Reactor": ["CPlatform", "Glibc"],
    "HTTPServer": ["CMicroHTTPD", "DequeModule", "Glibc"],
    "JobStorage": ["CPlatform", "DequeModule", "Glibc", "JSON", "JobCore"],
    "Multiprocessing": [
      "CPlatform", "DequeModule", "FoundationEssentials", "Glibc", "JSON",
    ],
    "JobServer": [
      "ArgumentParser", "CNettle", "DequeModule", "Glibc", "HTTPServer", "JSON", "JobCore",
      "JobStorage", "Logging", "Multiprocessing", "Reactor", "Yams",
    ],
    "Lido": ["JobServer", "Multiprocessing"],
    "Examples": [
      "CTurboJPEG", "Glibc", "Lido", "Multiprocessing", "PackageDescription", "Pictures",
      "Synchronization",
    ],
    "Command": ["BigInt", "CPlatform", "Glibc", "Lido", "Multiprocessing"],
  ]

  /// What only one file of a target may import.
  private static let once = [
    (target: "JSON", module: "Glibc"),
    (target: "Multiprocessing", module: "FoundationEssentials"),
    (target: "JobServer", module: "CNettle"),
  ]

  static let directions = Rule(
    "import directions",
    because: """
      The core decides without doing anything, and the adapters know nothing of one another: they \
      meet in JobServer through plain values. Foundation, Dispatch and Swift Concurrency hang in a \
      child forked from a process that used them.
      """,
    samples: [
      Rule.Sample(
        [
          "Sources/JobCore/A.swift": "internal import DequeModule\nimport Glibc\n",
          "Sources/Reactor/B.swift": "public import struct JobCore.Job\n@testable import JSON\n",
          "Sources/Lido/C.swift": "import Multiprocessing\nimport Foundation\n",
          "Sources/Unheard/D.swift": "// import Glibc\nlet text = \"import Glibc\"\nimport Glibc\n",
        ],
        finds: [
          "Sources/JobCore/A.swift:2", "Sources/Reactor/B.swift:1", "Sources/Reactor/B.swift:2",
          "Sources/Lido/C.swift:2", "Sources/Unheard/D.swift:3",
        ])
    ]
  ) { (file: SourceFile) in
    guard file.isSwiftSource, let target = file.target else { return [] }
    return imports(of: file).compactMap { module, line in
      if allowed[target, default: []].contains(module) { return nil }
      return Finding(file, line, "\(target) must not import \(module)")
    }
  }

  static let narrow = Rule(
    "imports of one file",
    because: "What a target needs at one place only is kept there, behind a function of its own.",
    samples: [
      Rule.Sample(
        [
          "Sources/JSON/A.swift": "import Glibc\n",
          "Sources/JSON/B.swift": "\nimport Glibc\n",
          "Sources/Reactor/A.swift": "import Glibc\n",
          "Sources/Reactor/B.swift": "import Glibc\n",
        ],
        finds: ["Sources/JSON/B.swift:2"])
    ]
  ) { (repository: Repository) in
    once.flatMap { target, module in
      let places = repository.files.filter { $0.target == target }.flatMap { file in
        imports(of: file).filter { $0.module == module }.map { (file: file, line: $0.line) }
      }
      return places.dropFirst().map { place in
        Finding(place.file, place.line, "\(places[0].file.path) imports \(module) already")
      }
    }
  }

  private static let kinds: Set = [
    "struct", "class", "enum", "protocol", "typealias", "func", "let", "var", "actor",
  ]

  private static func imports(of file: SourceFile) -> [(module: String, line: Int)] {
    file.code.indices.compactMap { index in
      guard file.code[index].kind == .word, file.code[index].text == "import" else { return nil }
      guard let next = file.code(after: index), next.kind == .word else { return nil }
      let isOfOneName = kinds.contains(next.text)
      guard let module = isOfOneName ? file.code(after: index + 1) : next else { return nil }
      return (module.text, file.code[index].line)
    }
  }
}
