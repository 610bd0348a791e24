/// What a process and everything below it use at one moment.
public struct ResourceReading: Equatable, Sendable {
  /// Nothing: the baseline of a process that does only what is limited.
  public static let zero = ResourceReading()

  /// User and system time of all of them so far, and of the children that they have waited for.
  public var cpuMicroseconds: UInt64
  /// Private resident memory: resident pages that are neither of a file nor shared memory, added
  /// up. A page that two of them share since a fork counts for each.
  public var memoryBytes: UInt64
  /// How many processes they are.
  public var processCount: Int
  /// When the process itself was started, in the units of `/proc/PID/stat` since boot (10 ms): with
  /// the process id, it names a process for ever. 0: not known.
  public var startedAt: UInt64

  /// Creates a reading.
  public init(
    cpuMicroseconds: UInt64 = 0, memoryBytes: UInt64 = 0, processCount: Int = 0,
    startedAt: UInt64 = 0
  ) {
    self.cpuMicroseconds = cpuMicroseconds
    self.memoryBytes = memoryBytes
    self.processCount = processCount
    self.startedAt = startedAt
  }
}
