import Testing

/// A place that breaks a rule.
struct Finding: Equatable, Sendable {
  let path: String
  /// From 1; 0 when it is about the file as a whole.
  let line: Int
  let what: String

  init(_ file: SourceFile, _ line: Int, _ what: String) {
    (path, self.line, self.what) = (file.path, line, what)
  }

  init(path: String, line: Int, what: String) {
    (self.path, self.line, self.what) = (path, line, what)
  }
}

/// One rule of the house: what it is called, why there is one, how it is checked, and what shows
/// that the check can fail.
struct Rule: Sendable, CustomTestStringConvertible {
  /// Files made up to break the rule, or to come close without breaking it.
  struct Sample: Sendable {
    let repository: Repository
    /// The `path:line` of each finding, in order.
    let findings: [String]

    init(_ texts: KeyValuePairs<String, String>, finds findings: [String]) {
      repository = Repository(texts)
      self.findings = findings
    }
  }

  let name: String
  let reason: String
  let samples: [Sample]
  let check: @Sendable (Repository) -> [Finding]

  var testDescription: String { name }

  init(
    _ name: String, because reason: String, samples: [Sample],
    check: @escaping @Sendable (Repository) -> [Finding]
  ) {
    (self.name, self.reason, self.samples, self.check) = (name, reason, samples, check)
  }

  /// A rule that looks at one file at a time.
  init(
    _ name: String, because reason: String, samples: [Sample],
    eachFile check: @escaping @Sendable (SourceFile) -> [Finding]
  ) {
    self.init(name, because: reason, samples: samples) { repository in
      repository.files.flatMap(check)
    }
  }

  /// A rule that looks at one token of code at a time: `find` answers what is wrong with the token
  /// at an index of `code`, or nil. With `reasonAllows` a `reason:` next to it excepts a place.
  init(
    _ name: String, because reason: String, reasonAllows: Bool, samples: [Sample],
    in applies: @escaping @Sendable (SourceFile) -> Bool,
    eachToken find: @escaping @Sendable (SourceFile, Int) -> String?
  ) {
    self.init(name, because: reason, samples: samples) { (file: SourceFile) in
      if !applies(file) { return [] }
      return file.code.indices.compactMap { index in
        let line = file.code[index].line
        if reasonAllows, file.givesReason(at: line) { return nil }
        return find(file, index).map { Finding(file, line, $0) }
      }
    }
  }
}
