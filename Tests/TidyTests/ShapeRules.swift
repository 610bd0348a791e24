/// How long things may get.
enum ShapeRules {
  static let all = [lineLength, functionLength, fileLength]

  private static let columnsMax = 100
  private static let functionLinesMax = 70
  private static let fileLinesMax = 600

  private static func isCode(_ file: SourceFile) -> Bool { file.language != .other }

  static let lineLength = Rule(
    "lines of at most 100 columns",
    because: "Two files fit side by side, and a diff can be read without scrolling.",
    samples: [
      Rule.Sample(
        [
          "Sources/A/A.swift": String(repeating: "x", count: 100) + "\n"
            + String(repeating: "x", count: 101),
          "Sources/A/a.c": "\n" + String(repeating: "é", count: 100) + "\n\n"
            + String(repeating: "é", count: 101),
          "Tests/run.sh": String(repeating: "x", count: 101),
          "Sources/A/A.md": String(repeating: "x", count: 101),
        ],
        finds: ["Sources/A/A.swift:2", "Sources/A/a.c:4", "Tests/run.sh:1"])
    ]
  ) { (file: SourceFile) in
    if !isCode(file) { return [] }
    return zip(1..., file.lines).compactMap { number, line in
      // Every character takes a byte at least, so most lines need no counting.
      if line.utf8.count <= columnsMax || line.count <= columnsMax { return nil }
      return Finding(file, number, "\(line.count) columns")
    }
  }

  static let functionLength = Rule(
    "functions of at most 70 lines",
    because: "A function that fits on a screen can be judged as a whole; most want under 25.",
    samples: [
      Rule.Sample(
        [
          "Sources/A/A.swift": """
          protocol P { func a() -> Int; init(_ a: Int) }
          func fits() {\(String(repeating: "\n", count: 69))}
          func runsOver(a: () -> Int = { 1 }) throws(E) -> [Int] {\(
              String(repeating: "\n// } \" }\nlet a = \"}\"", count: 35))
          }
          init?() {\(String(repeating: "\n", count: 71))}
          var text = "func a() {"
          """,
          "Sources/A/a.c": """
          #define BLOCK(x) { x
          struct a { int b; };
          static int fits(int a)
          {\(String(repeating: "\n", count: 68))}
          int over(void) {\(String(repeating: "\n  if (1) { a('{'); }", count: 70))
          }
          """,
        ],
        finds: ["Sources/A/A.swift:72", "Sources/A/A.swift:144", "Sources/A/a.c:73"])
    ]
  ) { (file: SourceFile) in
    Functions.lines(of: file).compactMap { range in
      if range.count <= functionLinesMax { return nil }
      return Finding(file, range.lowerBound, "a function of \(range.count) lines")
    }
  }

  static let fileLength = Rule(
    "files of at most 600 lines",
    because: "The admired code bases each grew one fat file; split by what the parts are about.",
    samples: [
      Rule.Sample(
        [
          "Sources/A/A.swift": String(repeating: "\n", count: 600),
          "Sources/A/B.swift": String(repeating: "\n", count: 601),
          "Sources/A/page.html": String(repeating: "\n", count: 601),
        ],
        finds: ["Sources/A/B.swift:601"])
    ]
  ) { (file: SourceFile) in
    let count = file.lines.last?.isEmpty == true ? file.lines.count - 1 : file.lines.count
    if !isCode(file) || count <= fileLinesMax { return [] }
    return [Finding(file, count, "\(count) lines")]
  }
}
