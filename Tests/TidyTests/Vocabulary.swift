/// The words that are not used, and what is said instead. They are the right-hand column of the
/// design's list of words, and names that say nothing.
enum Vocabulary {
  /// Where a word is looked for, always in `Sources`.
  enum Place: Sendable {
    /// In names, comments and strings.
    case everywhere
    /// In names only: prose may need the word.
    case names
    /// In the names of types only.
    case types
  }

  struct Word: Sendable {
    /// One or more words in lower case. `jobHandler`, `job_handler` and "job handler" are the same
    /// to it, and so is the plural.
    let words: [String]
    let instead: String
    let place: Place
    /// Nil for all targets.
    let target: String?

    init(
      _ words: String, say instead: String, in place: Place = .everywhere, of target: String? = nil
    ) {
      self.words = words.split(separator: " ").map(String.init)
      (self.instead, self.place, self.target) = (instead, place, target)
    }
  }

  /// A place that may use a word. One that excepts nothing any more fails.
  struct Exception: Sendable {
    /// A file, or a folder with its slash.
    let path: String
    /// As it stands there.
    let text: String
    let reason: String
  }

  static let words = [
    Word("manager", say: "what it does; it manages nothing"),
    Word("helper", say: "what it helps with"),
    Word("util", say: "what it is about"),
    Word("utils", say: "what it is about"),
    Word("data", say: "what the bytes are", in: .types),
    Word("info", say: "what is known", in: .types),
    Word("webhook", say: "callback, or delivery for one notification"),
    Word("web hook", say: "callback, or delivery for one notification"),
    Word("task handler", say: "the task's function"),
    Word("job handler", say: "the task's function"),
    Word("executor", say: "pool", in: .types),
    Word("future", say: "result handle", in: .types),
    Word("promise", say: "result handle", in: .types),
    Word("dead letter", say: "failed job"),
    Word("message queue", say: "what it holds: jobs, calls"),
    Word("wal", say: "journal"),
    Word("aof", say: "journal"),
    Word("dump", say: "snapshot"),
    Word("tick", say: "turn, or what became due"),
    Word("blacklist", say: "refused, or what is refused"),
    Word("whitelist", say: "allowed, or what is allowed"),
    Word("slave", say: "worker"),
    Word("command", say: "event (past tense) or effect (imperative)", in: .names, of: "JobCore"),
  ]

  static let exceptions: [Exception] = []
}
