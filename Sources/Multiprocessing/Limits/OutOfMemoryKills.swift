import Glibc

/// Tells whether the system has killed for lack of memory.
///
/// The kernel counts its kills, but does not say whom it killed to those who may not read its log.
/// So this is an inference: a process died of SIGKILL that we did not send, and the count has grown
/// since it was looked at last. How good that is, `scope` says.
///
/// The count grows before the victim gets its signal, so a death that is heard of is counted. What
/// kills for memory in user space (systemd-oomd, earlyoom) is not seen here: its victims are
/// `signalled`.
public final class OutOfMemoryKills {
  /// Whose kills are counted.
  public enum Scope: Equatable, Sendable {
    /// Of this process' own control group (version 1 leaves out the groups below it): a process of
    /// ours was killed, and most likely the one that died. Wrong only if the system had killed
    /// another since the last look, a child of a worker for instance, and somebody else this one.
    case controlGroup
    /// Of the whole machine: the victim may have been in another container.
    case machine
    /// Nobody's, as neither can be read: every SIGKILL is put down to somebody.
    case unknown
  }

  /// Where the counts are; for tests.
  struct Folders {
    var process = "/proc"
    var controlGroups = "/sys/fs/cgroup"
  }

  /// How long a kill waits for the death that it explains, in nanoseconds. What it does not explain
  /// by then was of a process that is not reported, the child of a worker for instance.
  static let claimInterval: UInt64 = 1_000_000_000

  /// Whose kills are counted.
  public let scope: Scope
  /// Kept open, so that a look needs no descriptor when there is none left.
  private let descriptor: Int32
  private var count: UInt64 = 0
  private var unclaimed: UInt64 = 0
  private var grownAt: UInt64 = 0

  /// Finds the count and looks at it: kills until now are nobody's here.
  public convenience init() { self.init(Folders()) }

  init(_ folders: Folders) {
    var found: (descriptor: Int32, scope: Scope, count: UInt64) = (-1, .unknown, 0)
    let groups = Self.controlGroupFiles(folders).map { ($0, Scope.controlGroup) }
    for (path, scope) in groups + [(folders.process + "/vmstat", .machine)] {
      let file = open(path, O_RDONLY | O_CLOEXEC)
      guard file >= 0 else { continue }
      if let count = Self.count(in: file) {
        found = (file, scope, count)
        break
      }
      close(file)
    }
    (descriptor, scope, count) = found
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Whether a process of ours that has died of SIGKILL now was killed by the system. To be asked
  /// once for each such death that we have not caused: a kill explains one.
  public func claim(at now: UInt64) -> Bool {
    look(at: now)
    guard unclaimed > 0 else { return false }
    unclaimed -= 1
    return true
  }

  /// Looks whether the count has grown. To be called when anything else ends, too, so that kills of
  /// processes that nobody reports do not wait to explain a later death.
  public func look(at now: UInt64) {
    guard descriptor >= 0, let latest = Self.count(in: descriptor) else { return }
    if latest > count {
      if now &- grownAt > Self.claimInterval { unclaimed = 0 }
      unclaimed += latest - count
      grownAt = now
    } else if unclaimed > 0, now &- grownAt > Self.claimInterval {
      unclaimed = 0
    }
    count = latest
  }

  // MARK: Finding

  /// The files that may count the kills in our own group, best first. In a container the folder
  /// that is mounted may itself be the group, whatever path `/proc` shows.
  private static func controlGroupFiles(_ folders: Folders) -> [String] {
    let file = open(folders.process + "/self/cgroup", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    guard let text = text(of: file) else { return [] }
    var files: [String] = []
    for line in text.split(separator: "\n") {
      // "0::/system.slice/lido.service", or of version 1 "4:memory:/docker/2f1e".
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let path = fields[2] == "/" ? "" : String(fields[2])
      if fields[1].split(separator: ",").contains("memory") {
        let folder = folders.controlGroups + "/memory"
        files += [folder + path + "/memory.oom_control", folder + "/memory.oom_control"]
      } else if fields[0] == "0", fields[1].isEmpty {
        files += [
          folders.controlGroups + path + "/memory.events",
          folders.controlGroups + "/memory.events",
        ]
      }
    }
    return files
  }

  /// The number behind `oom_kill` in a file of lines "name number".
  private static func count(in descriptor: Int32) -> UInt64? {
    guard let text = text(of: descriptor) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("oom_kill ") {
      return UInt64(line.dropFirst("oom_kill ".count))
    }
    return nil
  }

  /// All of a file that the kernel makes as it is read; at most 64 KiB.
  private static func text(of descriptor: Int32) -> String? {
    var length = 0
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, initialized in
      while length < buffer.count {
        let count = pread(
          descriptor, buffer.baseAddress! + length, buffer.count - length, off_t(length))
        if count <= 0 {
          failed = count < 0
          break
        }
        length += count
      }
      initialized = length
    }
    return failed ? nil : String(decoding: bytes, as: UTF8.self)
  }
}
