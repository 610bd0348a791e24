import Glibc

/// What a process holds, to see that nothing is left over.
struct Resources: Equatable {
  var files: Int
  var sharedMappings: Int
  var children: Int

  /// What it holds now.
  static func now() -> Resources {
    Resources(
      files: openFiles(), sharedMappings: lines(of: "/proc/self/maps") { $0.contains("memfd:") },
      children: children())
  }

  static func openFiles() -> Int {
    guard let folder = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(folder) }
    var count = -3  // ., .. and the folder itself.
    while readdir(folder) != nil { count += 1 }
    return count
  }

  /// What an open descriptor is of, as /proc has it.
  static func file(of descriptor: Int32) -> String { link("/proc/self/fd/\(descriptor)") }

  /// The id of the calling thread (Swift cannot name gettid).
  static func thread() -> Int32 {
    link("/proc/thread-self").split(separator: "/").last.flatMap { Int32($0) } ?? -1
  }

  private static func link(_ path: String) -> String {
    var target = [CChar](repeating: 0, count: 256)
    let count = readlink(path, &target, target.count)
    return String(
      decoding: target.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Children of this process, zombies included.
  private static func children() -> Int {
    guard let text = contents(of: "/proc/self/task/\(getpid())/children") else { return -1 }
    return text.split(separator: " ").count
  }

  /// The state of a process or thread at this place of /proc, a letter; see proc_pid_stat(5).
  static func state(of place: String) -> Substring? {
    let text = contents(of: "/proc/\(place)/stat") ?? ""
    return text.split(separator: ")").last?.dropFirst().prefix(1)
  }

  private static func lines(of path: String, _ isMeant: (Substring) -> Bool) -> Int {
    (contents(of: path) ?? "").split(separator: "\n").filter(isMeant).count
  }

  static func contents(of path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(file, &piece, piece.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += piece[..<count]
    }
  }
}
