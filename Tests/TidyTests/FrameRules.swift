/// What is where, and what is not committed at all.
enum FrameRules {
  static let all = [topLevel, products, machinePaths, strictTargets, strictShell]

  private static let topLevelNames: Set = [
    "Package.swift", "Sources", "Tests", "openapi", "deploy", "README.md", "LICENSE",
    "CHANGELOG.md",
  ]

  static let topLevel = Rule(
    "the agreed top level",
    because: "Who opens the project sees where everything is; design notes live beside the code.",
    samples: [
      Rule.Sample(
        [
          "Package.swift": "", "Sources/A/A.swift": "", ".github/a": "", ".editorconfig": "",
          "Makefile": "", "docs/a.md": "",
        ],
        finds: ["Makefile:0", "docs/a.md:0"])
    ]
  ) { (file: SourceFile) in
    let name = file.path.split(separator: "/").first ?? ""
    if name.hasPrefix(".") || topLevelNames.contains(String(name)) { return [] }
    return [Finding(file, 0, "\(name) is not among the agreed names")]
  }

  static let products = Rule(
    "no build products",
    because: "What a command makes is made by the command, for the machine that it runs on.",
    samples: [
      Rule.Sample(
        [
          ".build/a": "", ".build-release/a": "", "Package.resolved": "", "deploy/lido.deb": "",
          "Sources/A/a.o": "", "Tests/__pycache__/a": "", "Sources/A/build.swift": "",
        ],
        finds: [
          ".build/a:0", ".build-release/a:0", "Package.resolved:0", "deploy/lido.deb:0",
          "Sources/A/a.o:0", "Tests/__pycache__/a:0",
        ])
    ]
  ) { (file: SourceFile) in
    let parts = file.path.split(separator: "/")
    let isInProducts = parts.contains { $0.hasPrefix(".build") || $0 == "__pycache__" }
    let endings: Set = ["deb", "rpm", "so", "o", "a", "dylib", "pyc", "swiftmodule", "core"]
    let name = parts.last ?? ""
    let hasEnding =
      name.contains(".") && endings.contains(String(name.split(separator: ".").last ?? ""))
    if !isInProducts, !hasEnding, name != "Package.resolved" { return [] }
    return [Finding(file, 0, "is a build product")]
  }

  /// In two parts each, so that this file does not hold what it looks for.
  private static let machine = [
    "/" + "work/", "/" + "root/", "/opt/" + "wheels", "find-" + "links", "--index" + "-url",
    "--extra-index" + "-url", "registry." + "npmjs", "pypi.org/" + "simple", "proxy." + "golang",
    "index." + "crates.io", "artifact" + "ory", "files." + "pythonhosted",
  ]

  static let machinePaths = Rule(
    "no paths or registries of one machine",
    because: "The project builds on a machine that has only the Swift toolchain and Debian's own.",
    samples: [
      Rule.Sample(
        [
          "README.md": "see\n/" + "work/main\n",
          "Tests/a.sh": "pip install --index" + "-url x\n",
          "openapi/a.yaml": "/v1/workers/\n",
        ],
        finds: ["README.md:2", "Tests/a.sh:1"])
    ]
  ) { (file: SourceFile) in
    if !machine.contains(where: file.text.contains) { return [] }
    return zip(1..., file.lines).compactMap { number, line in
      machine.first(where: line.contains).map { Finding(file, number, "says \($0)") }
    }
  }

  static let strictTargets = Rule(
    "every Swift target is strict",
    because: "A warning is an error everywhere, so that none is left to get used to.",
    samples: [
      Rule.Sample(
        [
          "Package.swift": """
          let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
          .target(name: "A", dependencies: [.product(name: "B")], swiftSettings: strict),
          .target(name: "C", cSettings: [.define("D")]),
          .testTarget(
            name: "E", dependencies: ["F"]),
          .executableTarget(name: "G", swiftSettings: [])
          """
        ],
        finds: ["Package.swift:4", "Package.swift:6"]),
      Rule.Sample(
        ["Package.swift": "let strict = []\n.target(name: \"A\", swiftSettings: strict)\n"],
        finds: ["Package.swift:1"]),
    ]
  ) { (file: SourceFile) in
    guard file.path == "Package.swift" else { return [] }
    let code = file.code
    let kinds: Set = ["target", "executableTarget", "testTarget", "macro", "plugin"]
    let lax = code.indices.filter { index in
      guard kinds.contains(code[index].text), file.code(before: index)?.text == "." else {
        return false
      }
      let arguments = call(code, at: index)
      let settings = arguments.firstIndex { $0.text == "swiftSettings" }
      if let settings { return arguments[settings + 2].text != "strict" }
      return !arguments.contains { $0.text == "cSettings" }
    }.map { Finding(file, code[$0].line, "has not `swiftSettings: strict`") }
    if code.contains(where: { $0.text == "treatAllWarnings" }) { return lax }
    return lax + [Finding(file, 1, "warnings are not errors")]
  }

  /// What stands between the parentheses after a name.
  private static func call(_ code: [Token], at name: Int) -> ArraySlice<Token> {
    var depth = 0
    for index in (name + 1)..<code.count {
      if code[index].text == "(" { depth += 1 }
      if code[index].text == ")" { depth -= 1 }
      if depth == 0 { return code[(name + 1)...index] }
    }
    return []
  }

  static let strictShell = Rule(
    "shell scripts stop at the first mistake",
    because: "A script that goes on after a failure reports a success that did not happen.",
    samples: [
      Rule.Sample(
        [
          "Tests/a.sh": "#!/usr/bin/env bash\n# What it does.\nset -euo pipefail\necho\n",
          "Tests/b.sh": "#!/bin/sh\necho\nset -eu\n",
          ".ci/run": "#!/usr/bin/env bash\nset -e\n",
          "Tests/c.py": "#!/usr/bin/env python3\n",
        ],
        finds: ["Tests/b.sh:2", ".ci/run:2"])
    ]
  ) { (file: SourceFile) in
    guard file.language == .shell else { return [] }
    let first = zip(1..., file.lines).first { !$1.isEmpty && !$1.hasPrefix("#") }
    let words = (first?.1 ?? "").split(separator: " ")
    if words.count > 1, words[0] == "set", words[1].hasPrefix("-e"), words[1].contains("u") {
      return []
    }
    return [Finding(file, first?.0 ?? 1, "does not begin with `set -eu`")]
  }
}
