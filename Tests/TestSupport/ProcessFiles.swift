import Glibc

/// What /proc tells of processes; see proc(5).
public enum ProcessFiles {
  /// All that there are.
  public static var all: [Int32] { numbers(in: "/proc").map(Int32.init) }

  /// The variables that a process was started with, `NAME=value`; none of a zombie, or of what
  /// belongs to somebody else.
  public static func environment(of process: Int32) -> [Substring] {
    (contents(of: "/proc/\(process)/environ") ?? "").split(separator: "\0")
  }

  /// Children of this process' main thread, zombies included; nil where the kernel does not tell.
  public static var children: [Int32]? {
    contents(of: "/proc/self/task/\(getpid())/children")?.split(separator: " ").compactMap {
      Int32($0)
    }
  }

  /// How many pieces of anonymous files this process has mapped.
  public static var anonymousMappings: Int {
    let maps = contents(of: "/proc/self/maps") ?? ""
    return maps.split(separator: "\n").count { $0.contains("memfd:") }
  }

  /// The numbers of the open descriptors of this process, without the one that reads them.
  public static var openDescriptors: [Int] {
    numbers(in: "/proc/self/fd", butItsOwn: true).sorted()
  }

  /// All of a file; nil if it cannot be opened.
  public static func contents(of path: String) -> String? {
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

  /// The letter of proc(5) for what a process does: "T" when it is stopped.
  public static func state(of process: Int32) -> Substring? {
    let text = contents(of: "/proc/\(process)/stat") ?? ""
    return text.split(separator: ")").last?.dropFirst().prefix(1)
  }

  /// The entries of a folder that are numbers.
  private static func numbers(in path: String, butItsOwn: Bool = false) -> [Int] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var numbers: [Int] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let number = Int(name), !butItsOwn || number != Int(dirfd(folder)) {
        numbers.append(number)
      }
    }
    return numbers
  }
}
