internal import Glibc

/// Who uses a data folder, without touching its lock: whoever probes a lock by taking it may refuse
/// it to a server that starts just then.
public enum FolderHolder {
  /// What the server that uses the folder `path` wrote into its lock ("process 17"); nil: none
  /// does, as far as can be seen. Reads /proc/locks (proc(5)), so a server on another machine that
  /// shares the folder is not seen.
  public static func name(of path: String) -> String? {
    let lock = DataDirectory(path: path).lock
    var status = stat()
    guard stat(lock, &status) == 0 else { return nil }
    let isHeld = text(of: "/proc/locks").split(separator: "\n").contains { line in
      // `1: FLOCK  ADVISORY  WRITE 17 fe:00:4711 0 EOF`
      let fields = line.split(separator: " ").dropFirst()
      return fields.first == "FLOCK" && fields.contains { $0.hasSuffix(":\(status.st_ino)") }
    }
    guard isHeld else { return nil }
    let holder = text(of: lock).prefix { $0 != "\n" }
    return holder.isEmpty ? "another process" : String(holder)
  }

  /// The processes that hold the folder `path` though the server that locked it is gone: the fork
  /// server and the workers of one that was killed, which end by themselves a moment later. As
  /// `812 (lido-forks)`, at most eight; nil: that server lives.
  ///
  /// Reads /proc (proc(5)). Of other users' processes it is not seen what they have open; a server
  /// of theirs is taken to live while there is a process of its number.
  public static func leftovers(of path: String) -> [String]? {
    let lock = DataDirectory(path: path).lock
    var status = stat()
    guard stat(lock, &status) == 0, let processes = opendir("/proc") else { return [] }
    defer { closedir(processes) }
    let server = text(of: lock).split { $0 == " " || $0 == "\n" }.last.flatMap { Int32($0) }
    var found: [String] = []
    while let entry = readdir(processes) {
      guard let process = Int32(name(of: entry)), process != getpid(),
        isOpen(status, in: process) ?? (process == server)
      else { continue }
      if process == server { return nil }
      let name = text(of: "/proc/\(process)/comm").prefix { $0 != "\n" }
      if found.count < 8 { found.append("\(process) (\(name))") }
    }
    return found
  }

  /// Whether a process has a file open; nil when that is not shown to us.
  private static func isOpen(_ file: stat, in process: Int32) -> Bool? {
    let path = "/proc/\(process)/fd"
    guard let descriptors = opendir(path) else { return errno == EACCES ? nil : false }
    defer { closedir(descriptors) }
    while let entry = readdir(descriptors) {
      var status = stat()
      guard stat("\(path)/\(name(of: entry))", &status) == 0 else { continue }
      if status.st_ino == file.st_ino, status.st_dev == file.st_dev { return true }
    }
    return false
  }

  private static func name(of entry: UnsafeMutablePointer<dirent>) -> String {
    withUnsafePointer(to: &entry.pointee.d_name) { name in
      name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
  }

  private static func text(of path: String) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = read(file, &piece, piece.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += piece[..<count]
    }
  }
}
