/// What a call may use, itself and all processes that it starts. Watched by reading, because a
/// limit that the kernel keeps for a process knows nothing of its children and does not say that it
/// was the one that was hit.
public struct UsageLimits: Equatable, Sendable {
  /// User and system time, in microseconds; nil for any.
  public var cpuMicroseconds: UInt64?
  /// Private resident memory, in bytes; nil for any. See `ResourceReading.memoryBytes`.
  public var memoryBytes: UInt64?

  /// Creates limits.
  public init(cpuMicroseconds: UInt64? = nil, memoryBytes: UInt64? = nil) {
    self.cpuMicroseconds = cpuMicroseconds
    self.memoryBytes = memoryBytes
  }

  /// Whether there is nothing to watch.
  public var isEmpty: Bool { cpuMicroseconds == nil && memoryBytes == nil }
}
