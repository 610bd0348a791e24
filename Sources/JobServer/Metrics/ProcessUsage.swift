import Glibc

/// What the system says of this process and of others, read when somebody asks: /proc (proc(5)),
/// getrusage(2), getrlimit(2). Each answers nil where the system does not say.
enum ProcessUsage {
  /// Bytes of memory of a process, and the part of them that is in RAM. Pages that it shares with
  /// others are counted whole. A process that has ended has none.
  static func memory(of process: pid_t) -> (virtual: Int, resident: Int)? {
    // Seven numbers of pages; the first two are these.
    let text = withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { buffer in
      let file = open("/proc/\(process)/statm", O_RDONLY | O_CLOEXEC)
      guard file >= 0 else { return "" }
      defer { close(file) }
      let count = read(file, buffer.baseAddress, buffer.count)
      return String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    }
    let words = text.split(separator: " ")
    guard words.count >= 2, let virtual = Int(words[0]), let resident = Int(words[1]) else {
      return nil
    }
    let pageSize = sysconf(Int32(_SC_PAGESIZE))
    return (virtual * pageSize, resident * pageSize)
  }

  /// Seconds of CPU that this process has used, its children left out.
  static var cpuSeconds: Double {
    var usage = rusage()
    guard getrusage(RUSAGE_SELF.rawValue, &usage) == 0 else { return 0 }
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// How many descriptors this process has open.
  static var descriptorCount: Int? {
    var status = stat()
    // Since Linux 6.2 it is the size of this folder; to count the entries of thousands of
    // connections would hold up the loop for milliseconds.
    if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return Int(status.st_size) }
    guard let folder = opendir("/proc/self/fd") else { return nil }
    defer { closedir(folder) }
    var count = 0
    while readdir(folder) != nil { count += 1 }
    // Not ".", "..", nor the one that reads this.
    return count > 3 ? count - 3 : nil
  }

  /// How many descriptors this process may have open.
  static var descriptorsMax: Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
    return Int(exactly: limit.rlim_cur)
  }
}
