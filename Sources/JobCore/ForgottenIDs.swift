import DequeModule

/// The last ids that were dropped, as hashes: a client that asks for one hears `gone`, not
/// `not_found`. Two ids with one hash (1 in 10^14 at the default bound) answer `gone` wrongly.
public struct ForgottenIDs: Sendable {
  private var order: Deque<UInt64> = []
  /// Where in the order a hash stands: places are counted from 1, those that have gone included.
  private var places = NumberTable()
  private var nextPlace: UInt64 = 1

  /// None.
  public init() {}

  /// How many are remembered.
  public var count: Int { order.count }

  /// Oldest first, for a snapshot.
  public var hashes: some Sequence<UInt64> { order }

  /// Whether an id with this hash was dropped lately.
  public func contains(_ hash: UInt64) -> Bool {
    places.find(ForgottenIDs.spread(hash)) { place in
      order[order.count - Int(nextPlace - place)] == hash
    } != nil
  }

  /// Remembers a hash and lets the oldest go beyond `bound`.
  mutating func insert(_ hash: UInt64, bound: Int) {
    order.append(hash)
    places.insert(ForgottenIDs.spread(hash), nextPlace)
    nextPlace += 1
    while order.count > bound, let oldest = order.popFirst() {
      places.remove(ForgottenIDs.spread(oldest), nextPlace - UInt64(order.count) - 1)
    }
  }

  /// The hashes of ids are not secret, and whoever chooses ids must not choose places.
  private static func spread(_ hash: UInt64) -> UInt64 {
    UInt64(bitPattern: Int64(hash.hashValue))
  }
}

extension ForgottenIDs: Equatable {
  /// Equal when the same hashes are remembered in the same order.
  public static func == (lhs: ForgottenIDs, rhs: ForgottenIDs) -> Bool {
    lhs.order == rhs.order
  }
}
