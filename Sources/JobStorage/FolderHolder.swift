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
