import Glibc

/// Looks for a program as the child that is to execute it will.
enum ProgramSearch {
  /// Why a program cannot be started, as far as that can be seen now; nil: it is there.
  ///
  /// - Parameters:
  ///   - name: a path, or a bare name.
  ///   - path: folders with colons between them, for a bare name. An empty entry is none.
  static func fault(of name: String, path: String) -> String? {
    if name.hasPrefix("/") { return fault(at: name) }
    if name.contains("/") {
      return """
        a relative path is looked for in the job's working folder, which is empty; write the whole \
        path
        """
    }
    var found: String?
    for folder in path.split(separator: ":") {
      // A relative folder would be one in the job's working folder, which is empty.
      guard folder.hasPrefix("/") else { continue }
      guard let fault = fault(at: "\(folder)/\(name)") else { return nil }
      if fault != missing { found = found ?? "\(folder)/\(name): \(fault)" }
    }
    return found ?? "it is in none of \(path)"
  }

  private static let missing = "there is no such file"

  private static func fault(at path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0 else {
      return errno == ENOENT || errno == ENOTDIR ? missing : String(cString: strerror(errno))
    }
    guard status.st_mode & S_IFMT == S_IFREG else { return "it is no file" }
    // Effective rights, as execve(2) asks for.
    guard faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 else {
      return "it may not be executed: \(String(cString: strerror(errno)))"
    }
    return nil
  }
}
