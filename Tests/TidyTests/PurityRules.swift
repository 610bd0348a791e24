/// One thread, one clock, one epoll, and a core that gives the same answers every time.
enum PurityRules {
  static let all = [concurrency, locks, clocks, epoll, dictionaryOrder]

  private static let server: Set = ["JobCore", "Reactor", "JobServer", "HTTPServer"]

  static let concurrency = Rule(
    "no Swift Concurrency",
    because: """
      The server is one thread that waits in one place, and a task's runtime hangs in a child \
      forked from a process that used it.
      """,
    reasonAllows: false,
    samples: [
      Rule.Sample(
        [
          "Sources/JobServer/A.swift":
            "func a() async {\n  await b()\n  Task { c() }\n  Task.yield()\n}\nactor D {}\n",
          "Sources/JobServer/B.swift":
            "// async\nlet task: Task\nlet text = \"await \\(task)\"\nlet actor = 1\n",
        ],
        finds: (1...4).map { "Sources/JobServer/A.swift:\($0)" } + ["Sources/JobServer/A.swift:6"])
    ],
    in: \.isSwiftSource
  ) { file, index in
    let (word, next) = (file.code[index].text, file.code(after: index))
    switch word {
    case "async", "await": return "`\(word)` in Sources"
    case "Task", "DispatchQueue", "Thread":
      return next?.text == "{" || next?.text == "." ? "`\(word)` in Sources" : nil
    case "actor": return next?.kind == .word ? "an actor in Sources" : nil
    default: return nil
    }
  }

  static let locks = Rule(
    "no locks and no unchecked promises",
    because: "One thread needs no lock, and what it owns need not be claimed to be sendable.",
    reasonAllows: false,
    samples: [
      Rule.Sample(
        [
          "Sources/Reactor/A.swift":
            "let lock = Mutex(0)\nfinal class B: @unchecked Sendable {}\nlet fine: any Sendable\n",
          "Sources/Multiprocessing/A.swift": "final class B: @unchecked Sendable {}\n",
        ],
        finds: ["Sources/Reactor/A.swift:1", "Sources/Reactor/A.swift:2"])
    ],
    in: { $0.isSwiftSource && server.contains($0.target ?? "") },
    eachToken: { file, index in
      switch file.code[index].text {
      case "Mutex", "pthread_mutex_t": return "a lock in \(file.target ?? "")"
      case "unchecked": return "`@unchecked` in \(file.target ?? "")"
      default: return nil
      }
    })

  static let clocks = Rule(
    "one file reads the clocks",
    because: """
      Time comes in as an argument and goes out as a deadline, so that a test, a replay and a \
      recovery decide what time it is. Ask Reactor/SystemClock.swift at the edge and pass it on.
      """,
    reasonAllows: false,
    samples: [
      Rule.Sample(
        [
          "Sources/Reactor/SystemClock.swift": "clock_gettime(CLOCK_REALTIME, &now)\n",
          "Sources/JobStorage/A.swift":
            "let now = time(nil)\nlet later = ContinuousClock.now\nclock_gettime(a, &b)\n",
          "Sources/JobServer/A.swift":
            "server.time(1)\nfunc time() {}\n// time(nil)\nlet time = 1\n",
        ],
        finds: (1...3).map { "Sources/JobStorage/A.swift:\($0)" })
    ],
    in: {
      $0.isSwiftSource && server.union(["JobStorage"]).contains($0.target ?? "")
        && $0.path != "Sources/Reactor/SystemClock.swift"
    },
    eachToken: { file, index in
      let word = file.code[index].text
      switch word {
      case "clock_gettime", "ContinuousClock", "SuspendingClock", "gettimeofday", "DispatchTime",
        "timespec_get":
        return "`\(word)` reads a clock"
      case "time", "clock", "Date":
        let before = file.code(before: index)?.text
        let isCall = file.code(after: index)?.text == "(" && before != "." && before != "func"
        return isCall ? "`\(word)(` reads a clock" : nil
      default: return nil
      }
    })

