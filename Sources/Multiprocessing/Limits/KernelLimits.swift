import Glibc

extension ProcessSpecification.Limit {
  /// No core file, and no program that the kernel would start to take one (`RLIMIT_CORE`): a crash
  /// is reported by its signal, at once.
  public static let noCoreFile = Self(
    resource: Int32(RLIMIT_CORE.rawValue), soft: 0, hard: 0)

  /// CPU time of the process alone, without its children (`RLIMIT_CPU`, whole seconds): one second
  /// more than the limit rounded up, so that whoever watches is first to see it passed. SIGXCPU
  /// then, and SIGKILL a second later.
  public static func cpuTime(microseconds: UInt64) -> Self {
    let seconds = microseconds / 1_000_000 + (microseconds % 1_000_000 > 0 ? 1 : 0)
    return Self(resource: Int32(RLIMIT_CPU.rawValue), soft: seconds + 1, hard: seconds + 2)
  }

  /// Open descriptors of the process (`RLIMIT_NOFILE`): EMFILE beyond. No more than this process
  /// may have itself, because nobody can be given more without privileges.
  public static func openFiles(_ most: UInt64) -> Self {
    var own = rlimit()
    let isKnown = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &own) == 0
    let value = isKnown ? min(most, UInt64(own.rlim_max)) : most
    return Self(resource: Int32(RLIMIT_NOFILE.rawValue), soft: value, hard: value)
  }

  /// The longest file that the process may write, in bytes (`RLIMIT_FSIZE`): SIGXFSZ beyond, or
  /// EFBIG if it ignores that.
  public static func fileSize(_ most: UInt64) -> Self {
    Self(resource: Int32(RLIMIT_FSIZE.rawValue), soft: most, hard: most)
  }
}
