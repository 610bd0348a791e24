/// A reading of the monotonic clock, in nanoseconds from an arbitrary start.
///
/// It never goes back, is meaningless in another process, and is what every deadline is made of.
public struct Instant: Hashable, Comparable, Sendable {
  /// Nanoseconds since the arbitrary start.
  public let nanoseconds: UInt64

  /// Makes an instant from a clock reading in nanoseconds.
  @inlinable
  public init(nanoseconds: UInt64) {
    self.nanoseconds = nanoseconds
  }

  /// The instant `milliseconds` later; saturates instead of overflowing.
  public func advanced(byMilliseconds milliseconds: Milliseconds) -> Instant {
    let (delta, overflow) = UInt64(max(milliseconds, 0)).multipliedReportingOverflow(by: 1_000_000)
    let (sum, carry) = nanoseconds.addingReportingOverflow(delta)
    return Instant(nanoseconds: overflow || carry ? .max : sum)
  }

  /// Whether `lhs` comes before `rhs`.
  @inlinable
  public static func < (lhs: Instant, rhs: Instant) -> Bool {
    lhs.nanoseconds < rhs.nanoseconds
  }
}

/// A reading of the wall clock: milliseconds since 1970-01-01T00:00:00Z.
///
/// It is what people and other machines read. It may jump, so nothing waits for it, with one
/// exception that has no other choice: what must outlive the process (retention, a retry's start).
public typealias Timestamp = Int64

/// A length of time in milliseconds.
public typealias Milliseconds = Int64

/// Both clocks, read once a turn: every decision of a turn shares one moment.
public struct Moment: Equatable, Sendable {
  /// For deadlines.
  public let instant: Instant
  /// For what is shown and kept.
  public let timestamp: Timestamp

  /// Makes a moment of two readings taken together.
  @inlinable
  public init(instant: Instant, timestamp: Timestamp) {
    self.instant = instant
    self.timestamp = timestamp
  }

  /// The timestamp `milliseconds` later; saturates, so that a bound may be set to "for ever".
  func timestamp(after milliseconds: Milliseconds) -> Timestamp {
    let (sum, overflow) = timestamp.addingReportingOverflow(max(milliseconds, 0))
    return overflow ? .max : sum
  }

  /// The instant at which the wall clock will show `timestamp`, if it does not jump.
  public func instant(of timestamp: Timestamp) -> Instant {
    instant.advanced(byMilliseconds: timestamp - self.timestamp)
  }
}
