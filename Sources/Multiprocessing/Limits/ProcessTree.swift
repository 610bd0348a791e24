import CPlatform

/// A process and its descendants, as `/proc` shows them.
public enum ProcessTree {
  /// What `process` and its descendants use now; nil when it is gone, or when it cannot be read
  /// because this process is out of descriptors.
  ///
  /// Descendants in groups and sessions of their own count, and so do orphans: every process that
  /// the fork server starts is the reaper of what its descendants leave behind. At most 1,024
  /// processes are read. A zombie counts with its CPU time.
  ///
  /// CPU time is exact to one interval of the scheduler (4 ms where `CONFIG_HZ` is 250), because a
  /// running thread's time is added to its account only then. `/proc/PID/stat`, in units of 10 ms
  /// rounded down, is used only for what children had used that were waited for. The time of
  /// children that nobody waits for, because their parent ignores SIGCHLD, is gone with them.
  ///
  /// Takes about 16 µs for each process.
  public static func usage(of process: Int32) -> ResourceReading? {
    usage(of: process, by: LIDO_TREE_AUTOMATIC)
  }

  /// The same, by the method given.
  static func usage(of process: Int32, by method: lido_tree_method) -> ResourceReading? {
    var usage = lido_tree_usage()
    guard lido_read_tree(process, method, &usage) == 0 else { return nil }
    return ResourceReading(
      cpuMicroseconds: usage.cpu_nanoseconds / 1000, memoryBytes: usage.memory_bytes,
      processCount: Int(usage.process_count), startedAt: usage.started_at)
  }
}
