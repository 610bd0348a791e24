/// A limit that a call has passed.
public struct PassedLimit: Equatable, Sendable {
  /// What was limited.
  public enum Kind: Equatable, Sendable {
    /// User and system time, in microseconds.
    case cpuTime
    /// Private resident memory, in bytes.
    case memory
    /// The length of one file that was written, in bytes.
    case fileSize
  }

  /// What was limited.
  public var kind: Kind
  /// How much was used when it was found out, in the unit of `kind`; more than `max`. Nil where
  /// only the kernel knows.
  public var used: UInt64?
  /// How much was allowed.
  public var max: UInt64

  /// Creates a passed limit.
  public init(_ kind: Kind, used: UInt64?, max: UInt64) {
    self.kind = kind
    self.used = used
    self.max = max
  }
}

extension PassedLimit: CustomStringConvertible {
  /// For logs and error messages: `"2.004 s of CPU time, 2.000 s are allowed"`.
  public var description: String {
    let noun =
      switch kind {
      case .cpuTime: "of CPU time"
      case .memory: "of private memory"
      case .fileSize: "in one file"
      }
    let allowed = "\(amount(max)) are allowed"
    guard let used else { return "more \(noun) than allowed: \(allowed)" }
    return "\(amount(used)) \(noun), \(allowed)"
  }

  /// Seconds with three places, or MiB with one.
  private func amount(_ value: UInt64) -> String {
    guard kind == .cpuTime else {
      let tenths = value / (1 << 20) * 10 + value % (1 << 20) * 10 / (1 << 20)
      return value < 1 << 20 ? "\(value) bytes" : "\(tenths / 10).\(tenths % 10) MiB"
    }
    let places = String(value / 1000 % 1000)
    return "\(value / 1_000_000)." + String(repeating: "0", count: 3 - places.count) + places + " s"
  }
}