  /// The adapters that join several descriptors into the one that they show to the reactor.
  private static let inner: Set = ["HTTPServer", "Multiprocessing"]

  static let epoll = Rule(
    "one file per adapter calls epoll",
    because: """
      The server waits in one place, and an adapter that joins several descriptors into one does \
      it in one place; a second would not see the deadlines of the first.
      """,
    samples: [
      Rule.Sample(
        [
          "Sources/Reactor/Epoll.swift": "epoll_wait(a, b, c, d)\n",
          "Sources/Reactor/Reactor.swift": "epoll.wait()\nepoll_wait(a, b, c, d)\n",
          "Sources/HTTPServer/A.swift": "epoll_ctl(a)\nvar event = epoll_event()\n",
          "Sources/HTTPServer/B.swift": "\nepoll_wait(a)\n",
          "Sources/JobServer/A.swift": "epoll_create1(0)\n",
        ],
        finds: [
          "Sources/Reactor/Reactor.swift:2", "Sources/HTTPServer/B.swift:2",
          "Sources/JobServer/A.swift:1",
        ])
    ]
  ) { (repository: Repository) in
    var places = ["Reactor": "Sources/Reactor/Epoll.swift"]
    return repository.files.filter(\.isSwiftSource).flatMap { file in
      let (calls, target) = (epollCalls(of: file), file.target ?? "")
      if !calls.isEmpty, inner.contains(target), places[target] == nil {
        places[target] = file.path
      }
      if places[target] == file.path { return [Finding]() }
      let place = places[target] ?? "none of \(target)"
      return calls.map { Finding(file, $0.line, "calls \($0.text): only \(place) may") }
    }
  }

  private static func epollCalls(of file: SourceFile) -> [Token] {
    file.code.indices.filter {
      file.code[$0].kind == .word && file.code[$0].text.hasPrefix("epoll_")
        && file.code(after: $0)?.text == "("
        // The structures are types of the header, not calls.
        && !["epoll_event", "epoll_data_t"].contains(file.code[$0].text)
    }.map { file.code[$0] }
  }

  static let dictionaryOrder = Rule(
    "the core never goes through a dictionary",
    because: """
      Its order differs from process to process, so a replay would decide otherwise. Where the \
      order cannot matter, a `reason:` comment says why.
      """,
    samples: [
      Rule.Sample(
        [
          "Sources/JobCore/A.swift": """
          struct A {
            var jobs: [Int: [String]] = [:]
            var names: Set<String> = []
            var rows: [Int] = []
            var ages = [Int: Int]()
            private var numbers: [Int: Int] = [:]
          }
          """,
          "Sources/JobCore/B.swift": """
          for (id, job) in state.jobs { f(id, job) }
          for name in names where name.isEmpty {}
          let first = jobs.keys.sorted()
          ages.forEach { f($0) }
          for row in rows {}
          for line in jobs[3] {}
          let many = jobs.count
          // reason: adding up has no order.
          for age in ages.values { total += age }
          for number in numbers {}
          """,
          "Sources/JobCore/C.swift": "let jobs = [1]\nfor job in jobs {}\n",
          "Sources/JobServer/A.swift": "for job in jobs {}\n",
        ],
        finds: (1...4).map { "Sources/JobCore/B.swift:\($0)" })
    ]
  ) { (repository: Repository) in
    let core = repository.files.filter { $0.isSwiftSource && $0.target == "JobCore" }
    let declarations = core.map(DictionaryUse.declarations)
    let shared = declarations.reduce(into: Set<String>()) { $0.formUnion($1.shared) }
    return zip(core, declarations).flatMap { file, own in
      DictionaryUse.iterations(over: own.unordered.union(shared.subtracting(own.others)), in: file)
        .filter { !file.givesReason(at: $0.line) }
        .map { Finding(file, $0.line, "goes through `\($0.text)`, which has no order") }
    }
  }
}
