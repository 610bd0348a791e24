import DequeModule

/// The last ids that were dropped, as hashes: a client that asks for one hears `gone`, not
/// `not_found`. Two ids with one hash (1 in 10^14 at the default bound) answer `gone` wrongly.
///
/// Where retention is at its bound each job that ends pushes another one out, and hardly anybody
/// asks: so to remember one is to write to the ends of two lines, and to let one go is nothing but
/// that; who asks looks at some small tables, 26 at the default bound.
public struct ForgottenIDs: Sendable {
  private var order: Deque<UInt64> = []
  /// The places of all hashes in the order, oldest first; the first may know some that have gone.
  private var pages: Deque<Page> = []
  /// Where the oldest hash stands in the first page.
  private var gone = 0

  /// None.
  public init() {}

  /// How many are remembered.
  public var count: Int { order.count }

  /// Oldest first, for a snapshot.
  public var hashes: some Sequence<UInt64> { order }

  /// Whether an id with this hash was dropped lately.
  public func contains(_ hash: UInt64) -> Bool {
    pages.indices.contains { index in
      pages[index].contains(hash) { place in
        let place = index * Page.size + place - gone
        return place >= 0 && order[place] == hash
      }
    }
  }

  /// Remembers a hash and lets the oldest go beyond `bound`.
  mutating func insert(_ hash: UInt64, bound: Int) {
    if pages.last?.isFull ?? true { pages.append(Page()) }
    let last = pages.count - 1
    pages[last].append(hash) { [order, gone] place in
      let place = last * Page.size + place - gone
      return place >= 0 && order[place] == hash
    }
    order.append(hash)
    while order.count > bound {
      order.removeFirst()
      gone += 1
      if gone == Page.size {
        pages.removeFirst()
        gone = 0
      }
    }
  }

  /// Where the hashes of a part of the order are: an open-addressing table with linear probing,
  /// small enough for the cache next to the CPU.
  private struct Page: Sendable {
    /// How many hashes it has when it is full; half of its slots.
    static let size = 4_096
    private static let slotBits: UInt64 = 13

    /// One more than the place of a hash in the page; 0: free.
    private var slots = ContiguousArray<UInt16>(repeating: 0, count: 1 << Int(slotBits))
    private var count = 0

    var isFull: Bool { count == Page.size }

    /// Whether one of the places where a hash may be is meant.
    func contains(_ hash: UInt64, where isMeant: (Int) -> Bool) -> Bool {
      var slot = Page.slot(hash)
      while slots[slot] != 0 {
        if isMeant(Int(slots[slot]) - 1) { return true }
        slot = (slot + 1) & (slots.count - 1)
      }
      return false
    }

    /// Adds a hash at the next place; `isSame` says whether it is also at another, which is
    /// forgotten then: an id that is dropped again and again takes one slot.
    mutating func append(_ hash: UInt64, where isSame: (Int) -> Bool) {
      var slot = Page.slot(hash)
      while slots[slot] != 0, !isSame(Int(slots[slot]) - 1) {
        slot = (slot + 1) & (slots.count - 1)
      }
      count += 1
      slots[slot] = UInt16(count)
    }

    /// The hashes of ids are not secret, and whoever chooses ids must not choose slots.
    private static func slot(_ hash: UInt64) -> Int {
      Int((hash &* secret) >> (64 - slotBits))
    }

    /// Odd, so that the products of all hashes differ; of Swift's own hash, which is seeded once in
    /// each process.
    private static let secret = UInt64(bitPattern: Int64(2.hashValue)) | 1
  }
}

extension ForgottenIDs: Equatable {
  /// Equal when the same hashes are remembered in the same order.
  public static func == (lhs: ForgottenIDs, rhs: ForgottenIDs) -> Bool {
    lhs.order == rhs.order
  }
}
