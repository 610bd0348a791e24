import Glibc

/// What a call of one task may use: what is watched, and what the kernel keeps.
public struct TaskLimits: Equatable, Sendable {
  /// User and system time of the call and all its processes, in microseconds; nil for any.
  public var cpuMicroseconds: UInt64?
  /// Private resident memory of the call and all its processes, in bytes; nil for any.
  public var memoryBytes: UInt64?
  /// Most open descriptors of each process, 0, 1 and 2 among them (`RLIMIT_NOFILE`); nil leaves
  /// what the service has. A dynamically linked program needs some 4 to start at all.
  public var openFilesMax: UInt64?
  /// Longest file that each process may write, in bytes (`RLIMIT_FSIZE`); nil for any. Pipes, and
  /// so its stdout, are not files.
  public var fileBytesMax: UInt64?

  /// Creates limits.
  public init(
    cpuMicroseconds: UInt64? = nil, memoryBytes: UInt64? = nil, openFilesMax: UInt64? = nil,
    fileBytesMax: UInt64? = nil
  ) {
    self.cpuMicroseconds = cpuMicroseconds
    self.memoryBytes = memoryBytes
    self.openFilesMax = openFilesMax
    self.fileBytesMax = fileBytesMax
  }

  /// The part that is for `UsageWatches`.
  public var usage: UsageLimits {
    UsageLimits(cpuMicroseconds: cpuMicroseconds, memoryBytes: memoryBytes)
  }

  /// The part that is for the kernel, of a program that is started for one call. The CPU time there
  /// is a backstop behind the watch, for each process alone. Memory has none: `RLIMIT_AS` and
  /// `RLIMIT_DATA` count what is reserved, of which many programs have far more than they use.
  public var forProgram: [ProcessSpecification.Limit] {
    var limits = forWorker
    if let cpuMicroseconds { limits.append(.cpuTime(microseconds: cpuMicroseconds)) }
    return limits
  }

  /// The part that is for the kernel, of a worker that has many calls: no CPU time, because the
  /// kernel counts that from the worker's start. It holds for all its calls, and between them.
  public var forWorker: [ProcessSpecification.Limit] {
    var limits: [ProcessSpecification.Limit] = [.noCoreFile]
    if let openFilesMax { limits.append(.openFiles(openFilesMax)) }
    if let fileBytesMax { limits.append(.fileSize(fileBytesMax)) }
    return limits
  }

  /// The limit that explains how a *program* ended, if one does: it died of the signal that the
  /// kernel sends for a limit of these; or of SIGKILL, having used more CPU time than it may (the
  /// hard limit; its descendants that were waited for count). An exit with a code is explained by
  /// none, though a program that ignores SIGXFSZ, as Python does, sees EFBIG and may exit for it.
  ///
  /// A limit that the watch has found comes first, and a SIGKILL that the service sent is not to be
  /// asked about.
  public func passed(by status: ExitStatus, use: ResourceUse) -> PassedLimit? {
    switch status {
    case .signalled(SIGXCPU):
      return cpuMicroseconds.map { PassedLimit(.cpuTime, used: use.cpuMicroseconds, max: $0) }
    case .signalled(SIGKILL):
      guard let cpuMicroseconds, use.cpuMicroseconds > cpuMicroseconds else { return nil }
      return PassedLimit(.cpuTime, used: use.cpuMicroseconds, max: cpuMicroseconds)
    case .signalled(SIGXFSZ):
      return fileBytesMax.map { PassedLimit(.fileSize, used: nil, max: $0) }
    default:
      return nil
    }
  }
}
