import DequeModule

/// The last ids that were dropped, as hashes: a client that asks for one hears `gone`, not
/// `not_found`. Two ids with one hash (1 in 10^14 at the default bound) answer `gone` wrongly.
public struct ForgottenIDs: Equatable, Sendable {
  private var order: Deque<UInt64> = []
  private var counts: [UInt64: UInt32] = [:]

  /// None.
  public init() {}

  /// How many are remembered.
  public var count: Int { order.count }

  /// Oldest first, for a snapshot.
  public var hashes: some Sequence<UInt64> { order }

  /// Whether an id with this hash was dropped lately.
  public func contains(_ hash: UInt64) -> Bool {
    counts[hash] != nil
  }

  /// Remembers a hash and lets the oldest go beyond `bound`.
  mutating func insert(_ hash: UInt64, bound: Int) {
    order.append(hash)
    counts[hash, default: 0] += 1
    while order.count > bound, let oldest = order.popFirst() {
      if counts[oldest] == 1 {
        counts[oldest] = nil
      } else {
        counts[oldest]! -= 1
      }
    }
  }
}
