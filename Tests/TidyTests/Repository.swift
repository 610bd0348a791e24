import Glibc

/// The files that the rules are about: those of the project, or those of a sample.
struct Repository: Sendable {
  let files: [SourceFile]
  /// Where they are on disk; nil for a sample.
  let root: String?

  /// The project that this file belongs to.
  static let project = Repository(root: String(#filePath.dropLast(sourcePath.count)))

  private static let sourcePath = "/Tests/TidyTests/Repository.swift"

  /// A sample: files by path.
  init(_ texts: KeyValuePairs<String, String>) {
    files = texts.map { SourceFile(path: $0, text: $1) }
    root = nil
  }

  /// Files as git sees them: committed ones, and those that would be with the next `git add`.
  /// Where there is no git (an unpacked archive), all but what builds leave behind.
  private init(root: String) {
    let git = Subprocess([
      "git", "-c", "safe.directory=*", "-c", "core.quotePath=off", "-C", root, "ls-files",
      "--cached", "--others", "--exclude-standard",
    ])
    let find = [
      "find", root, "(", "-name", ".git", "-o", "-name", ".build*", "-o", "-name", ".swiftpm",
      "-o", "-name", "__pycache__", "-o", "-name", "Package.resolved", ")", "-prune", "-o",
      "-type", "f", "-printf", "%P\\n",
    ]
    let listing = git.status == 0 ? git.output : Subprocess(find).output
    files = Set(listing.split(separator: "\n")).sorted().compactMap { path in
      Self.read("\(root)/\(path)").map { SourceFile(path: String(path), text: $0) }
    }
    self.root = root
  }

  /// Nil for what is no regular file any more. What is no text, or too large to be a source, is
  /// empty: only its name can be judged.
  private static func read(_ path: String) -> String? {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    guard status.st_size <= 1 << 20, let file = fopen(path, "rb") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    let count = fread(&bytes, 1, bytes.count, file)
    return String(validating: bytes[..<count], as: UTF8.self) ?? ""
  }
}
