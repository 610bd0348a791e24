import CPlatform

/// How many processors there are to run on.
public enum CPUCount {
  /// Those that this process may use: the size of its affinity mask, `sched_getaffinity(2)`. At
  /// least 1. CPython 3.13 and later sizes its pools by the same number
  /// (`os.process_cpu_count`).
  public static var usable: Int { Int(lido_cpu_count()) }
}
