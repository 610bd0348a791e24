/// The children of a process, in which each is found at once: there may be tens of thousands.
struct ChildList<Child: AnyObject> {
  private struct Entry {
    let number: UInt64
    let child: Child
  }

  private var entries: [Entry] = []
  /// Where each stands in `entries`.
  private var places: [ObjectIdentifier: Int] = [:]
  private var added: UInt64 = 0
  private var next = 0

  /// None.
  init() {}

  /// In the order in which they were added.
  var all: [Child] {
    entries.sorted { $0.number < $1.number }.map(\.child)
  }

  /// Adds one that is not there.
  mutating func append(_ child: Child) {
    places[ObjectIdentifier(child)] = entries.count
    entries.append(Entry(number: added, child: child))
    added += 1
  }

  /// Removes one, if it is there.
  mutating func remove(_ child: Child) {
    guard let place = places.removeValue(forKey: ObjectIdentifier(child)) else { return }
    let last = entries.removeLast()
    guard last.child !== child else { return }
    entries[place] = last
    places[ObjectIdentifier(last.child)] = place
  }

  /// The next of them, round and round: whoever looks at two for each one that is added has soon
  /// looked at all.
  mutating func takeTurn() -> Child? {
    guard !entries.isEmpty else { return nil }
    next = next + 1 < entries.count ? next + 1 : 0
    return entries[next].child
  }
}
