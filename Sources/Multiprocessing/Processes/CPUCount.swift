import Glibc

/// How many processors there are to run on.
public enum CPUCount {
  /// Those that this process may use: the size of its affinity mask, `sched_getaffinity(2)`. At
  /// least 1. CPython 3.13 and later sizes its pools by the same number
  /// (`os.process_cpu_count`).
  public static var usable: Int {
    var mask = cpu_set_t()
    guard sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &mask) == 0 else { return 1 }
    let count = withUnsafeBytes(of: &mask) { bytes in
      bytes.reduce(0) { $0 + $1.nonzeroBitCount }
    }
    return max(count, 1)
  }
}
