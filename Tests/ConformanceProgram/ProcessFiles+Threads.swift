import Glibc
import TestSupport

/// More of what /proc tells.
extension ProcessFiles {
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

  /// The state of a process or thread at this place of /proc, a letter; see proc_pid_stat(5).
  static func state(of place: String) -> Substring? {
    let text = contents(of: "/proc/\(place)/stat") ?? ""
    return text.split(separator: ")").last?.dropFirst().prefix(1)
  }
}
