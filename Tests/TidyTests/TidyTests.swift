import Testing

@Suite struct TidyTests {
  static let rules =
    ImportRules.all + PurityRules.all + ShapeRules.all + WordRules.all + DocumentationRules.all
    + FrameRules.all + ToolRules.all

  @Test(arguments: rules)
  func `The project keeps the rule`(rule: Rule) {
    for finding in rule.check(.project) {
      Issue.record(
        "\(finding.path):\(finding.line): \(rule.name): \(finding.what). \(rule.reason)",
        sourceLocation: location(of: finding))
    }
  }

  /// So that the failure is reported at the place, where an editor can jump to it.
  private func location(of finding: Finding) -> SourceLocation {
    SourceLocation(
      fileID: "lido/\(finding.path)", filePath: "\(Repository.project.root ?? "")/\(finding.path)",
      line: max(1, finding.line), column: 1)
  }

  @Test(arguments: rules)
  func `The rule catches what breaks it and nothing else`(rule: Rule) {
    #expect(rule.samples.contains { !$0.findings.isEmpty }, "a rule that nothing can break")
    for sample in rule.samples {
      let found = rule.check(sample.repository).map { "\($0.path):\($0.line)" }
      #expect(found == sample.findings)
    }
  }

  @Test func `The project that is checked is this one`() {
    let paths = Repository.project.files.map(\.path)
    #expect(paths.contains("Package.swift"))
    #expect(paths.contains("Tests/TidyTests/TidyTests.swift"))
    #expect(paths.contains { $0.hasPrefix("Sources/Reactor/") })
    #expect(!paths.contains { $0.contains(".build") })
  }
}
