/// What other programs judge better.
enum ToolRules {
  static let all = [shellSyntax, format]

  static let shellSyntax = Rule(
    "shell scripts that bash can read",
    because: "A script is read only as far as it runs, so a mistake in its last line shows last.",
    samples: [
      Rule.Sample(
        [
          "Tests/a.sh": "if true; then echo; fi\n", "Tests/b.sh": "echo\nif true; then echo\n",
          "Tests/c.py": "if True:\n",
        ],
        finds: ["Tests/b.sh:0"])
    ]
  ) { (file: SourceFile) in
    guard file.language == .shell else { return [] }
    let bash = Subprocess(["bash", "-n"], input: file.text)
    return bash.status == 0 ? [] : [Finding(file, 0, String(bash.output.prefix(200)))]
  }

  static let format = Rule(
    "swift format has nothing to say",
    because:
      "Nobody discusses where a brace goes: `swift format -i -r Sources Tests` puts it there.",
    samples: [
      Rule.Sample(
        [
          "Sources/A/A.swift": "let a = 1\n", "Sources/A/B.swift": "let b = 1\nlet c=1;\n",
          "Sources/A/c.c": "int c=1 ;\n",
        ],
        finds: ["Sources/A/B.swift:2", "Sources/A/B.swift:2", "Sources/A/B.swift:2"])
    ]
  ) { repository in
    guard let root = repository.root else { return repository.files.flatMap(formatFindings) }
    let places = ["Sources", "Tests", "Package.swift"].map { "\(root)/\($0)" }
    return findings(
      of: Subprocess(["swift", "format", "lint", "--strict", "--parallel", "-r"] + places),
      without: "\(root)/")
  }

  private static func formatFindings(of sample: SourceFile) -> [Finding] {
    if sample.language != .swift { return [] }
    let configuration = (Repository.project.root ?? "") + "/.swift-format"
    let arguments = [
      "swift", "format", "lint", "--strict", "--configuration", configuration,
      "--assume-filename", sample.path, "-",
    ]
    return findings(of: Subprocess(arguments, input: sample.text), without: "")
  }

  /// Each line that it prints is `path:line:column: error: [Rule] what`.
  private static func findings(of lint: Subprocess, without root: String) -> [Finding] {
    if lint.status == 0 { return [] }
    let findings = lint.output.split(separator: "\n").compactMap { line -> Finding? in
      let parts = line.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
      guard parts.count == 4, let number = Int(parts[1]) else { return nil }
      let path = parts[0].hasPrefix(root) ? parts[0].dropFirst(root.count) : parts[0]
      return Finding(path: String(path), line: number, what: String(parts[3].dropFirst()))
    }
    // It failed without naming a place: what it said is the finding.
    if findings.isEmpty { return [Finding(path: "swift format", line: 0, what: lint.output)] }
    return findings
  }
}
