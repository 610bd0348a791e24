/// What a process and those of its descendants that it waited for have used.
public struct ResourceUse: Equatable, Sendable {
  /// User and system time, in microseconds.
  public var cpuMicroseconds: UInt64
  /// The largest resident set of any one of them, in KiB.
  public var residentKilobytesMax: UInt64

  /// Creates a record of use.
  public init(cpuMicroseconds: UInt64 = 0, residentKilobytesMax: UInt64 = 0) {
    self.cpuMicroseconds = cpuMicroseconds
    self.residentKilobytesMax = residentKilobytesMax
  }
}
